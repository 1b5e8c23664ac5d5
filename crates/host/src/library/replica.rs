//! One node's state machine, with everything the library keeps for it: how far it is, whether it
//! works, its snapshots.
//!
//! The apply worker drives it through [`super::adapter`], the snapshot keeper saves it, the node's
//! owner shuts it down or gives it a new state machine. One lock keeps them apart, so user code is
//! called from one thread at a time. User code that fails or panics is caught here and nowhere
//! else: it puts this replica into its error state and hurts no other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kontiki_multiraft::{Committed, CommittedKind, Event};
use kontiki_raft::{Cause, Contradiction};
use kontiki_types::{Index, Membership, PeerId, Position, RegionId, SnapshotMeta, StoreId, Term};

use super::entries::Entries;
use super::error::Error;
use super::snapshot::files::{SnapshotFiles, Stored};
use super::snapshot::keeper::{Keeper, Schedule};
use super::snapshot::throttle::Throttle;
use super::state_machine::{Following, MachineError, SaveSnapshot, StateMachine};
use super::task::BatchEnd;
use crate::apply_queues::{ApplyInput, ApplyQueues};
use crate::mailbox::Mailbox;
use crate::metrics::Metrics;
use crate::shard_thread::Input;
use crate::waiters::Waiters;

/// See the module.
pub(crate) struct Replica {
    pub(crate) group: RegionId,
    pub(crate) peer: PeerId,
    core: Mutex<Core>,
    view: Mutex<View>,
    applied: AtomicU64,
    pub(crate) files: SnapshotFiles,
    /// Held while a snapshot is saved.
    saving: Mutex<()>,
    pub(crate) schedule: Schedule,
    pub(crate) shared: Arc<Shared>,
}

/// What all replicas of a host share.
pub(crate) struct Shared {
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) inputs: Arc<Mailbox<Input>>,
    pub(crate) apply: ApplyQueues,
    pub(crate) keeper: Keeper,
    pub(crate) throttle: Option<Arc<Throttle>>,
    pub(crate) metrics: Option<Arc<Metrics>>,
}

struct Core {
    machine: Box<dyn StateMachine>,
    /// Why nothing is applied any more.
    ended: Option<Error>,
    applied: Position,
    membership: Membership,
    /// The reign that has begun, and whether the state machine knows.
    reign: Option<(Term, bool)>,
    following: Option<Following>,
    /// Bytes applied since the last snapshot.
    unsaved_bytes: usize,
    /// The keeper has been told when the next snapshot is due.
    is_scheduled: bool,
}

/// What others may see without waiting for the state machine.
#[derive(Clone, Default)]
pub(crate) struct View {
    pub(crate) ended: Option<Error>,
    pub(crate) term: Term,
    pub(crate) leader: Option<(PeerId, StoreId)>,
}

impl Replica {
    /// A replica whose state machine stands where its newest snapshot does, or at the beginning,
    /// under this membership.
    ///
    /// # Errors
    /// The snapshot could not be loaded.
    pub(crate) fn new(
        (group, peer): (RegionId, PeerId),
        machine: Box<dyn StateMachine>,
        beginning: Membership,
        files: SnapshotFiles,
        schedule: Schedule,
        shared: Arc<Shared>,
    ) -> Result<Arc<Self>, Error> {
        let core = Core::new(machine, beginning, &files, shared.metrics.as_deref())?;
        let applied = AtomicU64::new(core.applied.index.0);
        let (core, view, saving) = (Mutex::new(core), Mutex::default(), Mutex::default());
        Ok(Arc::new(Self { group, peer, core, view, applied, files, saving, schedule, shared }))
    }

    /// Begin again with a new state machine, from the newest snapshot. The group must be out of the
    /// shard and of the apply worker.
    pub(crate) fn restart(
        &self,
        machine: Box<dyn StateMachine>,
        beginning: Membership,
    ) -> Result<(), Error> {
        // The log is compacted to what a save under way will hold: begin with that, not before it.
        let _none_under_way = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Core::new(machine, beginning, &self.files, self.shared.metrics.as_deref())?;
        self.applied.store(fresh.applied.index.0, Ordering::SeqCst);
        *self.lock() = fresh;
        *self.lock_view() = View::default();
        Ok(())
    }

