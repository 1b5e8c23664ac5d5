//! The thread that pre-writes log segments and removes freed ones, so that the log writer never
//! waits for more than an overwrite and a sync.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use kontiki_log::{Disk, Log, Prepared, SegmentRequest, prepare_segment, remove_segments};

use crate::mailbox::Mailbox;

/// Segments ready or failed that the log writer has not taken yet; the log asks for one at a time.
const RESULTS_MAX: usize = 4;

enum Job {
    Prepare(SegmentRequest),
    Remove(Vec<String>),
}

/// Nothing: it failed, and why is logged.
type Outcome<F> = Option<Prepared<F>>;

/// The log writer's side of the thread.
pub(crate) struct SegmentKeeper<D: Disk> {
    jobs: Arc<Mailbox<Job>>,
    results: Receiver<Outcome<D::File>>,
    thread: Option<JoinHandle<()>>,
}

impl<D: Disk> SegmentKeeper<D> {
    /// Start the thread.
    pub(crate) fn start(disk: D) -> std::io::Result<Self> {
        let jobs = Arc::new(Mailbox::new(usize::MAX));
        let (sender, results) = sync_channel(RESULTS_MAX);
        let inbox = Arc::clone(&jobs);
        let thread = std::thread::Builder::new()
            .name("segments".to_owned())
            .spawn(move || run(&disk, &inbox, &sender))?;
        Ok(Self { jobs, results, thread: Some(thread) })
    }

    /// Give the log what is ready and take its next order.
    pub(crate) fn serve(&self, log: &mut Log<D>) {
        while let Ok(result) = self.results.try_recv() {
            match result {
                Some(prepared) => log.add_ready(prepared),
                None => log.prepare_failed(),
            }
        }
        if let Some(request) = log.segment_request() {
            self.jobs.push(Job::Prepare(request));
        }
    }

    /// Remove these files when there is time.
    pub(crate) fn remove(&self, names: Vec<String>) {
        if !names.is_empty() {
            self.jobs.push(Job::Remove(names));
        }
    }

    /// End the thread.
    pub(crate) fn stop(&mut self) {
        self.jobs.close();
        // A result the thread waits to deliver must not keep it.
        while self.results.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the segment keeper panicked");
        }
    }
}

fn run<D: Disk>(disk: &D, jobs: &Mailbox<Job>, results: &SyncSender<Outcome<D::File>>) {
    let mut waiting = Vec::new();
    while jobs.drain(&mut waiting, None) {
        for job in waiting.drain(..) {
            match job {
                Job::Prepare(request) => {
                    let result = prepare_segment(disk, &request);
                    if let Err(error) = &result {
                        tracing::warn!(%error, "a log segment could not be prepared");
                    }
                    if results.send(result.ok()).is_err() {
                        return;
                    }
                }
                Job::Remove(names) => {
                    if let Err(error) = remove_segments(disk, &names) {
                        tracing::warn!(%error, "freed log segments not removed");
                    }
                }
            }
        }
    }
}
