//! Waiting until the machine is quiet, so that no run pays for what another left behind: dirty
//! pages, compactions, garbage collection of the system that was loaded before.

use std::time::{Duration, Instant};

use super::{Snapshot, Watch};

/// Servers together use less than this many cores when they idle.
const QUIET_CORES: f64 = 0.15;
/// Over this time.
const LOOK: Duration = Duration::from_millis(500);
/// After this long the run begins all the same: some systems never rest.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes back dirty pages and waits until these servers idle. Returns the cores they used last
/// when they did not.
pub(crate) async fn settle(servers: &Watch) -> Option<f64> {
    // May take long when much is dirty; nothing else runs here meanwhile.
    let _ = tokio::task::spawn_blocking(rustix::fs::sync).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let before = Snapshot::take(servers);
        tokio::time::sleep(LOOK).await;
        let used = before.used_until(&Snapshot::take(servers), 0, LOOK.as_secs_f64());
        let cores = used.cores();
        if cores < QUIET_CORES {
            return None;
        }
        if Instant::now() > deadline {
            return Some(cores);
        }
    }
}
