//! What a Raft group keeps durable: entries, the hard state, and what a snapshot stands for.

use std::fmt;

use bytes::Bytes;

use crate::{Index, Membership, PeerId, Position, Term};

/// What an entry means to Raft.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EntryKind {
    /// The no-op a leader appends when it is elected, so that it may commit (Raft §5.4.2, §8).
    Empty,
    /// Payloads for the state machine, in the form `kontiki_codec::payloads` gives them.
    Normal,
    /// A membership, in the form `kontiki_codec::membership` gives it; in effect at append.
    Config,
}

/// One entry of a group's log. `data` is shared, never copied, from socket to engine.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Term and index.
    pub position: Position,
    /// What it means to Raft.
    pub kind: EntryKind,
    /// Opaque to Raft unless `kind` is [`EntryKind::Config`].
    pub data: Bytes,
}

impl Entry {
    /// Bytes this entry counts for in every budget: its data plus a fixed overhead.
    pub fn cost_bytes(&self) -> usize {
        self.data.len() + Self::OVERHEAD_BYTES
    }

    /// What an entry costs beyond its data, in budgets of memory and of messages.
    pub const OVERHEAD_BYTES: usize = 48;
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            EntryKind::Empty => write!(f, "{} empty", self.position),
            EntryKind::Normal => write!(f, "{} \"{}\"", self.position, self.data.escape_ascii()),
            EntryKind::Config => write!(f, "{} config", self.position),
        }
    }
}

/// What a peer must remember across a crash beside its log (Raft figure 2; commit is a hint).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct HardState {
    /// Latest term seen.
    pub term: Term,
    /// Who got this peer's vote in that term.
    pub vote: Option<PeerId>,
    /// A lower bound of the commit index; saves work after a restart, never needed for safety.
    pub commit: Index,
}

/// What a snapshot replaces: the log up to `position`, under `membership` as of that position.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SnapshotMeta {
    /// Last entry whose effects the snapshot holds.
    pub position: Position,
    /// The membership in effect at that position (matrixone#23281).
    pub membership: Membership,
}
