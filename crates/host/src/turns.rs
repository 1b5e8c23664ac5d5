//! The turns of a shard: take in what waits, let the shard think, execute its effects.
//!
//! One look into the mailbox costs one lock of it; what is found becomes one turn, or several when
//! it is much. A turn costs one wake-up of each thread it has work for, and one frame per store.
//! Nothing in here blocks on a disk or a socket. Who takes a turn, and when, is decided by
//! [`crate::shard_thread`].

use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
use crate::shard_thread::{Input, Look, TakesTurns};
use crate::waiters::{Waiter, Waiters};

/// Who waits for which group to halt.
pub(crate) type Halts = Arc<Mutex<BTreeMap<RegionId, Vec<SyncSender<()>>>>>;

/// Most events of a turn: the log and the peers have work while the next one is taken in, and some
/// milliseconds are the longest that what is ready waits. Not fewer: what a thousand groups want
/// costs less together, up to a fifth of their throughput (`docs/bench.md`, `groups`).
const TURN_EVENTS_MAX: usize = 4096;
/// Most bytes of proposals of a turn, for the first of these reasons.
const TURN_BYTES_MAX: usize = 1024 * 1024;

/// What waited in the mailbox, and the turn at hand, from its first event to its effects. Kept for
/// its memory.
#[derive(Default)]
pub(crate) struct Turn {
    found: Vec<Input>,
    now: Moment,
    events: usize,
    bytes: usize,
    effects: Effects,
    /// Stores that the turns since the last look into the mailbox did not reach.
    unreachable: Vec<Event>,
}

/// Everything a turn needs.
pub(crate) struct Turns {
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
    pub(crate) turn: Turn,
    pub(crate) owed: Owed,
}

/// What the shard's own thread has still to do, for it calls whoever asked.
#[derive(Default)]
pub(crate) struct Owed {
    effects: Vec<Effects>,
    looks: Vec<Look>,
}

impl TakesTurns for Turns {
    fn take(&mut self) -> bool {
        let mut turn = std::mem::take(&mut self.turn);
        let open = self.inputs.drain(&mut turn.found, Some(Duration::ZERO));
        let goes_on = open && !self.fatal.is_raised();
        if goes_on {
            self.take_in_all(&mut turn);
        }
        self.turn = turn;
        goes_on
    }

    fn owes(&self) -> bool {
        !self.owed.effects.is_empty() || !self.owed.looks.is_empty()
    }

    fn answer(&mut self) {
        let Owed { effects, looks } = std::mem::take(&mut self.owed);
        for effects in effects {
            self.tell(effects);
        }
        for look in looks {
            look(&self.shard);
        }
    }

    fn deadline(&self) -> Option<Moment> {
        self.shard.next_deadline()
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }

    fn end(self, panicked: bool) {
        if panicked {
            self.fatal.raise("a turn of the shard panicked".to_owned());
        }
        self.log.close();
        self.apply.close();
        self.background.close();
    }
}

impl Turns {
    fn take_in_all(&mut self, turn: &mut Turn) {
        turn.now = self.clock.now();
        let mut found = std::mem::take(&mut turn.found);
        for input in found.drain(..) {
            match input {
                Input::Event(event) => self.on_event(event, turn),
                Input::Events(events) => {
                    for event in events {
                        self.on_event(event, turn);
                    }
                }
                Input::Inspect(look) => self.owed.looks.push(look),
                Input::Edit(edit) => edit(&mut self.shard, turn.now),
            }
        }
        turn.found = found;
        self.end_turn(turn);
        if !turn.unreachable.is_empty() {
            for event in std::mem::take(&mut turn.unreachable) {
                self.shard.on_event(event, turn.now);
            }
            self.end_turn(turn);
        }
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
        if effects.concerns_callers() {
            self.owed.effects.push(std::mem::take(effects));
        }
    }

    fn tell(&self, mut effects: Effects) {
        if self.fatal.is_raised() {
            // Whoever hopes for the best hears, when the host stops, that nobody knows.
            effects.accepted.clear();
            effects.transferred.clear();
            effects.changed.clear();
        }
        for (token, refused) in effects.refused {
            if let Some(waiter) = self.waiters.take(token) {
                if let Some(replication) = &self.replication {
                    replication.refused(&waiter, refused);
                }
                waiter.refuse(refused);
            }
        }
        for token in effects.accepted {
            if let Some(done) = self.waiters.take_accepted(token) {
                done(Ok(bytes::Bytes::new()));
            }
        }
        for (token, outcome) in effects.transferred {
            if let Some(Waiter::Transfer(done)) = self.waiters.take(token) {
                done(Ok(outcome));
            }
        }
        for (token, membership) in effects.changed {
            if let Some(Waiter::Change(done)) = self.waiters.take(token) {
                done(Ok(membership));
            }
        }
        for (group, notice) in effects.notices {
            (self.on_notice)(group, &notice);
        }
        if !effects.succeeded.is_empty() {
            let mut kept_out = self.quarantined.write().unwrap_or_else(PoisonError::into_inner);
            for group in effects.succeeded {
                tracing::info!(%group, "the heir of the damaged replica takes part");
                kept_out.remove(&group);
            }
        }
        if !effects.halted.is_empty() {
            let mut halts = self.halts.lock().unwrap_or_else(PoisonError::into_inner);
            for group in effects.halted {
                for sender in halts.remove(&group).into_iter().flatten() {
                    // Whoever gave up waiting does not want to know.
                    let _ = sender.try_send(());
                }
            }
        }
    }
}
