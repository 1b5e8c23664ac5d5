//! The thread that drives a shard: drain the mailbox, let the shard think, execute its effects.
//!
//! One drain costs one lock of the mailbox; what is drained becomes one turn, or several when it is
//! much. A turn costs one wake-up of each thread it has work for, and one frame per store.
//! Nothing in here blocks on a disk or a socket.

use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use kontiki_multiraft::{Effects, Event, Shard};
use kontiki_types::{Moment, RegionId};

use crate::apply_queues::ApplyQueues;
use crate::clock::Clock;
use crate::fatal::Fatal;
use crate::log_writer::LogInput;
use crate::mailbox::Mailbox;
use crate::metrics::Replication;
use crate::node_host::Quarantine;
use crate::outbox::Outbox;
use crate::waiters::{Waiter, Waiters};

/// What reaches the shard thread.
pub(crate) enum Input {
    /// Something happened.
    Event(Event),
    /// Several things happened.
    Events(Vec<Event>),
    /// Somebody wants to look at the shard.
    Inspect(Box<dyn FnOnce(&Shard) + Send>),
    /// Somebody adds a group, or brings one back.
    Edit(Edit),
}

/// Changes the shard between two events.
pub(crate) type Edit = Box<dyn FnOnce(&mut Shard, Moment) + Send>;

/// Who waits for which group to halt.
pub(crate) type Halts = Arc<Mutex<BTreeMap<RegionId, Vec<SyncSender<()>>>>>;

/// Most events of a turn: the log and the peers have work while the next one is taken in, and some
/// milliseconds are the longest that what is ready waits. Not fewer: what a thousand groups want
/// costs less together, up to a fifth of their throughput (`docs/bench.md`, `groups`).
const TURN_EVENTS_MAX: usize = 4096;
/// Most bytes of proposals of a turn, for the first of these reasons.
const TURN_BYTES_MAX: usize = 1024 * 1024;

/// A turn, from the first event to the effects.
#[derive(Default)]
struct Turn {
    now: Moment,
    events: usize,
    bytes: usize,
    effects: Effects,
    /// Stores that the turns since the last look into the mailbox did not reach.
    unreachable: Vec<Event>,
}

/// Everything the thread needs.
pub(crate) struct ShardThread {
    pub(crate) shard: Shard,
    pub(crate) clock: Clock,
    pub(crate) inputs: Arc<Mailbox<Input>>,
    pub(crate) log: Arc<Mailbox<LogInput>>,
    pub(crate) apply: ApplyQueues,
    pub(crate) background: Arc<Mailbox<crate::background::Job>>,
    pub(crate) outbox: Outbox,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) on_notice: crate::node_host::OnNotice,
    pub(crate) fatal: Fatal,
    /// Who waits for a group to halt.
    pub(crate) halts: Halts,
    /// Replicas that take no part.
    pub(crate) quarantined: Quarantine,
    /// What followers hear and leaders wait for, when somebody measures.
    pub(crate) replication: Option<Replication>,
}

impl ShardThread {
    /// Until the mailbox is closed and empty.
    pub(crate) fn run(mut self) {
        let mut inputs = Vec::new();
        let mut turn = Turn::default();
        loop {
            let now = self.clock.now();
            let timeout = self.shard.next_deadline().map(|deadline| deadline.since(now));
            let open = self.inputs.drain(&mut inputs, timeout);
            if !open || self.fatal.is_raised() {
                break;
            }
            turn.now = self.clock.now();
            for input in inputs.drain(..) {
                match input {
                    Input::Event(event) => self.on_event(event, &mut turn),
                    Input::Events(events) => {
                        for event in events {
                            self.on_event(event, &mut turn);
                        }
                    }
                    Input::Inspect(look) => look(&self.shard),
                    Input::Edit(edit) => edit(&mut self.shard, turn.now),
                }
            }
            for event in turn.unreachable.drain(..) {
                self.shard.on_event(event, turn.now);
            }
            self.end_turn(&mut turn);
        }
        self.log.close();
        self.apply.close();
        self.background.close();
    }

    fn on_event(&mut self, event: Event, turn: &mut Turn) {
        turn.events += 1;
        turn.bytes += match &event {
            Event::Propose { payload, .. } => payload.len(),
            _ => 0,
        };
        self.take_in(event, turn.now);
        if turn.events >= TURN_EVENTS_MAX || turn.bytes >= TURN_BYTES_MAX {
            self.end_turn(turn);
            turn.now = self.clock.now();
        }
    }

    /// What the groups want after all that was taken in.
    fn end_turn(&mut self, turn: &mut Turn) {
        self.shard.on_time(turn.now);
        self.shard.take_effects(turn.now, &mut turn.effects);
        self.execute(&mut turn.effects, &mut turn.unreachable);
        (turn.events, turn.bytes) = (0, 0);
    }

    fn take_in(&mut self, event: Event, now: Moment) {
        match (&mut self.replication, &event) {
            (Some(replication), Event::Message { group, message, .. }) => {
                let arrived = replication.arrived(*group, message);
                self.shard.on_event(event, now);
                replication.handled(arrived);
            }
            _ => self.shard.on_event(event, now),
        }
    }

    /// Messages first: while they travel, the disk of this store and of the others work at once.
    fn execute(&mut self, effects: &mut Effects, unreachable: &mut Vec<Event>) {
        if let Some(replication) = &mut self.replication {
            replication.leaving(effects, &self.shard);
        }
        self.outbox.send(&mut effects.send, unreachable);
        if let Some(task) = effects.log.take() {
            self.log.push(LogInput::Task(task));
        }
        if !effects.fetch.is_empty() {
            let fetches = effects.fetch.drain(..);
            self.log.push_all(fetches.map(|(group, fetch)| LogInput::Fetch(group, fetch)));
        }
        if !effects.apply.is_empty() {
            self.apply.push_all(&mut effects.apply);
        }
        if effects.sync_engine {
            self.background.push(crate::background::Job::SyncEngine);
        }
        for (token, refused) in effects.refused.drain(..) {
            if let Some(waiter) = self.waiters.take(token) {
                if let Some(replication) = &self.replication {
                    replication.refused(&waiter, refused);
                }
                waiter.refuse(refused);
            }
        }
        for token in effects.accepted.drain(..) {
            if let Some(done) = self.waiters.take_accepted(token) {
                done(Ok(bytes::Bytes::new()));
            }
        }
        for (token, outcome) in effects.transferred.drain(..) {
            if let Some(Waiter::Transfer(done)) = self.waiters.take(token) {
                done(Ok(outcome));
            }
        }
        for (token, membership) in effects.changed.drain(..) {
            if let Some(Waiter::Change(done)) = self.waiters.take(token) {
                done(Ok(membership));
            }
        }
        for (group, notice) in effects.notices.drain(..) {
            (self.on_notice)(group, &notice);
        }
        if !effects.succeeded.is_empty() {
            let mut kept_out = self.quarantined.write().unwrap_or_else(PoisonError::into_inner);
            for group in effects.succeeded.drain(..) {
                tracing::info!(%group, "the heir of the damaged replica takes part");
                kept_out.remove(&group);
            }
        }
        if !effects.halted.is_empty() {
            let mut halts = self.halts.lock().unwrap_or_else(PoisonError::into_inner);
            for group in effects.halted.drain(..) {
                for sender in halts.remove(&group).into_iter().flatten() {
                    // Whoever gave up waiting does not want to know.
                    let _ = sender.try_send(());
                }
            }
        }
    }
}