    /// The group has begun, or begun again, in this term. Whoever leads may have been heard by now.
    pub(crate) fn know_term(&self, term: Term) {
        let mut view = self.lock_view();
        view.term = view.term.max(term);
    }

    // ---- for everyone ----

    /// Where the state machine stands.
    pub(crate) fn applied(&self) -> Index {
        Index(self.applied.load(Ordering::SeqCst))
    }

    /// Where it stands, with the membership as of there. Waits for a batch under way.
    pub(crate) fn meta(&self) -> SnapshotMeta {
        let core = self.lock();
        SnapshotMeta { position: core.applied, membership: core.membership.clone() }
    }

    pub(crate) fn view(&self) -> View {
        self.lock_view().clone()
    }

    /// Why nothing is applied any more.
    pub(crate) fn ended(&self) -> Option<Error> {
        self.lock_view().ended.clone()
    }

    /// The owner shuts the node down, or the host ends.
    pub(crate) fn shut_down(&self) {
        let mut core = self.lock();
        if core.ended == Some(Error::ShutDown) {
            return;
        }
        self.end(&mut core, Error::ShutDown);
        let _ = caught(|| core.machine.on_shutdown());
    }

    /// Nothing works any more.
    pub(crate) fn host_failed(&self, cause: &str) {
        let mut core = self.lock();
        if core.ended.is_none() {
            self.fail(&mut core, &Error::Host { cause: cause.to_owned() });
        }
    }

    // ---- for the apply worker ----

    /// Apply these entries. An error is the reason why the replica failed, now or before.
    pub(crate) fn apply(self: &Arc<Self>, entries: &[Committed]) -> Result<(), String> {
        let mut core = self.lock();
        if let Some(error) = &core.ended {
            return Err(error.to_string());
        }
        let is_normal = |entry: &&Committed| matches!(entry.kind, CommittedKind::Normal(_));
        let mut rest = entries;
        while let Some(first) = rest.first() {
            let length = rest.iter().take_while(is_normal).count().max(1);
            let (run, later) = rest.split_at(length);
            let result = match &first.kind {
                CommittedKind::Normal(_) => self.apply_tasks(&mut core, run),
                CommittedKind::Config(membership) => {
                    core.membership = membership.clone();
                    core.tell_membership(first.position.index)
                }
                CommittedKind::Empty => Ok(()),
            };
            // The first entry of a reign is empty or, after a forced membership, that membership.
            let result = result.and_then(|()| core.reign_confirmed(first.position.term));
            if let Err(reason) = result {
                self.fail(&mut core, &Error::StateMachine { reason: reason.clone() });
                return Err(reason);
            }
            core.applied = run.last().expect("at least one").position;
            self.applied.store(core.applied.index.0, Ordering::SeqCst);
            rest = later;
        }
        self.schedule(&mut core);
        Ok(())
    }

    fn apply_tasks(&self, core: &mut Core, run: &[Committed]) -> Result<(), String> {
        let began = Instant::now();
        let batch = Arc::new(BatchEnd::default());
        let mut entries = Entries::new(run, &self.shared.waiters, &batch);
        let count = entries.remaining();
        let machine = &mut core.machine;
        let mut result = caught_result(|| machine.apply(&mut entries));
        if result.is_ok() && entries.remaining() > 0 {
            result = Err(format!("apply left {} of {count} tasks", entries.remaining()));
        }
        drop(entries);
        // They are committed: the other nodes apply them, and this one has applied some of them.
        batch.end(&result.clone().map_err(|_| Error::OutcomeUnknown));
        if let Some(metrics) = &self.shared.metrics {
            metrics.fsm_apply_tasks.observe_since(began);
            metrics.fsm_apply_tasks_count.observe(count as u64);
        }
        core.unsaved_bytes += run.iter().map(bytes_of).sum::<usize>();
        result
    }

    /// What a leader says cannot be: this replica goes on no more. Gives the reason.
    pub(crate) fn contradicted(&self, what: &Contradiction) -> String {
        let mut core = self.lock();
        if core.ended.is_none() {
            self.fail(&mut core, &Error::Contradiction(what.clone()));
        }
        what.to_string()
    }

