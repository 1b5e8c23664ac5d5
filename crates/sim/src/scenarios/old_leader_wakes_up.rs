//! A leader stands still, another is elected, and the old one goes on as if nothing had happened.
//!
//! It must not answer a read from what it knew, nor acknowledge a write that is lost (etcd#20418).

use std::time::Duration;

use crate::fault::Fault;
use crate::marks::Mark;
use crate::mutant::{Mutant, Outside};
use crate::options::Options;
use crate::violation::Rule;

use super::{caught, hold};

fn pauses(options: &mut Options) {
    options.faults.hat = vec![Fault::PauseLeader];
    options.faults.every_mean = Duration::from_secs(2);
    options.faults.pause_max = Duration::from_secs(6);
    options.workload.reads = 700;
    options.network.loss = 0;
}

#[test]
fn an_old_leader_that_wakes_up_tells_nobody_anything_stale() {
    hold(6, 20, pauses, &[Mark::OldLeaderWoke, Mark::LeaderLostWithCallers]);
}

/// It is these pauses that show it, in what clients are told alone.
#[test]
fn one_that_asks_nobody_is_noticed() {
    for mistake in [Outside::ReadUnconfirmed, Outside::ReplyBeforeCommit] {
        let violation = caught(Mutant::Outside(mistake), 6, 20, pauses);
        let rule = violation.map(|violation| violation.rule);
        assert!(rule.is_some_and(Rule::is_black_box), "{mistake:?}: {rule:?}");
    }
}

/// The round in which the others confirm that it leads is skipped.
#[cfg(feature = "mutants")]
#[test]
fn one_that_confirms_its_reads_alone_is_noticed() {
    let violation = caught(Mutant::Inside(crate::mutant::Inside::ReadAlone), 6, 20, pauses);
    assert!(violation.is_some());
}
