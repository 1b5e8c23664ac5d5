//! Refusals a caller of [`crate::Node`] can get. Each says what the caller needs next.
//!
//! They are outcomes, not failures: a refused call changed nothing. What the world does wrong
//! (lost messages, a dead peer) never shows here; the protocol lives with it.

use kontiki_types::{PeerId, StoreId, Term};

/// Why a proposal was not appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProposeError {
    /// Another peer leads, or nobody does.
    #[error("not the leader: propose at {leader:?}")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<PeerId>,
    },
    /// Too many bytes are appended but not committed.
    #[error("too many uncommitted bytes: retry after some of them commit")]
    Busy,
    /// Leadership is being handed over; it ends within one election timeout.
    #[error("leadership is being transferred: retry shortly")]
    Transferring,
    /// The caller asked for another term than the current one.
    #[error("the term is {current} by now: decide again under it")]
    TermMismatch {
        /// The term this peer leads in.
        current: Term,
    },
}

/// Why a read was not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// This peer does not lead and knows no leader to ask.
    #[error("no leader is known: retry after the election")]
    NotLeader,
    /// Too many reads wait for confirmation.
    #[error("too many reads are waiting: retry shortly")]
    Busy,
}

/// Why a transfer of leadership did not begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// Another peer leads, or nobody does.
    #[error("not the leader: ask {leader:?}")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<PeerId>,
    },
    /// The target is this very peer.
    #[error("the target leads already")]
    AlreadyLeader,
    /// The target does not belong to the group.
    #[error("the target does not belong to the group: choose a voter")]
    NotMember,
    /// The target has no vote, so it could never win (NuRaft#553).
    #[error("the target has no vote: choose a voter")]
    NotVoter,
    /// The target was not heard of for an election timeout, or it awaits a snapshot: the group
    /// would stand still for nothing.
    #[error("the target does not keep up: choose another or wait")]
    TargetBehind,
    /// None was named, and no voter keeps up and may lead.
    #[error("no other voter could lead now: wait, or name one to learn why")]
    NoSuccessor,
    /// The target has the priority that never leads.
    #[error("the target never leads: choose another or change its priority")]
    NeverLeads,
    /// The membership changes: the target could lose its vote on the way.
    #[error("the membership is changing: wait until that ends")]
    MembershipChanging,
}

/// Why a change of membership did not begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// Another peer leads, or nobody does.
    #[error("not the leader: ask {leader:?}")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<PeerId>,
    },
    /// The leader has committed nothing in its own term yet, so it does not know what an earlier
    /// leader left behind.
    #[error("the leader has just been elected: retry shortly")]
    NotReady,
    /// Another change is under way, begun here or by an earlier leader.
    #[error("another change of membership is under way: wait until it ends")]
    InProgress,
    /// Leadership is being handed over.
    #[error("leadership is being transferred: retry shortly")]
    Transferring,
    /// The change has no steps.
    #[error("the change changes nothing")]
    Nothing,
    /// Two steps concern one peer.
    #[error("two steps concern {0}: name each peer once")]
    Twice(PeerId),
    /// A peer to be added belongs to the group.
    #[error("{0} belongs to the group already: promote or demote it instead")]
    AlreadyMember(PeerId),
    /// A peer to be promoted, demoted or removed does not belong to the group.
    #[error("{0} does not belong to the group")]
    NotMember(PeerId),
    /// A peer to be promoted has a vote.
    #[error("{0} has a vote already")]
    AlreadyVoter(PeerId),
    /// A peer to be demoted has no vote.
    #[error("{0} is a learner already")]
    AlreadyLearner(PeerId),
    /// A peer is to be added where another of the group lives, or lives until the change ends.
    #[error("a peer of the group lives on {0}: remove it first, or choose another store")]
    StoreTaken(StoreId),
    /// Nobody would have a vote.
    #[error("nobody would have a vote")]
    NoVoters,
}

/// Why a change of membership that had begun did not end well.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeFailure {
    /// A new voter said nothing for an election timeout before it had caught up. Nothing was
    /// changed.
    #[error("{peer} does not answer, so it cannot catch up: nothing was changed")]
    CatchUp {
        /// Which one.
        peer: PeerId,
    },
    /// A quorum serves now, and none would after the change: the group would wait for a peer that
    /// is silent, or needs a snapshot first. It was waited for a while. Nothing was changed.
    #[error("the group would have to wait for {peer}, silent or far behind: nothing was changed")]
    WouldStall {
        /// Which one.
        peer: PeerId,
    },
    /// The leader stepped down before the change took effect. Nothing was changed.
    #[error("leadership was lost before the change took effect: nothing was changed")]
    LeadershipLost,
    /// The leader stepped down while the change was in its log: the next one completes it or has
    /// never heard of it.
    #[error("leadership was lost during the change: look at the membership to see its outcome")]
    Unknown,
}

/// Why a membership was not forced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResetError {
    /// This peer would have no vote in it, so it could not bring it about.
    #[error("this peer would have no vote: reset the peers that remain")]
    NotVoter,
    /// The membership is a joint one.
    #[error("a membership under change cannot be forced: name its voters and learners")]
    Joint,
    /// A snapshot is being installed here.
    #[error("a snapshot is being installed: wait until that ends")]
    Installing,
}
