//! Found by the soak: a leader that is elected again and again asks for a snapshot for the same
//! peer in each term. Sent one after the other, those of former terms, which nobody takes, kept the
//! one that counted waiting for a minute, and with it the quorum.

use std::time::Duration;

use crate::fault::Fault;
use crate::habits::HabitOptions;
use crate::marks::Mark;

use super::hold;

#[test]
fn of_several_snapshots_for_one_peer_the_newest_is_sent() {
    let narrow = |options: &mut crate::options::Options| {
        options.habits = HabitOptions::none();
        let hat = [Fault::Transfer, Fault::Transfer, Fault::DeafLeader, Fault::CrashOne];
        options.faults.hat = hat.to_vec();
        options.faults.every_mean = Duration::from_millis(500);
        options.faults.partition_max = Duration::from_secs(1);
        options.faults.down_max = Duration::from_secs(8);
        options.store.election_timeout = Duration::from_millis(300);
        // Many rows in small parts: a snapshot takes seconds.
        options.store.snapshot_chunk_bytes = 30;
        options.store.retain_bytes = 2_000;
        options.store.retain_bytes_max = 4_000;
    };
    hold(8, 60, narrow, &[Mark::SnapshotPassedOver, Mark::SnapshotStreamed]);
}
