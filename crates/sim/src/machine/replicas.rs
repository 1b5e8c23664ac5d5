//! Replicas that come and go while a store is at work: what a driver of many groups owes them.
//!
//! A replica is created when a leader speaks to one that is not here, and destroyed some time after
//! it learnt that it was removed, or when a newer one is to take its place. The driver notes both
//! durably: first that a replica is to go, then it goes; an id that went never comes back
//! ([`kontiki_multiraft::Unknown`] tells why).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kontiki_log::Record;
use kontiki_multiraft::{Event, GroupSpec, StateMachine, Unknown, membership_codec, restore};
use kontiki_raft::{Config as RaftConfig, Node};
use kontiki_store::{Descriptors, Replica};
use kontiki_types::{Body, Membership, Message, PeerId, Position, RegionId};

use crate::cluster::age;
use crate::env::{Env, Work};
use crate::marks::Mark;
use crate::mutant::Outside;

use super::Machine;
use super::memory::Rows;

/// Longest time between a removal and the end of the replica.
const GRACE_MS_MAX: u64 = 2_000;

/// What a driver notes of its replicas. It outlives crashes: a note is durable once it is made.
#[derive(Default)]
pub(super) struct Notes {
    /// The replica of each group that is here.
    here: BTreeMap<RegionId, PeerId>,
    /// Who is to succeed it, or did.
    heirs: BTreeMap<RegionId, PeerId>,
    /// Those that went.
    gone: BTreeSet<PeerId>,
    /// Groups of which one went.
    had: BTreeSet<RegionId>,
}

impl Notes {
    /// A replica is here.
    pub(super) fn add(&mut self, group: RegionId, peer: PeerId) {
        self.here.insert(group, peer);
    }

    /// The groups that have a replica here.
    pub(super) fn groups(&self) -> impl Iterator<Item = RegionId> + '_ {
        self.here.keys().copied()
    }

    /// The replica that is here.
    pub(super) fn peer(&self, group: RegionId) -> Option<PeerId> {
        self.here.get(&group).copied()
    }

    /// The replica that is here is to be succeeded by this one, and by no heir before it.
    pub(super) fn appoint(&mut self, group: RegionId, heir: PeerId) {
        self.gone.extend(self.heirs.insert(group, heir));
    }

    fn remove(&mut self, group: RegionId) {
        self.gone.extend(self.heirs.remove(&group));
        if let Some(peer) = self.here.remove(&group) {
            self.gone.insert(peer);
            self.had.insert(group);
        }
    }
}

impl Machine {
    /// Somebody speaks to a replica that is not here.
    pub(super) fn on_unknown(&mut self, unknown: Unknown, env: &mut Env) {
        let (group, peer) = (unknown.group, unknown.message.to);
        if !unknown.wants_replica() || self.notes.gone.contains(&peer) {
            return;
        }
        if self.is_kept_out(group) {
            // It cannot hear of its removal. The leader repeats itself.
            if self.is_newer(group, peer) {
                env.marks.hit(Mark::KeptOutReplaced);
                self.destroy(group, env);
            }
            return;
        }
        if self.running().shard.is_free(group) {
            self.create(group, peer, env);
        }
        let Unknown { group, store, message } = unknown;
        self.tell_shard([Event::Message { group, store, message }], env);
    }

    /// Its replica of this group is silent for ever.
    fn is_kept_out(&self, group: RegionId) -> bool {
        let shard = self.running.as_ref().map(|running| &running.shard);
        self.node(group).is_none() && shard.is_some_and(|shard| shard.status(group).is_some())
    }

    /// Whether this replica came after the one that is here, and after its heir.
    fn is_newer(&self, group: RegionId, peer: PeerId) -> bool {
        let here = self.notes.here.get(&group).into_iter().chain(self.notes.heirs.get(&group));
        here.map(|&here| age(here)).all(|here| here < age(peer))
    }

    fn create(&mut self, group: RegionId, peer: PeerId, env: &mut Env) {
        env.tell(format_args!("{} creates {peer} of {group}", self.id));
        env.marks.hit(Mark::ReplicaCreated);
        if self.notes.had.contains(&group) {
            env.marks.hit(Mark::ReplicaReturned);
        }
        self.notes.add(group, peer);
        let begun = restore(group, None, Position::ZERO, &Membership::default());
        let (restored, records) = begun.expect("there is nothing to contradict");
        let raft = self.raft_config(group, peer, env);
        let now = self.clock.local(env.now);
        let running = self.running();
        let replica = running.rows.blank(group, &running.descriptors, env);
        let durability = running.rows.durability(group);
        running.shard.join_group(GroupSpec { group, raft, restored, durability }, records, now);
        running.applier.add(group, running.rows.machine(replica));
    }