    pub(crate) fn leading(&self, term: Term, stopped: Option<Cause>) {
        let mut core = self.lock();
        if let Some(why) = stopped {
            if let Some((reign, true)) = core.reign.take() {
                self.call(&mut core, |machine| machine.on_leader_stop(reign, why));
            }
        } else {
            // The state machine is told once it holds everything from before: with the first entry
            // of the term.
            core.reign = Some((term, false));
        }
    }

    pub(crate) fn leader_changed(&self, term: Term, leader: Option<(PeerId, StoreId)>, why: Cause) {
        let mut core = self.lock();
        {
            let mut view = self.lock_view();
            (view.term, view.leader) = (term, leader);
        }
        let other = leader.filter(|(peer, _)| *peer != self.peer);
        let next = other.map(|(peer, store)| Following { peer, store, term });
        if next == core.following {
            return;
        }
        if let Some(before) = core.following.take() {
            self.call(&mut core, |machine| machine.on_stop_following(&before, why));
        }
        core.following = next;
        if let Some(now) = next {
            self.call(&mut core, |machine| machine.on_start_following(&now));
        }
    }

    /// A snapshot from another store is on disk here: the state is what it says.
    pub(crate) fn install(&self, stored: &Arc<Stored>) -> Result<(), String> {
        let mut core = self.lock();
        if let Some(error) = &core.ended {
            return Err(error.to_string());
        }
        if let Err(error) = core.load(stored, self.shared.metrics.as_deref()) {
            let reason = error.to_string();
            self.fail(&mut core, &Error::StateMachine { reason: reason.clone() });
            return Err(reason);
        }
        self.applied.store(core.applied.index.0, Ordering::SeqCst);
        Ok(())
    }

    // ---- snapshots ----

    /// Save a snapshot of this moment, durably; the log below it may go then. Called by the keeper,
    /// and by the stream to a follower that needs one before there is any: one after the other.
    ///
    /// The state machine is copied away from the apply worker: what is for this group waits there
    /// meanwhile, and the other groups of the worker do not.
    pub(crate) fn save(&self) -> Result<Arc<Stored>, Error> {
        let _one_at_a_time = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = self.files.newest();
        if let Some(newest) = newest.filter(|newest| newest.index() == self.applied()) {
            return Ok(newest);
        }
        let (sender, receiver) = sync_channel(1);
        let queue = self.shared.apply.of(self.group);
        queue.push(ApplyInput::Pause(self.group, sender));
        if receiver.recv().is_err() {
            let busy = "the host ends, or installs a snapshot of another store";
            return Err(self.ended().unwrap_or_else(|| Error::Snapshot(busy.to_owned())));
        }
        let captured = self.capture();
        queue.push(ApplyInput::Resume(self.group));
        let (meta, save) = captured?;
        self.write(meta, save)
    }

    /// The log needs the room of what is applied.
    pub(crate) fn save_soon(self: &Arc<Self>) {
        self.shared.keeper.save_through(self);
    }

    /// What a snapshot of this moment stands for, and the function that writes it.
    fn capture(&self) -> Result<(SnapshotMeta, SaveSnapshot), Error> {
        let mut core = self.lock();
        if let Some(error) = &core.ended {
            return Err(error.clone());
        }
        let save = caught(|| core.machine.save_snapshot())
            .and_then(|result| result.map_err(|error| error.to_string()))
            .map_err(Error::Snapshot)?;
        core.unsaved_bytes = 0;
        let meta = SnapshotMeta { position: core.applied, membership: core.membership.clone() };
        Ok((meta, save))
    }

    fn write(&self, meta: SnapshotMeta, save: SaveSnapshot) -> Result<Arc<Stored>, Error> {
        let began = Instant::now();
        let refused = |error: std::io::Error| Error::Snapshot(error.to_string());
        let mut writer = self.files.begin(meta, self.shared.throttle.clone()).map_err(refused)?;
        caught_result(|| save(&mut writer)).map_err(Error::Snapshot)?;
        let stored = self.files.commit(writer).map_err(refused)?;
        let (group, index) = (self.group, stored.index());
        self.shared.inputs.push(Input::Event(Event::Snapshotted { group, index }));
        if let Some(metrics) = &self.shared.metrics {
            metrics.snapshot_save.observe_since(began);
        }
        Ok(stored)
    }

