//! The thread that applies committed entries and serves the reads that waited for them.
//!
//! What queued up while a batch was applied is the next batch: one engine batch per group and
//! round, one lock for all replies. Reads run here too: the state is at hand, and everything they
//! must see was applied just before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use kontiki_multiraft::{Applier, ApplyTask, OpenSnapshot, Round};

use crate::apply_queues::ApplyInput;
use crate::fatal::Fatal;
use crate::mailbox::Mailbox;
use crate::metrics::Metrics;
use crate::shard_thread::Input;
use crate::spool::Spools;
use crate::waiters::Waiters;

/// Everything the thread needs.
pub(crate) struct ApplyWorker {
    pub(crate) applier: Applier,
    pub(crate) inputs: Arc<Mailbox<ApplyInput>>,
    pub(crate) shard: Arc<Mailbox<Input>>,
    pub(crate) snapshots: Arc<Mailbox<OpenSnapshot>>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) spools: Arc<Spools>,
    pub(crate) fatal: Fatal,
    pub(crate) metrics: Option<Arc<Metrics>>,
}

impl ApplyWorker {
    /// Until the mailbox is closed and empty.
    pub(crate) fn run(mut self) {
        let mut drained = Vec::new();
        let mut tasks = VecDeque::new();
        let mut round = Round::default();
        while self.inputs.drain(&mut drained, None) && !self.fatal.is_raised() {
            let began = Instant::now();
            for input in drained.drain(..) {
                match input {
                    ApplyInput::Task(task) => tasks.push_back(task),
                    ApplyInput::Add(group, machine) => {
                        self.finish(&mut tasks, &mut round);
                        self.applier.add(group, machine);
                    }
                    ApplyInput::Remove(group, done) => {
                        self.finish(&mut tasks, &mut round);
                        self.applier.remove(group);
                        // Whoever asked may have given up waiting.
                        let _ = done.try_send(());
                    }
                }
            }
            self.finish(&mut tasks, &mut round);
            if let Some(metrics) = &self.metrics {
                metrics.fsm_commit.observe_since(began);
            }
        }
        self.snapshots.close();
    }

    fn finish(&mut self, tasks: &mut VecDeque<ApplyTask>, round: &mut Round) {
        while !tasks.is_empty() && !self.fatal.is_raised() {
            if let Err(error) = self.round(tasks, round) {
                self.fatal.raise(format!("apply: {error}"));
            }
        }
    }

    fn round(
        &mut self,
        tasks: &mut VecDeque<ApplyTask>,
        round: &mut Round,
    ) -> Result<(), kontiki_multiraft::Error> {
        self.applier.run(tasks, round)?;
        if let Some(metrics) = self.metrics.as_ref().filter(|_| !round.reads.is_empty()) {
            metrics.handle_read_index_entries.observe(round.reads.len() as u64);
        }
        self.waiters.reply_all(&mut round.replies);
        self.waiters.read_all(&mut round.reads);
        self.waiters.refuse_gone(&mut round.refused);
        self.snapshots.push_all(round.snapshots.drain(..));
        for (group, meta, spool) in std::mem::take(&mut round.installs) {
            let began = Instant::now();
            let chunks = &mut self.spools.read(spool);
            if self.applier.check_snapshot(group, &meta, chunks, round)? {
                let chunks = &mut self.spools.read(spool);
                self.applier.install(group, meta, spool, chunks, round)?;
            }
            self.spools.remove(spool);
            if let Some(metrics) = &self.metrics {
                metrics.install_snapshot.observe_since(began);
            }
        }
        if !round.events.is_empty() {
            self.shard.push(Input::Events(std::mem::take(&mut round.events)));
        }
        Ok(())
    }
}
