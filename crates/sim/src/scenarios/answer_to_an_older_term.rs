//! A late heartbeat of an older term was answered with its session and read round, under the newer
//! term. Sessions begin at 1 again when a process starts, so the leader of the newer term, the same
//! peer after a restart, took the answer for one to its own heartbeat: an assertion failed where a
//! read could have been confirmed by nobody.
//!
//! Found by the first sweep, as a leader to whom a follower echoed a round it had never begun.

use std::time::Duration;

use crate::fault::Fault;
use crate::marks::Mark;

use super::hold;

#[test]
fn an_answer_to_an_older_term_is_no_answer_to_this_one() {
    hold(
        12,
        30,
        |options| {
            // A paused follower takes in old heartbeats after its leader came back as a new one.
            options.faults.hat = vec![Fault::CrashAll, Fault::PauseOne, Fault::PauseOne];
            options.faults.every_mean = Duration::from_millis(700);
            options.faults.down_max = Duration::from_millis(50);
            options.faults.pause_max = Duration::from_secs(3);
            options.network.loss = 0;
            options.network.spikes = 50;
            options.network.is_ordered = false;
            options.store.election_timeout = Duration::from_millis(200);
            options.workload.reads = 700;
        },
        &[Mark::AllDown, Mark::LeaderElected],
    );
}
