//! The judges of a turn: called with what the shard wants before any of it is done.
//!
//! They look at nodes and at what leaves them; they change nothing but the record of the run.

use std::time::Duration;

use kontiki_multiraft::{ApplyTask, Event, Outbound};
use kontiki_raft::Node;
use kontiki_raft::invariants::{self, Observed};
use kontiki_types::{Body, RegionId};

use crate::env::Env;
use crate::marks::Mark;
use crate::violation::Rule;

use super::Machine;
use super::running::{Asked, Caller, Route, Running};

/// The entries of a log are looked at one by one when there are so few of them.
const SHORT_LOG: u64 = 32;
/// Where nothing goes wrong a write is answered in this time.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// Those of a longer one at one turn in so many.
const WALK_EVERY: u64 = 64;

impl Machine {
    /// Nobody is helped to an election while the leader is heard of.
    pub(super) fn judge_grant(&self, outbound: &Outbound, env: &mut Env) {
        let Some(running) = &self.running else { return };
        if !matches!(outbound.message.body, Body::PreVoteReply { granted: true }) {
            return;
        }
        let group = outbound.group;
        let Some(&(term, at)) = running.heard.get(&group) else { return };
        let silence = self.clock.local(env.now).since(at);
        let is_same = running.shard.node(group).is_some_and(|node| node.term() == term);
        if is_same && silence < env.options.store.election_timeout {
            let to = outbound.message.to;
            let what = format!("{} would elect {to} {silence:?} after its leader spoke", self.id);
            env.fail(Rule::LeaderStickiness, what);
        }
    }

    pub(super) fn judge_node(&mut self, group: RegionId, env: &mut Env) {
        let running = self.running.as_mut().expect("a turn has power");
        if running.resting.contains(&group) {
            if running.shard.is_halted(group) {
                return;
            }
            running.resting.remove(&group);
        }
        running.check_node(group);
        self.judge_deadline(group, env);
        let running = self.running.as_mut().expect("a turn has power");
        let Some(node) = running.shard.node(group) else { return };
        env.trace.mix(node.commit().0 << 16 ^ node.term().0);
        if node.membership().is_joint() {
            env.marks.hit(Mark::JointMembership);
        }
        let is_removed = node.is_removed();
        match env.safety.on_turn(self.id, group, node) {
            Ok(turned) => {
                if turned.ceased_to_lead && is_removed {
                    env.marks.hit(Mark::LeaderLeft);
                }
                if turned.began_to_lead {
                    env.tell(format_args!("{} leads {group} in {}", self.id, node.term()));
                    env.marks.hit(Mark::LeaderElected);
                    self.mark_priority(group, env);
                    if turned.is_rivalled {
                        env.marks.hit(Mark::TwoLeaders);
                    }
                    if turned.after_split {
                        env.marks.hit(Mark::SplitElection);
                    }
                    if env.is_healed {
                        env.marks.hit(Mark::ElectedAfterHeal);
                    }
                    self.tempt(Duration::from_millis(20), env);
                }
                if turned.ceased_to_lead && self.running().has_writers(group) {
                    env.marks.hit(Mark::LeaderLostWithCallers);
                }
            }
            Err(violation) => env.fail(violation.rule, violation.what),
        }
    }

    /// A replica that has something to do at some time is looked at then.
    fn judge_deadline(&self, group: RegionId, env: &mut Env) {
        let Some(running) = &self.running else { return };
        let node = running.shard.node(group).filter(|_| !running.shard.is_halted(group));
        let Some(due) = node.and_then(Node::next_deadline) else { return };
        let planned = running.shard.next_deadline();
        if planned.is_none_or(|planned| planned > due) {
            let what = format!("{}: {group} has a deadline at {due}, next is {planned:?}", self.id);
            env.fail(Rule::NoError, what);
        }
    }

    /// All clients are done and all replicas equal: nothing is left of what is over.
    pub fn judge_calm(&self, env: &mut Env) {
        let Some(running) = &self.running else { return };
        // What the network had held back may be new; reads wait until a follower gives them up.
        let is_left = |caller: &&Caller| {
            let is_client = !matches!(caller.route, Route::Nobody);
            let is_old = env.now.since(caller.since) > ANSWERED_WITHIN;
            is_client && is_old && matches!(caller.what, Asked::Write { .. })
        };
        if let Some(caller) = running.callers.values().find(is_left) {
            env.fail(Rule::Liveness, format!("{}: nobody answers {caller:?}", self.id));
        }
        // What ended this very moment the shard hears with its next turn (seed 854926737752).
        let is_told = running.inbox.is_empty();
        for (group, saved) in self.saves.iter().filter(|_| is_told) {
            let durable = running.shard.status(*group).map(|status| status.durable_applied);
            let index = saved.meta.position.index;
            if durable.is_none_or(|durable| durable < index) {
                let what = format!("{} saved {group} at {index}, knows of {durable:?}", self.id);
                env.fail(Rule::NoError, what);
            }
        }
        let memories = running.rows.memories.values();
        let saving = memories.filter(|memory| memory.saving.is_some()).count();
        let most = self.saves.len() + saving + running.spools_on_their_way();
        if self.spools.count() > most {
            let what = format!("{} keeps {} spools, needs {most}", self.id, self.spools.count());
            env.fail(Rule::NoError, what);
        }
    }

    pub(super) fn judge_apply(&mut self, tasks: &mut [ApplyTask], env: &mut Env) {
        for task in tasks {
            if let ApplyTask::Entries { group, entries, .. } = task {
                match env.safety.on_apply(self.id, *group, entries) {
                    Ok((repeated, is_merged)) => {
                        if repeated > 0 {
                            env.marks.hit(Mark::RetryAnswered);
                        }
                        if is_merged {
                            env.marks.hit(Mark::PayloadsMerged);
                        }
                    }
                    Err(violation) => env.fail(violation.rule, violation.what),
                }
                self.spoil_apply(entries, env);
            }
        }
    }
}

impl Running {
    /// Snapshots that come in, or have arrived and are not installed or discarded yet.
    fn spools_on_their_way(&self) -> usize {
        let arrives = |event: &&Event| matches!(event, Event::SnapshotArrived { .. });
        let goes = |task: &&ApplyTask| matches!(task, ApplyTask::Discard { .. });
        self.streams.incoming_count()
            + self.inbox.iter().filter(arrives).count()
            + self.shard.nodes().filter(|(_, node)| node.is_installing()).count()
            + self.tasks.iter().filter(goes).count()
    }

    /// What must hold of a node by itself, and compared with how it stood after its last turn. Its
    /// assertions become a broken rule like any other of the product.
    fn check_node(&mut self, group: RegionId) {
        let Some(node) = self.shard.node(group) else { return };
        self.turns += 1;
        let is_short = node.last_position().index < node.first_index() + SHORT_LOG;
        if is_short || self.turns.is_multiple_of(WALK_EVERY) {
            invariants::check(node);
        } else {
            invariants::check_state(node);
        }
        let now = Observed::of(node);
        if let Some(before) = self.observed.insert(group, now) {
            before.check_delta(node);
        }
    }
}
