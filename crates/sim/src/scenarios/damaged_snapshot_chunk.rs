//! A chunk of a snapshot is damaged on its way. It must be refused when it arrives: an install that
//! met it later had destroyed the old rows, and the store could not start any more.
//!
//! Found at seed 164 of an early sweep.

use std::time::Duration;

use crate::fault::Fault;
use crate::marks::Mark;

use super::hold;

#[test]
fn nothing_is_destroyed_for_a_damaged_snapshot() {
    hold(
        8,
        30,
        |options| {
            options.faults.hat = vec![Fault::IsolateOne];
            options.faults.every_mean = Duration::from_secs(2);
            options.faults.partition_max = Duration::from_secs(4);
            options.store.retain_bytes = 4_000;
            options.store.retain_bytes_max = 8_000;
            options.store.sync_engine_every_bytes = 2_000;
            options.store.install_check_bytes = 0;
            options.store.snapshot_chunk_bytes = 100;
            options.network.damage = 20;
            options.network.loss = 0;
        },
        &[Mark::ChunkDamaged, Mark::SnapshotInstalled],
    );
}
