//! A store stops in the middle of replacing rows (an install, a range delete cut in chunks), or
//! comes back there after a crash. Its rows are of no applied position then: readers are refused,
//! and the judge must not compare them either.
//!
//! Found by seed 959971243897 as replicas that differ: the power went in the middle of an install,
//! and the judge hashed what was there.

use std::time::Duration;

use crate::fault::Fault;
use crate::marks::Mark;

use super::hold;

#[test]
fn rows_that_are_being_replaced_are_compared_with_nobody() {
    hold(
        30,
        30,
        |options| {
            options.faults.hat = vec![Fault::IsolateOne, Fault::CrashOne, Fault::CrashMajority];
            options.faults.every_mean = Duration::from_secs(1);
            options.faults.partition_max = Duration::from_secs(4);
            options.faults.down_max = Duration::from_millis(50);
            options.faults.temptation = 100;
            options.store.retain_bytes = 4_000;
            options.store.retain_bytes_max = 8_000;
            options.store.sync_engine_every_bytes = 2_000;
            options.store.install_check_bytes = 0;
            options.store.snapshot_chunk_bytes = 100;
            options.store.delete_chunk_rows = 1;
            options.network.loss = 0;
        },
        &[Mark::InstallCrashed, Mark::InstallResumed, Mark::FuseBlown],
    );
}
