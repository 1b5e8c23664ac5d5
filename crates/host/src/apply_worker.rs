//! The thread that applies committed entries and serves the reads that waited for them.
//!
//! What queued up while a batch was applied is the next batch: one engine batch per group and
//! round, one lock for all replies. Reads run here too: the state is at hand, and everything they
//! must see was applied just before.

use std::collections::VecDeque;
use std::sync::Arc;

use kontiki_multiraft::{Applier, ApplyTask, OpenSnapshot, Round};

use crate::fatal::Fatal;
use crate::mailbox::Mailbox;
use crate::shard_thread::Input;
use crate::spool::Spools;
use crate::waiters::Waiters;

/// Everything the thread needs.
pub(crate) struct ApplyWorker {
    pub(crate) applier: Applier,
    pub(crate) tasks: Arc<Mailbox<ApplyTask>>,
    pub(crate) shard: Arc<Mailbox<Input>>,
    pub(crate) snapshots: Arc<Mailbox<OpenSnapshot>>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) spools: Arc<Spools>,
    pub(crate) fatal: Fatal,
}

impl ApplyWorker {
    /// Until the mailbox is closed and empty.
    pub(crate) fn run(mut self) {
        let mut drained = Vec::new();
        let mut tasks = VecDeque::new();
        let mut round = Round::default();
        while self.tasks.drain(&mut drained, None) && !self.fatal.is_raised() {
            tasks.extend(drained.drain(..));
            while !tasks.is_empty() {
                if let Err(error) = self.round(&mut tasks, &mut round) {
                    return self.fatal.raise(format!("apply: {error}"));
                }
            }
        }
        self.snapshots.close();
    }

    fn round(
        &mut self,
        tasks: &mut VecDeque<ApplyTask>,
        round: &mut Round,
    ) -> Result<(), kontiki_multiraft::Error> {
        self.applier.run(tasks, round)?;
        self.waiters.reply_all(&mut round.replies);
        self.waiters.read_all(&mut round.reads);
        self.snapshots.push_all(round.snapshots.drain(..));
        for (group, meta, spool) in std::mem::take(&mut round.installs) {
            let mut chunks = self.spools.read(spool);
            self.applier.install(group, meta, spool, &mut chunks, round)?;
            self.spools.remove(spool);
        }
        if !round.events.is_empty() {
            self.shard.push(Input::Events(std::mem::take(&mut round.events)));
        }
        Ok(())
    }
}
