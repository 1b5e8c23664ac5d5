//! Logs are damaged while operators add, remove and replace replicas: heirs and newcomers want the
//! same places, and a replica that is kept out cannot hear that it was removed.
//!
//! One store is ill at a time, and so each membership has an intact majority; once an heir votes in
//! the place of what was lost, or what was lost is no member any more, another store may be next.
//!
//! Found that a quarantined replica that had been removed kept its place for ever, so that no
//! other replica of the group could come to its store; and that an heir asked only those whom its
//! store knew, while a newer member led.

use std::time::Duration;

use crate::fault::Fault;
use crate::marks::Mark;
use crate::options::{ClusterOptions, Options};

use super::hold;

fn move_and_damage(options: &mut Options) {
    options.set_cluster(ClusterOptions::even(4, 2));
    options.faults.hat = vec![Fault::ChangeMembers; 6];
    options.faults.hat.extend([Fault::RotDisk, Fault::RotDisk, Fault::CrashOne, Fault::CrashOne]);
    options.faults.hat.extend([Fault::ChangeRoles, Fault::CrashLeader, Fault::IsolateOne]);
    options.faults.every_mean = Duration::from_millis(400);
    options.faults.down_max = Duration::from_millis(500);
    options.faults.partition_max = Duration::from_secs(1);
    options.store.election_timeout = Duration::from_millis(300);
    options.network.loss = options.network.loss.min(5);
}

#[test]
fn heirs_and_newcomers_meet() {
    let reached = [
        Mark::HeirBorn,
        Mark::MembershipChanged,
        Mark::ReplicaCreated,
        Mark::ReplicaReturned,
        Mark::KeptOutReplaced,
        Mark::RottedAfterCure,
    ];
    hold(48, 40, move_and_damage, &reached);
}
