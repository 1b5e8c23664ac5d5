//! Replicas that rest while their store is at work: their state machine failed, or their owner shut
//! them down; and come back with what was saved last.
//!
//! ```text
//!   halted         the shard has let it go; what it had handed out is still on its way
//!   Work::Rest     all that is applied, or skipped; the state machine goes
//!   Work::Revive   all that it said is heard; a new one, from the newest snapshot, joins
//! ```

use std::time::Duration;

use kontiki_multiraft::{Event, Revival};
use kontiki_store::Replica;
use kontiki_types::{PeerId, RegionId, SnapshotMeta};

use crate::env::{Env, Work};
use crate::fault::before_calm;
use crate::marks::Mark;
use crate::violation::Rule;

use super::Machine;
use super::memory::Memory;

/// Longest time until the owner of a replica notices that it has halted.
const NOTICED_MICROS_MAX: u64 = 2_000;
/// Longest that an owner in a hurry waits.
const HURRY: Duration = Duration::from_millis(1);
/// When a revival that was too early is tried again.
const AGAIN: Duration = Duration::from_millis(10);

impl Machine {
    /// The state machine of a group in memory fails, soon or with the next snapshot it is to load.
    pub fn fail_machine(&mut self, group: RegionId, loading: bool) {
        let running = self.running.as_ref();
        if let Some(memory) = running.and_then(|running| running.rows.memories.get(&group)) {
            memory.fail(loading);
        }
    }

    /// No state machine fails any more.
    pub(super) fn heal_machines(&self) {
        let memories = self.running.iter().flat_map(|running| running.rows.memories.values());
        memories.for_each(Memory::heal);
    }

    /// The owner of a replica in memory shuts it down, and lets it hand over or not.
    pub fn halt(&mut self, group: RegionId, is_at_once: bool, env: &mut Env) {
        let Some(running) = &mut self.running else { return };
        if !running.rows.memories.contains_key(&group) || running.resting.contains(&group) {
            return;
        }
        env.marks.hit(Mark::ShutDown);
        if is_at_once {
            running.shard.halt_now(group);
            self.plan_turn(env);
        } else {
            self.tell_shard([Event::Halt { group }], env);
        }
    }

    /// Whether its replica of a group takes no part for now.
    pub(super) fn is_resting(&self, group: RegionId) -> bool {
        self.running.as_ref().is_some_and(|running| running.resting.contains(&group))
    }

    /// The shard has let a replica go.
    pub(super) fn on_halted(&mut self, group: RegionId, env: &mut Env) {
        let Some(peer) = self.notes.peer(group).filter(|_| self.node(group).is_some()) else {
            return;
        };
        let running = self.running();
        if running.resting.insert(group) {
            running.forget_seen(group);
            let judged = env.safety.on_halted(self.id, group);
            env.judge(judged);
            env.tell(format_args!("{} lets {group} rest", self.id));
            let delay = Duration::from_micros(self.rng.below(NOTICED_MICROS_MAX));
            self.plan(delay, Work::Rest { group, peer }, env);
        }
    }

    /// What the apply worker still has of it is done, and its state machine goes.
    pub(super) fn on_rest(&mut self, group: RegionId, peer: PeerId, env: &mut Env) {
        if !self.is_resting(group) || self.notes.peer(group) != Some(peer) {
            return;
        }
        self.apply(env);
        self.running().applier.remove(group);
        // An owner in a hurry does not wait for what is on its way to the log.
        let longest = if self.rng.chance(500) { HURRY } else { env.options.faults.down_max };
        let longest = u64::try_from(longest.as_micros()).expect("minutes");
        let delay = Duration::from_micros(self.rng.below(longest) + 1);
        self.plan(before_calm(env.now, delay), Work::Revive { group, peer }, env);
    }

    /// It comes back, unless it was destroyed meanwhile.
    pub(super) fn on_revive(&mut self, group: RegionId, peer: PeerId, env: &mut Env) {
        if !self.running().inbox.is_empty() {
            self.turn(env);
        }
        let is_over = self.has_failed || self.notes.peer(group) != Some(peer);
        if is_over || !self.is_resting(group) {
            return;
        }
        let memory = self.running().rows.memories.get(&group);
        let is_saving = memory.is_some_and(|memory| memory.saving.is_some());
        let chunks = (!is_saving).then(|| self.read_saved(group));
        let Some(Ok(chunks)) = chunks else {
            env.tell(format_args!("{} cannot bring {group} back yet", self.id));
            return self.plan(AGAIN, Work::Revive { group, peer }, env);
        };
        match self.load(group, chunks, env) {
            Ok((replica, memory)) => self.revive(replica, memory, env),
            Err(error) => self.fatal(&format!("revival of {group}: {error}"), env),
        }
    }

    fn revive(&mut self, replica: Replica, memory: Memory, env: &mut Env) {
        let group = replica.id();
        let peer = self.notes.peer(group).expect("it is here");
        let raft = self.raft_config(group, peer, env);
        let at = SnapshotMeta { position: replica.applied(), membership: replica.membership() };
        env.tell(format_args!("{} brings {group} back at {at:?}", self.id));
        env.marks.hit(Mark::Revived);
        let now = self.clock.local(env.now);
        let running = self.running();
        running.forget_seen(group);
        running.descriptors.insert(replica.cell());
        running.rows.memories.insert(group, memory);
        let machine = running.rows.machine(replica);
        running.applier.add(group, machine);
        self.hash_group(group, env);
        let running = self.running();
        if !running.shard.revive(group, Revival { raft, at: at.clone() }, now) {
            let what = format!("{} cannot bring {group} back at {at:?}", self.id);
            env.fail(Rule::NoError, what);
        }
        if self.running().shard.is_halted(group) {
            env.marks.hit(Mark::RevivedLater);
        }
        self.plan_turn(env);
    }
}
