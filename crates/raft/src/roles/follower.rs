//! Follows a leader, or waits for one (Raft §5.2, §5.3).
//!
//! Replies to the leader's appends are collected and leave once a round, as one acknowledgement
//! that waits for the disk. Leaves by not hearing a leader in time, by a transfer to it, or by a
//! newer term. Reads are forwarded to the leader ([`crate::read::forward`]); snapshots are in
//! [`crate::install`].

use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{
    AppendOutcome, Body, Entry, Index, Message, Moment, PeerId, PeerRole, Position, Term,
};

use super::Transition;
use super::cause::Cause;
use crate::election;
use crate::hibernate;
use crate::install;
use crate::membership::removal;
use crate::priority;
use crate::read::forward::Forwarded;
use crate::shared::Shared;

/// See the module.
#[derive(Debug)]
pub(crate) struct Follower {
    leader: Option<PeerId>,
    /// The way to it broke since it was last heard.
    is_leader_lost: bool,
    /// When to campaign, or, without a vote, to forget the leader.
    deadline: Option<Moment>,
    /// What the leader gets to know at the end of the round.
    ack: Option<Ack>,
    /// The newest read round echoed to it.
    echoed: u64,
    pub(crate) reads: Forwarded,
}

/// One acknowledgement for all appends of a round: the greatest includes the lesser ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ack {
    session: u64,
    matched: Index,
    round: u64,
}

impl Follower {
    /// Follow this leader, or wait for one.
    pub(crate) fn new(shared: &mut Shared, leader: Option<PeerId>, now: Moment) -> Self {
        if leader.is_some() {
            shared.on_leader_heard(now);
        }
        Self {
            leader,
            is_leader_lost: false,
            deadline: Some(shared.election_deadline(now)),
            ack: None,
            echoed: 0,
            reads: Forwarded::default(),
        }
    }

    /// After a start. What this peer promised before it stopped is not on disk, so it counts as
    /// having heard its leader just now (TiKV's unsafe_vote_deadline); except in the first term,
    /// when nobody can have led yet. A lone voter has nobody to wait for.
    pub(crate) fn at_start(shared: &mut Shared, now: Moment) -> Self {
        if shared.term() > Term(0) {
            shared.on_leader_heard(now);
        }
        let mut follower = Self::new(shared, None, now);
        let voters = shared.membership().peers().filter(|p| p.role != PeerRole::Learner).count();
        let alone = voters == 1 && election::may_campaign(shared);
        if alone {
            follower.deadline = Some(now);
        }
        follower
    }

    /// Who leads, if known.
    pub(crate) fn leader(&self) -> Option<PeerId> {
        self.leader
    }

    /// The way to this peer broke. If it leads, it has probably died: stand as soon as the others
    /// may help, each voter in its turn. Never sooner: a leader that lost but its connections may
    /// count on being followed for an election timeout. A sign of life takes it all back.
    pub(crate) fn on_unreachable(&mut self, shared: &mut Shared, peer: PeerId) {
        if self.leader == Some(peer) {
            self.is_leader_lost = true;
            let turn = shared.succession_deadline(peer);
            self.deadline = self.deadline.map(|deadline| deadline.min(turn));
        }
    }

