//! A leader stands still, another is elected, and the old one goes on as if nothing had happened.
//!
//! It must not answer a read from what it knew, nor acknowledge a write that is lost (etcd#20418).

use std::time::Duration;

use crate::fault::Fault;
use crate::marks::Mark;

use super::hold;

#[test]
fn an_old_leader_that_wakes_up_tells_nobody_anything_stale() {
    hold(
        6,
        20,
        |options| {
            options.faults.hat = vec![Fault::PauseLeader];
            options.faults.every_mean = Duration::from_secs(2);
            options.faults.pause_max = Duration::from_secs(6);
            options.workload.reads = 700;
            options.network.loss = 0;
        },
        &[Mark::OldLeaderWoke, Mark::LeaderLostWithCallers],
    );
}
