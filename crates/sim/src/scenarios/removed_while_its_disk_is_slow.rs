//! A replica is destroyed while its log waits for a slow disk: one sync then keeps what it
//! acknowledged last and forgets all of it. Its last word may leave: it was true before, and the
//! replica is a member no more.
//!
//! Found at seed 7162 of a sweep, as a mistake of the judge.

use std::time::Duration;

use crate::fault::Fault;
use crate::marks::Mark;
use crate::options::{ClusterOptions, Options};

use super::hold;

#[test]
fn the_last_word_of_a_replica_that_went_is_true() {
    let narrow = |options: &mut Options| {
        options.set_cluster(ClusterOptions::even(4, 1));
        options.faults.hat = vec![Fault::ChangeMembers, Fault::ChangeMembers, Fault::SlowDisk];
        options.faults.every_mean = Duration::from_millis(500);
        options.faults.partition_max = Duration::from_secs(2);
        options.faults.slow_factor = 300;
        options.store.sync_mean = Duration::from_millis(10);
        options.store.election_timeout = Duration::from_millis(300);
    };
    hold(24, 40, narrow, &[Mark::ReplicaDestroyed, Mark::GroupCommit]);
}
