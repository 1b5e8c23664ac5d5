//! The thread that applies committed entries and serves the reads that waited for them.
//!
//! What queued up while a batch was applied is the next batch: one engine batch per group and
//! round, one lock for all replies. Reads run here too: the state is at hand, and everything they
//! must see was applied just before.
//!
//! A group whose state machine is busy elsewhere, with an install or a copy for a snapshot, is
//! *parked*: what is for it waits in order, and the other groups of this worker go on.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use kontiki_multiraft::{Applier, ApplyTask, Error, OpenSnapshot, Round};
use kontiki_types::{RegionId, SnapshotMeta};

use crate::apply_queues::{self, ApplyInput};
use crate::fatal::Fatal;
use crate::installer::{Install, Installed};
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
    /// Where installs go; nothing: they happen here.
    pub(crate) installer: Option<Arc<Mailbox<Install>>>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) spools: Arc<Spools>,
    pub(crate) fatal: Fatal,
    pub(crate) metrics: Option<Arc<Metrics>>,
    /// What waits for groups whose state machines are busy elsewhere. The shard bounds it: what is
    /// handed out and not reported.
    pub(crate) parked: BTreeMap<RegionId, Parked>,
}

/// A group whose state machine is busy elsewhere.
pub(crate) struct Parked {
    why: Busy,
    waits: Vec<ApplyInput>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Busy {
    /// Somebody asked for it.
    Paused,
    /// The installer has it.
    Lent,
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
                self.take_in(input, &mut tasks, &mut round);
            }
            self.finish(&mut tasks, &mut round);
            if let Some(metrics) = &self.metrics {
                metrics.fsm_commit.observe_since(began);
            }
        }
        self.snapshots.close();
        if let Some(installer) = &self.installer {
            installer.close();
        }
        // Whoever waits to be told learns that nobody will.
        self.inputs.close();
        self.inputs.drain(&mut drained, None);
    }

    fn take_in(&mut self, input: ApplyInput, tasks: &mut VecDeque<ApplyTask>, round: &mut Round) {
        let group = input.group();
        let parked = self.parked.get_mut(&group);
        match (input, parked) {
            (ApplyInput::Installed(Installed { install, result }), _) => {
                let given = self.give_back(install, result, round);
                self.check(given);
                self.unpark(group, tasks, round);
            }
            (ApplyInput::Resume(_), Some(Parked { why: Busy::Paused, .. })) => {
                self.unpark(group, tasks, round);
            }
            // It waits already: whoever asked learns that by the end of its sender.
            (ApplyInput::Resume(_), _) | (ApplyInput::Pause(..), Some(_)) => {}
            (input, Some(parked)) => parked.waits.push(input),
            (ApplyInput::Task(task), None) => tasks.push_back(task),
            (ApplyInput::Add(_, machine), None) => {
                self.finish(tasks, round);
                self.applier.add(group, machine);
            }
            (ApplyInput::Remove(_, done), None) => {
                self.finish(tasks, round);
                // What was done last may have parked it.
                if let Some(parked) = self.parked.get_mut(&group) {
                    return parked.waits.push(ApplyInput::Remove(group, done));
                }
                self.applier.remove(group);
                // Whoever asked may have given up waiting.
                let _ = done.try_send(());
            }
            (ApplyInput::Pause(_, told), None) => {
                self.finish(tasks, round);
                // What was done last may have parked it.
                if let Entry::Vacant(free) = self.parked.entry(group) {
                    free.insert(Parked { why: Busy::Paused, waits: Vec::new() });
                    let _ = told.try_send(());
                }
            }
        }
    }

    /// The state machine of this group is here again: what waited for it is due.
    fn unpark(&mut self, group: RegionId, tasks: &mut VecDeque<ApplyTask>, round: &mut Round) {
        let parked = self.parked.remove(&group);
        for input in parked.into_iter().flat_map(|parked| parked.waits) {
            self.take_in(input, tasks, round);
        }
    }

    fn finish(&mut self, tasks: &mut VecDeque<ApplyTask>, round: &mut Round) {
        while !tasks.is_empty() && !self.fatal.is_raised() {
            let done = self.round(tasks, round);
            self.check(done);
        }
    }

    fn check(&self, done: Result<(), Error>) {
        if let Err(error) = done {
            self.fatal.raise(format!("apply: {error}"));
        }
    }

    fn round(&mut self, tasks: &mut VecDeque<ApplyTask>, round: &mut Round) -> Result<(), Error> {
        self.applier.run(tasks, round)?;
        if let Some(metrics) = self.metrics.as_ref().filter(|_| !round.reads.is_empty()) {
            metrics.handle_read_index_entries.observe(round.reads.len() as u64);
        }
        self.waiters.reply_all(&mut round.replies);
        self.waiters.read_all(&mut round.reads);
        self.waiters.refuse_gone(&mut round.refused);
        self.snapshots.push_all(round.snapshots.drain(..));
        for (group, meta, spool) in std::mem::take(&mut round.installs) {
            match self.installer.clone() {
                None => self.install(group, meta, spool, round)?,
                Some(installer) => {
                    if let Some(machine) = self.applier.lend(group) {
                        installer.push(Install { group, meta, spool, machine });
                        self.park(group, tasks);
                    } else {
                        round.discards.push(spool);
                    }
                }
            }
        }
        for spool in round.discards.drain(..) {
            self.spools.remove(spool);
        }
        self.report(round);
        Ok(())
    }

    fn report(&self, round: &mut Round) {
        if !round.events.is_empty() {
            self.shard.push(Input::Events(std::mem::take(&mut round.events)));
        }
    }

    fn install(
        &mut self,
        group: RegionId,
        meta: SnapshotMeta,
        spool: u64,
        round: &mut Round,
    ) -> Result<(), Error> {
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
        Ok(())
    }

    /// The state machine is on its way elsewhere: what is left for it here waits.
    fn park(&mut self, group: RegionId, tasks: &mut VecDeque<ApplyTask>) {
        let is_its = |task: &ApplyTask| apply_queues::group_of(task) == group;
        let (its, others): (Vec<_>, Vec<_>) = tasks.drain(..).partition(is_its);
        tasks.extend(others);
        let waits = its.into_iter().map(ApplyInput::Task).collect();
        self.parked.insert(group, Parked { why: Busy::Lent, waits });
    }

    fn give_back(
        &mut self,
        install: Install,
        result: Result<(), Error>,
        round: &mut Round,
    ) -> Result<(), Error> {
        let Install { group, meta, machine, .. } = install;
        self.applier.give_back(group, machine, meta, result, round)?;
        self.report(round);
        Ok(())
    }
}