    /// The keeper has saved, or found nothing to save: the next entry makes a new appointment.
    pub(crate) fn unschedule(&self) {
        self.lock().is_scheduled = false;
    }

    fn schedule(self: &Arc<Self>, core: &mut Core) {
        if core.unsaved_bytes >= self.schedule.log_bytes {
            core.unsaved_bytes = 0;
            self.shared.keeper.save_through(self);
        } else if core.unsaved_bytes > 0 && !core.is_scheduled {
            core.is_scheduled = self.shared.keeper.appoint(self);
        }
    }

    // ---- the end ----

    /// Call user code that cannot fail; if it does, so does the replica.
    fn call(&self, core: &mut Core, callback: impl FnOnce(&mut dyn StateMachine)) {
        if core.ended.is_some() {
            return;
        }
        let machine = core.machine.as_mut();
        if let Err(reason) = caught(|| callback(machine)) {
            self.fail(core, &Error::StateMachine { reason });
            let group = self.group;
            self.shared.inputs.push(Input::Event(Event::Halt { group }));
        }
    }

    fn fail(&self, core: &mut Core, error: &Error) {
        tracing::error!(group = %self.group, peer = %self.peer, %error, "node in error state");
        if let Some(metrics) = &self.shared.metrics {
            metrics.fsm_error_times.add_one();
        }
        self.end(core, error.clone());
        let _ = caught(|| core.machine.on_error(error));
    }

    fn end(&self, core: &mut Core, error: Error) {
        core.ended = Some(error.clone());
        let mut view = self.lock_view();
        view.ended = Some(error);
        view.leader = None;
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    fn new(
        machine: Box<dyn StateMachine>,
        membership: Membership,
        files: &SnapshotFiles,
        metrics: Option<&Metrics>,
    ) -> Result<Self, Error> {
        let mut core = Self {
            machine,
            ended: None,
            applied: Position::ZERO,
            membership,
            reign: None,
            following: None,
            unsaved_bytes: 0,
            is_scheduled: false,
        };
        if let Some(stored) = files.newest() {
            core.load(&stored, metrics)?;
        }
        Ok(core)
    }

    fn load(&mut self, stored: &Arc<Stored>, metrics: Option<&Metrics>) -> Result<(), Error> {
        let began = Instant::now();
        let mut reader = stored.reader();
        caught_result(|| self.machine.load_snapshot(&mut reader)).map_err(Error::Snapshot)?;
        let SnapshotMeta { position, membership } = &stored.manifest.meta;
        (self.applied, self.membership) = (*position, membership.clone());
        self.unsaved_bytes = 0;
        if let Some(metrics) = metrics {
            metrics.snapshot_load.observe_since(began);
        }
        Ok(())
    }

    /// A membership is committed. Joint ones pass without a word, as in JRaft.
    fn tell_membership(&mut self, index: Index) -> Result<(), String> {
        let Self { machine, membership, .. } = self;
        if membership.is_joint() {
            return Ok(());
        }
        caught(|| machine.on_configuration_committed(index, membership))
    }

    /// The first entry of a term is applied: if it is this replica's, its reign begins.
    fn reign_confirmed(&mut self, term: Term) -> Result<(), String> {
        match &mut self.reign {
            Some((reign, told)) if *reign == term && !*told => {
                *told = true;
                caught(|| self.machine.on_leader_start(term))
            }
            _ => Ok(()),
        }
    }
}

fn bytes_of(entry: &Committed) -> usize {
    match &entry.kind {
        CommittedKind::Normal(payloads) => payloads.bytes() + kontiki_types::Entry::OVERHEAD_BYTES,
        CommittedKind::Empty | CommittedKind::Config(_) => 0,
    }
}

/// Run user code; a panic becomes its message.
fn caught<T>(user: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(user)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        format!("panicked: {}", text.unwrap_or_else(|| "without a message".to_owned()))
    })
}

/// The same for code that may fail.
fn caught_result<T>(user: impl FnOnce() -> Result<T, MachineError>) -> Result<T, String> {
    caught(user).and_then(|result| result.map_err(|error| error.to_string()))
}
