//! Power goes in the middle of the installation of a snapshot; the next start installs it again.

use std::time::Duration;

use crate::fault::Fault;
use crate::marks::Mark;

use super::hold;

#[test]
fn an_install_that_was_cut_off_is_run_again() {
    hold(
        30,
        30,
        |options| {
            options.faults.hat = vec![Fault::IsolateOne, Fault::IsolateOne, Fault::CrashOne];
            options.faults.every_mean = Duration::from_secs(2);
            options.faults.partition_max = Duration::from_secs(4);
            options.faults.temptation = 100;
            options.store.retain_bytes = 4_000;
            options.store.retain_bytes_max = 8_000;
            options.store.sync_engine_every_bytes = 2_000;
            options.store.install_check_bytes = 0;
            options.store.snapshot_chunk_bytes = 100;
            options.network.loss = 0;
        },
        &[Mark::SnapshotInstalled, Mark::InstallCrashed, Mark::InstallResumed],
    );
}
