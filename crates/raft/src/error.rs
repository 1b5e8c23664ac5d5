//! Refusals a caller of [`crate::Node`] can get. Each says what the caller needs next.
//!
//! They are outcomes, not failures: a refused call changed nothing. What the world does wrong
//! (lost messages, a dead peer) never shows here; the protocol lives with it.

use kontiki_types::{PeerId, Term};

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
    /// The target is unknown or has no vote, so it could never win (NuRaft#553).
    #[error("the target has no vote: choose a voter")]
    NotVoter,
    /// The target was not heard of for an election timeout, or it awaits a snapshot: the group
    /// would stand still for nothing.
    #[error("the target does not keep up: choose another or wait")]
    TargetBehind,
    /// Another transfer is under way.
    #[error("another transfer is under way: wait until it ends")]
    InProgress,
}
