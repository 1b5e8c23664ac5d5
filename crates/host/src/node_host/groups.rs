//! Groups that come and go while the host is at work.
//!
//! A change goes through the shard thread's own mailbox, so it stands in order with everything
//! else that reaches the group; and the shard thread passes it on to the apply worker, so it stands
//! in order with what the group had to apply before and after.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kontiki_log::{Group as LogGroup, Recovered};
use kontiki_multiraft::{
    Durability, Event, GroupSpec, RestoreError, Revival, StateMachine, Token, may_restore, restore,
};
use kontiki_raft::{Config as RaftConfig, Fetch, Node, Priority};
use kontiki_types::{
    Index, Membership, MembershipChange, Moment, PeerId, Position, RegionId, Term,
};

use super::NodeHost;
use crate::apply_queues::{ApplyInput, ApplyQueues};
use crate::library::Done;
use crate::log_writer::{LogInput, LookDone};
use crate::mailbox::Mailbox;
use crate::metrics::Replicators;
use crate::shard_thread::Input;
use crate::turns::Halts;
use crate::waiters::{ChangeDone, ProposeDone, Waiter, Waiters};

/// What the host keeps for groups that come and go, and for those who watch over them.
pub(super) struct Comings {
    unclaimed: Mutex<Unclaimed>,
    /// Who waits for which group to halt.
    pub(super) halts: Halts,
}

/// Groups that the log knows and nobody has claimed.
struct Unclaimed {
    recovered: Recovered,
    /// These were destroyed: what cannot be read of the log is of no account for them.
    forgotten: BTreeSet<RegionId>,
}

impl Unclaimed {
    /// Take one out if it can take part from where its state machine stands.
    fn claim(&mut self, id: RegionId, at: Position) -> Result<Option<LogGroup>, RestoreError> {
        if self.forgotten.contains(&id) {
            may_restore(id, None, at)?;
            self.forgotten.remove(&id);
            return Ok(None);
        }
        let is_known = self.recovered.groups.contains_key(&id);
        let found = self.recovered.take(id);
        if let Err(error) = may_restore(id, found.as_ref(), at) {
            // Whoever asks again is told the same.
            self.recovered.groups.extend(found.filter(|_| is_known).map(|found| (id, found)));
            return Err(error);
        }
        Ok(found)
    }
}

impl Comings {
    pub(super) fn of(recovered: Recovered) -> Self {
        let unclaimed = Unclaimed { recovered, forgotten: BTreeSet::new() };
        Self { unclaimed: Mutex::new(unclaimed), halts: Halts::default() }
    }

    fn unclaimed(&self) -> MutexGuard<'_, Unclaimed> {
        self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a group may take to finish what it had under way.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A group that joins a host at work.
pub struct JoiningGroup {
    /// Its id.
    pub group: RegionId,
    /// Settings of the replica here.
    pub raft: RaftConfig,
    /// What is replicated.
    pub machine: Box<dyn StateMachine>,
    /// What the state machine has applied, durably.
    pub applied: Position,
    /// The membership as of there.
    pub membership: Membership,
    /// What makes it durable.
    pub durability: Durability,
}

impl NodeHost {
    /// Add a group, and tell its term. What is asked of it after this returns reaches it.
    ///
    /// # Errors
    /// The replica could break a promise it made before: nothing was added.
    pub fn join(&self, joining: JoiningGroup) -> Result<Term, RestoreError> {
        let JoiningGroup { group, raft, machine, applied, membership, durability } = joining;
        let found = self.comings.unclaimed().claim(group, applied)?;
        let (restored, records) = restore(group, found, applied, &membership)?;
        let (apply, term) = (self.apply.clone(), restored.hard_state.term);
        self.inputs.push(Input::Edit(Box::new(move |shard, now| {
            apply.of(group).push(ApplyInput::Add(group, machine));
            shard.join_group(GroupSpec { group, raft, restored, durability }, records, now);
        })));
        Ok(term)
    }

    /// Groups that the log knows and nobody has claimed.
    pub fn unclaimed(&self) -> Vec<RegionId> {
        let unclaimed = self.comings.unclaimed();
        unclaimed.recovered.groups.keys().copied().collect()
    }

    /// The membership at the beginning of a group's log that nobody has claimed.
    pub fn logged_membership(&self, group: RegionId) -> Option<Membership> {
        let unclaimed = self.comings.unclaimed();
        match unclaimed.recovered.groups.get(&group)? {
            LogGroup::Whole { snapshot, .. } => Some(snapshot.membership.clone()),
            LogGroup::Quarantined { .. } => None,
        }
    }

    /// Let a group rest; a leader hands over first. False when that took too long.
    pub fn halt(&self, group: RegionId) -> bool {
        self.halt_all(&[group])
    }

    /// Let these groups rest, all at once.
    pub fn halt_all(&self, groups: &[RegionId]) -> bool {
        let mut halts = self.comings.halts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut receivers = Vec::with_capacity(groups.len());
        for group in groups {
            let (sender, receiver) = sync_channel(1);
            halts.entry(*group).or_default().push(sender);
            receivers.push(receiver);
        }
        drop(halts);
        let events = groups.iter().map(|&group| Event::Halt { group });
        self.inputs.push(Input::Events(events.collect()));
        receivers.iter().all(received)
    }