    /// The settings of a replica.
    pub(super) fn raft_config(&mut self, group: RegionId, peer: PeerId, env: &Env) -> RaftConfig {
        let options = &env.options.store;
        let mut raft = RaftConfig::new(peer, self.rng.next_u64(), membership_codec());
        raft.election_timeout = options.election_timeout;
        raft.heartbeat_interval = options.election_timeout / 10;
        raft.options.inflight_messages_max = options.inflight_messages;
        raft.options.append_bytes_max = options.append_bytes;
        raft.cache_bytes_max = options.cache_bytes;
        let habits = &env.options.habits;
        raft.hibernate_after = habits.hibernate_after;
        raft.options.read_lag_max = habits.read_lag_max;
        raft.priorities = env.options.priorities(env.cluster.region(group));
        raft
    }

    /// A replica learnt that it was removed: it goes, some time.
    pub(super) fn on_removed(&mut self, group: RegionId, env: &mut Env) {
        let Some(peer) = self.notes.peer(group) else { return };
        let grace = Duration::from_millis(self.rng.below(GRACE_MS_MAX));
        self.plan(grace, Work::Destroy { group, peer }, env);
    }

    /// It goes.
    pub(super) fn on_destroy(&mut self, group: RegionId, peer: PeerId, env: &mut Env) {
        let is_removed = self.node(group).is_some_and(Node::is_removed);
        if is_removed && self.notes.peer(group) == Some(peer) {
            self.destroy(group, env);
        }
    }

    /// A leader wants another replica where there is one. Ids grow, and a leader knows every member
    /// of terms before its own: so an older id is of a replica that is none any more.
    pub(super) fn give_way(&mut self, group: RegionId, message: &Message, env: &mut Env) {
        let Some(node) = self.node(group) else { return };
        let is_wanted = matches!(message.body, Body::Append { .. } | Body::Heartbeat { .. });
        let is_wanted = is_wanted && message.term >= node.term();
        if is_wanted && message.to != node.id() && self.is_newer(group, message.to) {
            env.marks.hit(Mark::ReplicaReplaced);
            self.destroy(group, env);
        }
    }

    fn destroy(&mut self, group: RegionId, env: &mut Env) {
        env.tell(format_args!("{} destroys its replica of {group}", self.id));
        env.marks.hit(Mark::ReplicaDestroyed);
        self.notes.remove(group);
        self.drop_saved(group);
        let judged = env.safety.on_destroyed(self.id, group);
        env.judge(judged);
        let running = self.running();
        running.shard.destroy_group(group);
        running.descriptors.remove(group);
        running.heard.remove(&group);
        running.asleep.remove(&group);
        running.resting.remove(&group);
        running.forget_seen(group);
        self.plan_turn(env);
    }

    /// The replica goes and nobody remembers it: what a careful driver never does.
    pub(crate) fn wipe(&mut self, group: RegionId, env: &mut Env) {
        let peer = self.notes.peer(group);
        self.destroy(group, env);
        self.notes.gone.retain(|gone| Some(*gone) != peer);
    }

    /// What a crash left of replicas that were to go is destroyed, and those that are here and have
    /// nothing yet are made again. Gives what the log is to forget.
    pub(super) fn settle_replicas(
        &mut self,
        replicas: &mut Vec<Replica>,
        known: &mut dyn Iterator<Item = RegionId>,
        rows: &mut Rows,
        descriptors: &Descriptors,
        env: &mut Env,
    ) -> Result<Vec<Record>, kontiki_multiraft::Error> {
        if self.life > 0 && env.options.is_mutant(Outside::ReplicaForgotten) {
            self.notes.here.pop_first();
        }
        let is_gone = |replica: &mut Replica| self.notes.peer(replica.id()).is_none();
        for mut replica in replicas.extract_if(.., is_gone) {
            env.marks.hit(Mark::DestroyResumed);
            descriptors.remove(replica.id());
            replica.destroy()?;
        }
        let mut forgotten = Vec::new();
        let mut logged = BTreeSet::new();
        for group in known {
            if self.notes.peer(group).is_none() {
                forgotten.push(Record::Forget { group });
            }
            logged.insert(group);
        }
        let missing: Vec<RegionId> = self.notes.here.keys().copied().collect();
        for group in missing {
            if replicas.iter().any(|replica| replica.id() == group) {
                continue;
            }
            if logged.contains(&group) {
                env.marks.hit(Mark::BlankAtStart);
                replicas.push(rows.blank(group, descriptors, env));
            } else {
                // It never came to be, so it said nothing that counts.
                self.notes.here.remove(&group);
            }
        }
        Ok(forgotten)
    }
}
