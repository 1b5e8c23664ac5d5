//! What a sync costs meanwhile: a page of a file of its own, overwritten and synced now and then on
//! the disk of the stores. A transfer is measured against that: it cannot be quicker than the disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::samples::Samples;

/// Rare enough to leave the disk to the stores.
const PROBE_EVERY: Duration = Duration::from_millis(20);
const PAGE_BYTES: usize = 4096;

/// See the module.
pub(super) struct Probe {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<Samples>>,
}

impl Probe {
    /// Begins, in this directory.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(super) fn start(dir: &Path) -> anyhow::Result<Self> {
        let file = File::create(dir.join("probe")).context("make a file to sync")?;
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopped);
        let thread = std::thread::Builder::new().name("probe".to_owned()).spawn(move || {
            // The first one makes the file longer, which costs more.
            sync_page(&file)?;
            let mut samples = Samples::default();
            while !seen.load(Ordering::Relaxed) {
                std::thread::sleep(PROBE_EVERY);
                samples.record(sync_page(&file)?);
            }
            Ok(samples)
        })?;
        Ok(Self { stopped, thread })
    }

    /// Ends; all syncs, sorted.
    ///
    /// # Errors
    /// When the disk failed.
    pub(super) fn stop(self) -> anyhow::Result<Samples> {
        self.stopped.store(true, Ordering::Relaxed);
        let samples = self.thread.join().map_err(|_| anyhow::anyhow!("the probe panicked"))?;
        let mut samples = samples.context("sync a page")?;
        samples.sort();
        Ok(samples)
    }
}

fn sync_page(file: &File) -> std::io::Result<Duration> {
    file.write_all_at(&[7; PAGE_BYTES], 0)?;
    let began = Instant::now();
    file.sync_data()?;
    Ok(began.elapsed())
}