    /// Let a group rest at once and take its state machine out. True once everything it had under
    /// way is done; false when that took too long.
    pub fn remove(&self, group: RegionId) -> bool {
        let (sender, receiver) = sync_channel(1);
        let (apply, shard_inputs) = (self.apply.clone(), Arc::clone(&self.inputs));
        self.inputs.push(Input::Edit(Box::new(move |shard, _| {
            shard.halt_now(group);
            // It is halted with the end of this turn; the turn after, nothing more leaves it.
            shard_inputs.push(Input::Edit(Box::new(move |_, _| {
                apply.of(group).push(ApplyInput::Remove(group, sender));
            })));
        })));
        received(&receiver)
    }

    /// Destroy the replica of a group that was removed, or never joined: the log forgets it, for
    /// good. True once that is durable and another one may join; false when it took too long.
    ///
    /// The caller has noted, durably, that its peer id is never to be used again: it may have
    /// voted.
    pub fn forget(&self, group: RegionId) -> bool {
        {
            let mut unclaimed = self.comings.unclaimed();
            unclaimed.recovered.groups.remove(&group);
            unclaimed.forgotten.insert(group);
        }
        self.inputs.push(Input::Edit(Box::new(move |shard, _| {
            if !shard.destroy_group(group) && shard.is_free(group) {
                shard.forget_group(group);
            }
        })));
        let deadline = Instant::now() + REMOVE_TIMEOUT;
        while Instant::now() < deadline {
            if self.inspect(move |shard| shard.is_free(group)) == Some(true) {
                return true;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        false
    }

    /// Bring a removed group back, with a new state machine that stands at `revival.at`, and tell
    /// its term. Nothing when there is none to bring back.
    pub fn revive(
        &self,
        group: RegionId,
        machine: Box<dyn StateMachine>,
        revival: Revival,
    ) -> Option<Term> {
        let (sender, receiver) = sync_channel(1);
        let apply = self.apply.clone();
        self.inputs.push(Input::Edit(Box::new(move |shard, now| {
            // Before the shard can hand out anything for it.
            apply.of(group).push(ApplyInput::Add(group, machine));
            if shard.revive(group, revival, now) {
                let _ = sender.send(shard.node(group).map_or(Term(0), Node::term));
            } else {
                apply.of(group).push(ApplyInput::Remove(group, sync_channel(1).0));
            }
        })));
        receiver.recv_timeout(REMOVE_TIMEOUT).ok()
    }

    /// Ask the leader, if it is here, for other members. `done` is called when the change has
    /// ended, well or not.
    pub fn change(&self, group: RegionId, change: MembershipChange, done: ChangeDone) {
        self.submit(Waiter::Change(done), |token| Event::Change { group, change, token });
    }

    /// Force a membership upon the replica here; see `kontiki_raft::Node::reset_peers`. `done` is
    /// called when it is in effect or was refused.
    pub fn reset(&self, group: RegionId, membership: Membership, done: ProposeDone) {
        self.submit(Waiter::Propose(done), |token| Event::Reset { group, membership, token });
    }

    /// Entries of a group's log after `after` up to `to`, as many as fit; `done` is called on the
    /// thread that writes the log, with nothing when it does not hold them.
    pub(crate) fn look_at_log(
        &self,
        group: RegionId,
        (after, to): (Index, Index),
        bytes_max: usize,
        done: LookDone,
    ) {
        let fetch = Fetch { ticket: 0, after, to, bytes_max };
        self.log.push(LogInput::Look(group, fetch, done));
    }

    /// Another election timeout of the replica here.
    pub(crate) fn set_election_timeout(&self, group: RegionId, timeout: Duration) {
        self.inputs.push(Input::Edit(Box::new(move |shard, now| {
            shard.set_election_timeout(group, timeout, now);
        })));
    }

    /// How much a peer is wanted as leader, as the replica here sees it.
    pub(crate) fn set_priority(&self, group: RegionId, peer: PeerId, priority: Priority) {
        self.inputs.push(Input::Edit(Box::new(move |shard, now| {
            shard.set_priority(group, peer, priority, now);
        })));
    }

    /// What leaders here send to their followers.
    pub(crate) fn replicators(&self) -> Option<Replicators> {
        self.inspect(Replicators::of)
    }

    /// Propose a library user's task.
    pub(crate) fn submit_task(
        &self,
        group: RegionId,
        payload: Bytes,
        expected_term: Option<Term>,
        done: Option<Done>,
    ) {
        let propose = |token| Event::Propose { group, payload, token, expected_term };
        match done {
            Some(done) => self.submit(Waiter::Task(done), propose),
            // Nobody waits: a token that names nobody.
            None => drop(self.inputs.offer(Input::Event(propose(Token(0))))),
        }
    }

    /// The moment, by the clock the groups live by.
    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    pub(crate) fn waiters(&self) -> &Arc<Waiters> {
        &self.waiters
    }

    pub(crate) fn apply_queues(&self) -> &ApplyQueues {
        &self.apply
    }

    pub(crate) fn inputs(&self) -> &Arc<Mailbox<Input>> {
        &self.inputs
    }
}

fn received(receiver: &Receiver<()>) -> bool {
    receiver.recv_timeout(REMOVE_TIMEOUT).is_ok()
}