    /// When to campaign, or, without a vote, to forget the leader.
    pub(crate) fn election_deadline(&self) -> Option<Moment> {
        self.deadline
    }

    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        [self.deadline, self.reads.next_deadline()].into_iter().flatten().min()
    }

    /// Tell whoever waits that this role ends.
    pub(crate) fn leave(&mut self, shared: &mut Shared) {
        shared.set_asleep(false);
        shared.outbox.fail_reads(self.reads.drain());
    }

    /// [`Follower::flush`] would say something.
    pub(crate) fn wants_flush(&self) -> bool {
        self.ack.is_some() || self.reads.is_queued()
    }

    /// End of a round: acknowledge, and forward what was asked.
    pub(crate) fn flush(&mut self, shared: &mut Shared) {
        let Some(leader) = self.leader else {
            assert!(self.ack.is_none(), "an acknowledgement without a leader");
            return;
        };
        if let Some(Ack { session, matched, round }) = self.ack.take() {
            let outcome = AppendOutcome::Accepted { matched };
            let gate = shared.durability.gate_of_index(&shared.log, matched);
            shared.send_after(gate, leader, Body::AppendReply { session, outcome, round });
        }
        self.reads.flush(shared, leader);
    }

    /// The log equals the leader's up to `matched`.
    pub(crate) fn acknowledge(&mut self, session: u64, matched: Index, round: u64) {
        let ack = Ack { session, matched, round };
        self.ack = Some(match self.ack {
            Some(before) if before.session == session => Ack {
                session,
                matched: before.matched.max(matched),
                round: before.round.max(round),
            },
            // Another progress of the same leader: only the newest one listens.
            Some(before) if before.session > session => before,
            Some(_) | None => ack,
        });
    }

    /// Echo a read round now, where the acknowledgement that would carry it has to wait for the
    /// disk or is not sent at all: a round says that we still follow, not what we hold.
    fn echo_round(&mut self, shared: &mut Shared, session: u64, round: u64) {
        if let Some(leader) = self.leader.filter(|_| round > self.echoed) {
            self.echoed = round;
            shared.send_after_ballot(leader, Body::HeartbeatReply { session, round });
        }
    }

    /// Wait for nothing until woken.
    pub(crate) fn sleep(&mut self, shared: &mut Shared) {
        shared.set_asleep(true);
        self.deadline = None;
    }

    /// It may stand from now on, or in another turn: count anew.
    pub(crate) fn rearm(&mut self, shared: &mut Shared, now: Moment) {
        if !shared.is_asleep() {
            self.deadline = Some(shared.election_deadline(now));
        }
    }

    /// Wait for the leader again, from now on.
    pub(crate) fn wake(&mut self, shared: &mut Shared, now: Moment) {
        if shared.is_asleep() {
            shared.set_asleep(false);
            self.deadline = Some(shared.election_deadline(now));
        }
    }

    fn on_leader_heard(&mut self, shared: &mut Shared, now: Moment) {
        shared.on_leader_heard(now);
        shared.set_asleep(false);
        self.is_leader_lost = false;
        self.deadline = Some(shared.election_deadline(now));
    }
}

/// A message arrived: of this term, from its leader if only leaders send it; or a pre-vote.
pub(crate) fn step(
    shared: &mut Shared,
    follower: &mut Follower,
    message: Message,
    now: Moment,
) -> Transition {
    let from = message.from;
    match message.body {
        // The leader's log goes on, or it looks for the point where ours agrees.
        Body::Append { session, prev, entries, commit, round } => {
            follower.on_leader_heard(shared, now);
            let append = Append { session, prev, entries, commit, round };
            on_append(shared, follower, from, append);
        }
        // The leader lives. Its commit is at most what it knows us to hold.
        Body::Heartbeat { session, commit, round } => {
            follower.on_leader_heard(shared, now);
            shared.commit_to(commit);
            shared.send_after_ballot(from, Body::HeartbeatReply { session, round });
        }
        Body::Sleep { session, commit } => {
            follower.on_leader_heard(shared, now);
            hibernate::on_sleep(shared, follower, from, session, commit);
        }
        // All chunks of a snapshot are here.
        Body::Snapshot { session, meta } => {
            follower.on_leader_heard(shared, now);
            install::on_snapshot(shared, follower, from, session, meta);
        }
        Body::PreVote { last } => {
            let hears = shared.hears_leader(now);
            election::answer_pre_vote(shared, from, message.term, last, hears);
            // Both saw the leader's connections break. The other cannot win with its log.
            if follower.is_leader_lost && !hears && election::is_called(shared, last) {
                return Transition::PreCampaign;
            }
        }
        Body::Vote { last, transfer } => {
            // Whatever took us into this term, the promise to the leader before still holds.
            let bound = follower.leader.is_some() || (!transfer && shared.hears_leader(now));
            if election::answer_vote(shared, from, last, bound) {
                // Whoever got our vote deserves the time to use it.
                follower.deadline = Some(shared.election_deadline(now));
            }
        }
        Body::TimeoutNow => return election::on_timeout_now(shared, from),
        // We cannot confirm reads; the sender believes we lead.
        Body::ReadIndex { id, .. } => {
            shared.send(from, Body::ReadIndexReply { id, index: None });
        }
        Body::ReadIndexReply { id, index } => follower.reads.on_reply(shared, id, index),
        // Answers to an earlier role.
        Body::PreVoteReply { .. }
        | Body::VoteReply { .. }
        | Body::AppendReply { .. }
        | Body::HeartbeatReply { .. }
        | Body::Succeed { .. }
        | Body::TimeoutNowRefused
        | Body::Removed { .. } => {}
    }
    Transition::Stay
}

