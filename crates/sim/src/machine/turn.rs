//! One turn of the shard: take in what waits, drain the effects, execute them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use kontiki_codec::frame;
use kontiki_multiraft::{Effects, Event, Outbound};
use kontiki_types::{Body, Message, Moment, PeerId, RegionId, StoreId, Term};

use crate::env::{Env, Work};
use crate::marks::Mark;
use crate::network::Address;
use crate::violation::Rule;
use crate::wire::Packet;

use super::Machine;
use super::running::Running;
use super::sleep::rouse;

impl Machine {
    /// Hands events to the shard; it takes them in at its next turn.
    pub(super) fn tell_shard(&mut self, events: impl IntoIterator<Item = Event>, env: &mut Env) {
        let running = self.running();
        running.inbox.extend(events);
        if !running.inbox.is_empty() {
            self.plan_turn(env);
        }
    }

    /// The shard has something to do.
    pub(super) fn plan_turn(&mut self, env: &mut Env) {
        if std::mem::replace(&mut self.running().is_turn_planned, true) {
            return;
        }
        let most = u64::try_from(env.options.store.turn_delay_max.as_micros()).expect("short");
        let delay = Duration::from_micros(self.rng.below(most + 1));
        self.plan(delay, Work::Turn, env);
    }

    /// A frame from another store.
    pub(super) fn on_frame(&mut self, store: StoreId, frame: Bytes, env: &mut Env) {
        match frame::decode(frame) {
            Ok(messages) => {
                for (group, message) in &messages {
                    self.give_way(*group, message, env);
                }
                let messages = messages.into_iter();
                let events =
                    messages.map(|(group, message)| Event::Message { group, store, message });
                self.tell_shard(events, env);
            }
            Err(error) => {
                env.marks.hit(Mark::FrameDamaged);
                env.tell(format_args!("{} refuses a frame: {error}", self.id));
                if env.options.network.damage == 0 {
                    env.fail(Rule::NoError, format!("{} refuses a whole frame: {error}", self.id));
                }
            }
        }
    }

    /// A message as if it had come in a frame.
    pub(crate) fn hear(
        &mut self,
        group: RegionId,
        store: StoreId,
        message: Message,
        env: &mut Env,
    ) {
        self.tell_shard([Event::Message { group, store, message }], env);
    }

    /// A deadline may have come.
    pub(super) fn on_timer(&mut self, env: &mut Env) {
        let now = env.now;
        let running = self.running();
        // An earlier deadline took its place since; a pause makes one late.
        if running.timer_at.is_none_or(|at| at > now) {
            return;
        }
        running.timer_at = None;
        self.turn(env);
    }

    /// One turn.
    pub(super) fn turn(&mut self, env: &mut Env) {
        let now = self.clock.local(env.now);
        let id = self.id;
        let running = self.running();
        running.is_turn_planned = false;
        let mut effects = std::mem::take(&mut running.effects);
        let mut heard = Vec::new();
        let mut roused = BTreeMap::new();
        for event in running.inbox.drain(..) {
            heard.extend(word_of_leader(&event));
            if env.trace.is_told() {
                env.trace.line(env.now, format_args!("{id} takes in {event:?}"));
            }
            rouse(&running.asleep, &event, &mut roused);
            running.shard.on_event(event, now);
        }
        running.shard.on_time(now);
        let touched = running.shard.touched();
        let passed_over = running.shard.snapshots_passed_over();
        running.shard.take_effects(now, &mut effects);
        if running.shard.snapshots_passed_over() > passed_over {
            env.marks.hit(Mark::SnapshotPassedOver);
        }
        running.note_sleep(&touched, &roused, env);
        self.execute(&mut effects, &touched, env);
        // What this very turn took in may have come after what it answered.
        self.running().note_heard(&heard, now);
        self.running().effects = effects;
        self.plan_timer(env);
    }

