//! What the peers of one Raft group say to each other.
//!
//! One closed enum, so that a new message breaks the build and not the cluster. Which message may
//! leave before what is durable is decided in `kontiki_raft` (table in its crate prose), never
//! here.

use crate::{Entry, Index, PeerId, Position, SnapshotMeta, StoreId, Term};

/// A message from one peer to another of the same group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Who says it.
    pub from: PeerId,
    /// To whom.
    pub to: PeerId,
    /// The sender's term; in a pre-vote, the term it would campaign in.
    pub term: Term,
    /// What is said.
    pub body: Body,
}

/// What is said. `session` numbers one progress of a leader toward one follower: replies that echo
/// another session are stale and ignored (a peer removed and added again in the same term).
/// `round` is the newest read round the leader wants confirmed; followers echo it (thesis §6.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// Would you vote for me? Changes no state of the receiver (thesis §9.6).
    PreVote {
        /// Last entry of the sender's log.
        last: Position,
    },
    /// Answer to [`Body::PreVote`].
    PreVoteReply {
        /// Whether it would.
        granted: bool,
    },
    /// Vote for me (Raft §5.2).
    Vote {
        /// Last entry of the sender's log.
        last: Position,
        /// The leader itself asked for this election, so its lease is no reason to refuse.
        transfer: bool,
    },
    /// Answer to [`Body::Vote`].
    VoteReply {
        /// Whether the vote was given.
        granted: bool,
    },
    /// Append these entries after `prev` (Raft §5.3).
    Append {
        /// Number of the leader's progress toward this follower.
        session: u64,
        /// The entry before the first of `entries`.
        prev: Position,
        /// Consecutive entries; may be empty.
        entries: Vec<Entry>,
        /// The leader's commit index.
        commit: Index,
        /// Newest read round to confirm.
        round: u64,
    },
    /// Answer to [`Body::Append`], and to [`Body::Snapshot`].
    AppendReply {
        /// Echo.
        session: u64,
        /// Whether it matched.
        outcome: AppendOutcome,
        /// Echo.
        round: u64,
    },
    /// I still lead. Never carries entries; several groups' heartbeats share one frame.
    Heartbeat {
        /// Number of the leader's progress toward this follower.
        session: u64,
        /// The leader's commit index, never beyond what this follower is known to hold.
        commit: Index,
        /// Newest read round to confirm.
        round: u64,
    },
    /// Answer to [`Body::Heartbeat`].
    HeartbeatReply {
        /// Echo.
        session: u64,
        /// Echo.
        round: u64,
    },
    /// Nothing has happened for long: from now on I am silent, and so may you be, if this is the
    /// end of your log. All of it is committed.
    Sleep {
        /// Number of the leader's progress toward this follower.
        session: u64,
        /// The last entry of the leader's log.
        commit: Position,
    },
    /// Your log is too old to be continued: here is a snapshot. The chunks travel apart; the host
    /// delivers this message once they have all arrived.
    Snapshot {
        /// Number of the leader's progress toward this follower.
        session: u64,
        /// What it replaces.
        meta: SnapshotMeta,
    },
    /// Which index must be applied before a read that arrives now may be served?
    ReadIndex {
        /// The follower's own number for the read batch, never reused (etcd#20418).
        id: u64,
        /// What may confirm it.
        mode: ReadMode,
    },
    /// Answer to [`Body::ReadIndex`].
    ReadIndexReply {
        /// Echo.
        id: u64,
        /// The read index, or nothing when the receiver could not confirm one.
        index: Option<Index>,
    },
    /// Campaign now (leader transfer, thesis §3.10).
    TimeoutNow,
    /// Answer to [`Body::TimeoutNow`] when the target will not campaign.
    TimeoutNowRefused,
    /// You belong to the group no more: answer to whoever asks for votes and is no member, and the
    /// last word of a leader to a peer it removed. A fact, whatever the terms say.
    Removed {
        /// Committed by the sender; the membership as of here does not have the receiver.
        as_of: Index,
    },
    /// I am a new replica on the store of a member that cannot keep its promises any more and is
    /// silent for ever: change the membership so that I take its place. Asked of everybody, again
    /// and again; a leader acts on it, a follower passes it on. The sender has no term of its own
    /// yet and names none; whoever passes it on names its own.
    Succeed {
        /// Where both live.
        store: StoreId,
    },
}

/// What a linearizable read is confirmed by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub enum ReadMode {
    /// A quorum says, after the read was asked, that the leader still leads. Needs no clock.
    #[default]
    Index,
    /// The leader's lease, where it has one; else as [`Self::Index`]. Right only while no clock of
    /// the group drifts more than the configured bound, pauses counted.
    Lease,
}

/// How an append went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppendOutcome {
    /// The follower's log equals the leader's up to here, durably.
    Accepted {
        /// Last index known to be equal.
        matched: Index,
    },
    /// The follower has no entry `prev`.
    Rejected {
        /// Index of the `prev` that was refused: names the append this answers.
        prev: Index,
        /// The newest entry of the follower's log that may match: skip back to it at once.
        hint: Position,
    },
}
