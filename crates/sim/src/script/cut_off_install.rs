//! Snapshots are installed all the time, and the power goes in the middle of it.

use std::time::Duration;

use crate::fault::Fault;
use crate::options::Options;

/// Stores fall behind, logs are short, and nothing of a snapshot is checked ahead.
pub(crate) fn narrow(options: &mut Options) {
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
}