    fn execute(&mut self, effects: &mut Effects, touched: &BTreeSet<RegionId>, env: &mut Env) {
        if let Some(task) = effects.log.take() {
            env.trace.mix(task.seq.0);
            if env.trace.is_told() {
                env.tell(format_args!("{} logs {:?}", self.id, task.records));
            }
            self.queue_log(task, env);
        }
        self.running().writer.fetches.append(&mut effects.fetch);
        for &group in touched {
            self.judge_node(group, env);
        }
        self.judge_apply(&mut effects.apply, env);
        self.send(std::mem::take(&mut effects.send), env);
        if !effects.apply.is_empty() {
            let tasks = std::mem::take(&mut effects.apply);
            self.queue_apply(tasks, env);
        }
        if effects.sync_engine {
            self.begin_engine_sync(env);
        }
        for (token, refused) in effects.refused.drain(..) {
            self.refuse(token, refused, env);
        }
        for token in effects.accepted.drain(..) {
            self.running().callers.remove(&token);
        }
        for (token, membership) in effects.changed.drain(..) {
            env.tell(format_args!("{} changed to {membership:?}", self.id));
            env.marks.hit(Mark::MembershipChanged);
            self.running().callers.remove(&token);
        }
        for group in effects.succeeded.drain(..) {
            env.tell(format_args!("{} {group} has its heir", self.id));
            env.marks.hit(Mark::HeirBorn);
        }
        for (group, notice) in &effects.notices {
            self.on_notice(*group, notice, env);
        }
        for group in effects.halted.drain(..) {
            self.on_halted(group, env);
        }
        for unknown in effects.unknown.drain(..) {
            self.on_unknown(unknown, env);
        }
        self.write_log(env);
    }

    /// Frames and sends messages that may leave now: one frame for each store.
    pub(super) fn send(&mut self, messages: Vec<Outbound>, env: &mut Env) {
        let mut frames: BTreeMap<StoreId, frame::Builder> = BTreeMap::new();
        for outbound in messages {
            if env.trace.is_told() {
                env.tell(format_args!("{} says {:?}", self.id, outbound.message));
            }
            match env.safety.on_send(self.id, outbound.group, &outbound.message) {
                Ok(true) => env.marks.hit(Mark::AcknowledgedAndCut),
                Ok(false) => {}
                Err(violation) => env.fail(violation.rule, violation.what),
            }
            self.judge_grant(&outbound, env);
            frames.entry(outbound.store).or_default().push(outbound.group, &outbound.message);
        }
        for (store, builder) in frames {
            let frame = builder.finish();
            env.trace.mix(frame.len() as u64);
            self.note_unreachable(store, env);
            env.send(self.address(), Address::Store(store), Packet::Peer(frame));
        }
    }

    /// The transport notices a cut link now and then, as a broken connection is noticed.
    fn note_unreachable(&mut self, store: StoreId, env: &mut Env) {
        let is_cut = env.network.is_blocked(self.address(), Address::Store(store));
        if is_cut && self.rng.chance(100) {
            self.tell_shard([Event::Unreachable { store }], env);
        }
    }

    fn plan_timer(&mut self, env: &mut Env) {
        let running = self.running.as_mut().expect("a turn has power");
        let Some(deadline) = running.shard.next_deadline() else { return };
        let at = self.clock.global(deadline).max(env.now);
        if running.timer_at.is_none_or(|planned| at < planned) {
            running.timer_at = Some(at);
            self.plan(at.since(env.now), Work::Timer, env);
        }
    }
}

impl Running {
    /// Remembers whose leaders were heard of, if the nodes took it so. What is for the replica that
    /// was here before, and late, says nothing to this one (seed 587211632424).
    fn note_heard(&mut self, heard: &[(RegionId, PeerId, Term)], now: Moment) {
        for &(group, to, term) in heard {
            let node = self.shard.node(group);
            if node.is_some_and(|node| (node.id(), node.term()) == (to, term)) {
                self.heard.insert(group, (term, now));
            }
        }
    }
}

/// The group of a leader, to whom it speaks, and its term, if it is one who speaks.
fn word_of_leader(event: &Event) -> Option<(RegionId, PeerId, Term)> {
    let Event::Message { group, message, .. } = event else { return None };
    let is_leader = matches!(message.body, Body::Append { .. } | Body::Heartbeat { .. });
    is_leader.then_some((*group, message.to, message.term))
}
