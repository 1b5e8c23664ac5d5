//! Clients add elements to sets and read whole sets by scans: nothing acknowledged is missing,
//! nothing that a read has seen is gone for a later one, nothing appears that nobody had added.
//!
//! A register under search forgives a read that is stale among many writes of unknown outcome; a
//! set that only grows forgives nothing.

use std::time::Duration;

use crate::fault::Fault;
use crate::marks::Mark;
use crate::mutant::{Mutant, Outside};
use crate::options::Options;
use crate::violation::Rule;

use super::{caught, hold};

/// Clients do nothing else, so only the judge of sets can notice anything.
fn sets(options: &mut Options) {
    options.workload.sets = 1000;
    options.workload.follower_reads = 300;
    options.faults.hat = vec![Fault::PauseLeader, Fault::IsolateLeader, Fault::CrashOne];
    options.faults.every_mean = Duration::from_secs(2);
    options.faults.pause_max = Duration::from_secs(6);
    options.faults.partition_max = Duration::from_secs(3);
    options.network.loss = 0;
    options.is_white_box = false;
}

#[test]
fn a_read_of_a_set_misses_nothing_and_invents_nothing() {
    hold(6, 20, sets, &[Mark::SetRead, Mark::FollowerRead, Mark::OldLeaderWoke]);
}

#[test]
fn stale_reads_and_lost_writes_are_noticed_by_sets_alone() {
    for mistake in [Outside::ReadUnconfirmed, Outside::ReplyBeforeCommit] {
        let violation = caught(Mutant::Outside(mistake), 12, 20, sets);
        let rule = violation.map(|violation| violation.rule);
        assert_eq!(rule, Some(Rule::SetIsWhole), "{mistake:?}");
    }
}