/// The deadline passed: the leader is gone, or an asked read was lost.
pub(crate) fn on_time(shared: &mut Shared, follower: &mut Follower, now: Moment) -> Transition {
    follower.reads.on_time(shared, now);
    if follower.deadline.is_none_or(|deadline| deadline > now) {
        return Transition::Stay;
    }
    let stands = election::may_campaign(shared);
    if stands && priority::stands(shared) {
        return Transition::PreCampaign;
    }
    if follower.leader.is_some() {
        // A peer that may not stand must still not send its readers to a leader that is gone.
        return silent(shared.term());
    }
    // It waits for the end of an install, after which it may stand, or for its turn to stand behind
    // those wanted more; and a member that shall not stand asks around. Others have nothing to
    // wait for.
    let installing = shared.applying.install.is_some();
    let waits = installing || stands || removal::ask(shared);
    follower.deadline = waits.then(|| shared.election_deadline(now));
    Transition::Stay
}

fn silent(term: Term) -> Transition {
    Transition::Follow { term, leader: None, why: Cause::LeaderSilent }
}

/// The fields of [`Body::Append`].
struct Append {
    session: u64,
    prev: Position,
    entries: Vec<Entry>,
    commit: Index,
    round: u64,
}

fn on_append(shared: &mut Shared, follower: &mut Follower, from: PeerId, append: Append) {
    let Append { session, prev, mut entries, commit, round } = append;
    let verified = prev.index + entries.len() as u64;
    // A replica that awaits its first snapshot takes no entries, even from the very first: it
    // would lack the membership, and whatever else the group was born with.
    let unborn = shared.membership().is_empty();
    if unborn || !fits(shared, prev, &mut entries) {
        if shared.applying.install.is_some() {
            // The snapshot on its way in will settle it. Silence tells the leader that we have it.
            follower.echo_round(shared, session, round);
            return;
        }
        let hint = if unborn { Position::ZERO } else { shared.log.newest_not_after(prev) };
        let outcome = AppendOutcome::Rejected { prev: prev.index, hint };
        shared.send_after_ballot(from, Body::AppendReply { session, outcome, round });
        return;
    }
    absorb(shared, entries);
    // Entries beyond the verified ones may be another leader's (copycat#265).
    let blind = mutants::is_on(Mutant::CommitUnverified);
    let verified = if blind { shared.log.last().index } else { verified };
    let known = verified.max(shared.applying.commit());
    shared.commit_to(commit.min(known));
    follower.acknowledge(session, known, round);
    if known > shared.log.durable() {
        follower.echo_round(shared, session, round);
    }
}

/// True when our log holds the entry before the first of `entries`. What is committed needs no
/// comparison: the leader's log holds it too (leader completeness), so it is cut off in front.
fn fits(shared: &Shared, prev: Position, entries: &mut Vec<Entry>) -> bool {
    let commit = shared.applying.commit();
    if prev.index >= commit {
        return shared.log.matches(prev)
            || (mutants::is_on(Mutant::AppendUnmatched) && prev.index <= shared.log.last().index);
    }
    let known = entries.partition_point(|entry| entry.position.index <= commit);
    if !mutants::is_on(Mutant::TruncateBelowSnapshot) {
        entries.drain(..known);
    }
    true
}

/// Append what is new; cut only where an entry contradicts ours, never because a delayed append
/// is shorter than what came since (akka-raft#66).
fn absorb(shared: &mut Shared, mut entries: Vec<Entry>) {
    let known = entries.iter().take_while(|entry| shared.log.matches(entry.position)).count();
    let last = entries.last().map(|entry| entry.position.index.next());
    let cut = last.filter(|&last| last <= shared.log.last().index);
    if let Some(last) = cut.filter(|_| mutants::is_on(Mutant::AppendCuts)) {
        shared.truncate(last);
    }
    let Some(first) = entries.get(known).map(|entry| entry.position.index) else { return };
    if first <= shared.log.last().index {
        shared.truncate(first);
    }
    shared.append(entries.drain(known..));
}
