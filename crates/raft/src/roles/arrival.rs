//! What a message's term says, before any role looks at the rest (Raft §5.1).
//!
//! A newer term ends ours, with two exceptions: a pre-vote changes nobody's term, and a vote
//! request is not even read while a leader is alive, so that a peer that was cut off cannot
//! disturb the group when it returns (thesis §4.2.3). An older term is answered with ours where
//! the sender would otherwise never learn it.

use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{AppendOutcome, Body, Message, Moment, Term};

use super::cause::Cause;
use super::{Role, Transition};
use crate::membership::removal;
use crate::shared::Shared;
use crate::{RoleKind, Seq};

/// What to become before the message is handled; nothing: it needs no more handling.
pub(crate) fn judge(
    shared: &mut Shared,
    role: &Role,
    message: &Message,
    now: Moment,
) -> Option<Transition> {
    if let Body::Succeed { .. } = message.body {
        // Its sender has no term, and may not know who lives here by now. Only a leader can do
        // anything about it, and it may be one that the sender never heard of. Whoever passes it on
        // names its own term, and does so only if that is newer: no hop goes back in time, and so
        // none in circles, although an heir may know less than the leader in whose place it lives.
        let term = shared.term();
        if let Role::Follower(follower) = role
            && let Some(leader) = follower.leader()
            && message.term < term
        {
            shared.outbox.send(Seq(0), Message { to: leader, term, ..message.clone() });
        }
        return (role.kind() == RoleKind::Leader).then_some(Transition::Stay);
    }
    if message.to != shared.config.id || message.from == shared.config.id {
        // To an earlier replica of this group on this store; ids are unique per incarnation.
        return None;
    }
    match message.body {
        Body::Removed { as_of } => return removal::learn(shared, as_of),
        Body::PreVote { .. } | Body::Vote { .. } => {
            removal::tell(shared, message.from);
        }
        // One that cannot believe it asks for ever: that shall cost the group nothing.
        Body::ReadIndex { id, .. } if removal::tell(shared, message.from) => {
            shared.send(message.from, Body::ReadIndexReply { id, index: None });
            return None;
        }
        _ => {}
    }
    let (theirs, ours) = (message.term, shared.term());
    if theirs < ours {
        answer_older(shared, message);
        return None;
    }
    if theirs > ours { judge_newer(shared, role, message, now) } else { Some(same(role, message)) }
}

fn judge_newer(shared: &Shared, role: &Role, message: &Message, now: Moment) -> Option<Transition> {
    let (term, from) = (message.term, message.from);
    let follow = |leader, why| Some(Transition::Follow { term, leader, why });
    match message.body {
        Body::PreVote { .. } if mutants::is_on(Mutant::PreVoteRaisesTerm) => {
            follow(None, Cause::NewerTerm)
        }
        // Asked in the term after the sender's own: says nothing about the current one.
        Body::PreVote { .. } | Body::PreVoteReply { granted: true } => Some(Transition::Stay),
        // The sender's own term: it is ahead of us.
        Body::PreVoteReply { granted: false } => follow(None, Cause::PreVoteRefused),
        Body::Vote { transfer, .. } => {
            if !transfer && role.hears_leader(shared, now) {
                tracing::debug!(peer = %shared.config.id, %from, %term, "leader is alive: no vote");
                return None;
            }
            follow(None, Cause::ElectionBegan)
        }
        Body::Append { .. }
        | Body::Heartbeat { .. }
        | Body::Sleep { .. }
        | Body::Snapshot { .. } => follow(Some(from), Cause::LeaderSpoke),
        Body::VoteReply { .. }
        | Body::AppendReply { .. }
        | Body::HeartbeatReply { .. }
        | Body::ReadIndex { .. }
        | Body::ReadIndexReply { .. }
        | Body::TimeoutNow
        | Body::TimeoutNowRefused
        | Body::Removed { .. }
        | Body::Succeed { .. } => follow(None, Cause::NewerTerm),
    }
}

/// In the same term only the one leader of the term sends appends, heartbeats and snapshots:
/// hearing one ends a candidacy.
fn same(role: &Role, message: &Message) -> Transition {
    let (term, from) = (message.term, message.from);
    match message.body {
        Body::Append { .. }
        | Body::Heartbeat { .. }
        | Body::Sleep { .. }
        | Body::Snapshot { .. } => {}
        Body::PreVote { .. }
        | Body::PreVoteReply { .. }
        | Body::Vote { .. }
        | Body::VoteReply { .. }
        | Body::AppendReply { .. }
        | Body::HeartbeatReply { .. }
        | Body::ReadIndex { .. }
        | Body::ReadIndexReply { .. }
        | Body::TimeoutNow
        | Body::TimeoutNowRefused
        | Body::Removed { .. }
        | Body::Succeed { .. } => return Transition::Stay,
    }
    assert!(role.kind() != RoleKind::Leader, "{from} leads {term} too");
    if let Role::Follower(follower) = role
        && let Some(leader) = follower.leader()
    {
        assert!(leader == from, "{leader} and {from} both lead {term}");
        return Transition::Stay;
    }
    Transition::Follow { term, leader: Some(from), why: Cause::LeaderSpoke }
}

/// A session that no progress ever has: they are counted from 1.
const NO_SESSION: u64 = 0;

/// A sender that is behind learns our term where it waits for an answer: a leader that was cut off
/// steps down (or a stuck peer would keep refusing its heartbeats for ever), a candidate catches
/// up (etcd#8243).
///
/// The answer carries our term and nothing else that could be believed: the sender may lead this
/// very term by the time it arrives, under session numbers that began anew with its process, so it
/// must neither echo the old session nor a read round nobody confirmed.
fn answer_older(shared: &mut Shared, message: &Message) {
    let hint = shared.log.last();
    let rejected = |prev| Body::AppendReply {
        session: NO_SESSION,
        outcome: AppendOutcome::Rejected { prev, hint },
        round: 0,
    };
    let body = match message.body {
        Body::PreVote { .. } => Body::PreVoteReply { granted: false },
        Body::Vote { .. } => Body::VoteReply { granted: false },
        Body::Append { prev, .. } => rejected(prev.index),
        Body::Heartbeat { .. } | Body::Sleep { .. } => {
            Body::HeartbeatReply { session: NO_SESSION, round: 0 }
        }
        Body::Snapshot { ref meta, .. } => rejected(meta.position.index),
        Body::ReadIndex { id, .. } => Body::ReadIndexReply { id, index: None },
        Body::PreVoteReply { .. }
        | Body::VoteReply { .. }
        | Body::AppendReply { .. }
        | Body::HeartbeatReply { .. }
        | Body::ReadIndexReply { .. }
        | Body::TimeoutNow
        | Body::TimeoutNowRefused
        | Body::Removed { .. }
        | Body::Succeed { .. } => return,
    };
    assert!(shared.term() > Term(0), "nothing is older than the first term");
    // Says nothing but our term: nothing need be durable.
    shared.send(message.from, body);
}
