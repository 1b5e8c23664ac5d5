//! Slow work beside the data path: engine syncs, and whatever a state machine defers.
//!
//! One thread, first come first served. Nobody waits for it on the write path.

use std::sync::Arc;

use kontiki_multiraft::Event;

use crate::fatal::Fatal;
use crate::mailbox::Mailbox;
use crate::shard_thread::Input;

/// Makes durable everything the state machines have applied before the call.
pub type SyncEngine = Box<dyn Fn() -> Result<(), String> + Send>;

/// A piece of background work.
pub(crate) enum Job {
    /// Make the engine durable, then tell the shard.
    SyncEngine,
    /// Anything else.
    Run(Box<dyn FnOnce() + Send>),
}

/// Runs until the mailbox is closed and empty.
pub(crate) fn run(
    jobs: &Mailbox<Job>,
    sync_engine: &SyncEngine,
    shard: &Arc<Mailbox<Input>>,
    fatal: &Fatal,
) {
    let mut waiting = Vec::new();
    while jobs.drain(&mut waiting, None) {
        for job in waiting.drain(..) {
            match job {
                Job::Run(work) => work(),
                Job::SyncEngine => match sync_engine() {
                    Ok(()) => shard.push(Input::Event(Event::EngineSynced)),
                    Err(error) => return fatal.raise(format!("engine sync: {error}")),
                },
            }
        }
    }
}

/// A handle to give work to the background thread. Made first, so that state machines can hold
/// one; work waits until [`crate::NodeHost::start`] starts the thread.
#[derive(Clone)]
pub struct Background {
    pub(crate) jobs: Arc<Mailbox<Job>>,
}

impl Default for Background {
    fn default() -> Self {
        Self::new()
    }
}

impl Background {
    /// A handle without a thread yet.
    pub fn new() -> Self {
        // Engine syncs come one at a time, and state machines bound what they defer.
        Self { jobs: Arc::new(Mailbox::new(usize::MAX)) }
    }

    /// Run this later, on the background thread. Dropped when the host stops.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        self.jobs.push(Job::Run(Box::new(work)));
    }
}
