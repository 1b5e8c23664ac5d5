//! The thread that drives a shard: drain the mailbox, let the shard think, execute its effects.
//!
//! One turn costs one lock of the mailbox, one wake-up of each thread it has work for, one frame
//! per store. Nothing in here blocks on a disk or a socket.

use std::sync::Arc;

use kontiki_multiraft::{ApplyTask, Effects, Event, LogTask, Shard};

use crate::clock::Clock;
use crate::fatal::Fatal;
use crate::mailbox::Mailbox;
use crate::outbox::Outbox;
use crate::waiters::Waiters;

/// What reaches the shard thread.
pub(crate) enum Input {
    /// Something happened.
    Event(Event),
    /// Several things happened.
    Events(Vec<Event>),
    /// Somebody wants to look at the shard.
    Inspect(Box<dyn FnOnce(&Shard) + Send>),
}

/// Everything the thread needs.
pub(crate) struct ShardThread {
    pub(crate) shard: Shard,
    pub(crate) clock: Clock,
    pub(crate) inputs: Arc<Mailbox<Input>>,
    pub(crate) log: Arc<Mailbox<LogTask>>,
    pub(crate) apply: Arc<Mailbox<ApplyTask>>,
    pub(crate) background: Arc<Mailbox<crate::background::Job>>,
    pub(crate) outbox: Outbox,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) on_notice: crate::node_host::OnNotice,
    pub(crate) fatal: Fatal,
}

impl ShardThread {
    /// Until the mailbox is closed and empty.
    pub(crate) fn run(mut self) {
        let mut inputs = Vec::new();
        let mut effects = Effects::default();
        let mut unreachable = Vec::new();
        loop {
            let now = self.clock.now();
            let timeout = self.shard.next_deadline().map(|deadline| deadline.since(now));
            let open = self.inputs.drain(&mut inputs, timeout);
            if !open || self.fatal.is_raised() {
                break;
            }
            let now = self.clock.now();
            for input in inputs.drain(..) {
                match input {
                    Input::Event(event) => self.shard.on_event(event, now),
                    Input::Events(events) => {
                        for event in events {
                            self.shard.on_event(event, now);
                        }
                    }
                    Input::Inspect(look) => look(&self.shard),
                }
            }
            for event in unreachable.drain(..) {
                self.shard.on_event(event, now);
            }
            self.shard.on_time(now);
            self.shard.take_effects(now, &mut effects);
            self.execute(&mut effects, &mut unreachable);
        }
        self.log.close();
        self.apply.close();
        self.background.close();
    }

    /// Messages first: while they travel, the disk of this store and of the others work at once.
    fn execute(&self, effects: &mut Effects, unreachable: &mut Vec<Event>) {
        self.outbox.send(&mut effects.send, unreachable);
        if let Some(task) = effects.log.take() {
            self.log.push(task);
        }
        if !effects.apply.is_empty() {
            self.apply.push_all(effects.apply.drain(..));
        }
        if effects.sync_engine {
            self.background.push(crate::background::Job::SyncEngine);
        }
        for (token, refused) in effects.refused.drain(..) {
            if let Some(waiter) = self.waiters.take(token) {
                waiter.refuse(refused);
            }
        }
        for token in effects.accepted.drain(..) {
            if let Some(crate::waiters::Waiter::Propose(done)) = self.waiters.take(token) {
                done(Ok(bytes::Bytes::new()));
            }
        }
        for (group, notice) in effects.notices.drain(..) {
            (self.on_notice)(group, &notice);
        }
    }
}
