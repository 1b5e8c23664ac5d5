//! What a group replicates: the contract between consensus and the data.
//!
//! A region of the store, the placement driver and a library user implement [`StateMachine`]. The
//! [`crate::Applier`] calls it, always from one thread at a time.

use bytes::Bytes;
use kontiki_raft::{Cause, Contradiction};
use kontiki_types::{Membership, PeerId, Position, SnapshotMeta, StoreId, Term};

use crate::Payloads;

/// Names a waiting caller on this node. Chosen by the host, never reused within a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// A deterministic state machine fed with the committed log of one group.
///
/// `apply` must depend on nothing but the entries and the state before: no clock, no randomness,
/// no iteration order of a hash map. What is wrong with a *request* is an answer, not an error; an
/// error means that this replica cannot go on.
pub trait StateMachine: Send {
    /// Apply these consecutive entries, all of them in one atomic step together with the position
    /// of the last. For each payload with a token, push the reply.
    ///
    /// # Errors
    /// The storage failed; the store stops. [`Error::Failed`]: only this group stops.
    fn apply(
        &mut self,
        entries: &[Committed],
        replies: &mut Vec<(Token, Bytes)>,
    ) -> Result<(), Error>;

    /// A consistent view as of the last applied entry. Cheap; the chunks are produced later, on
    /// another thread, while applying goes on.
    ///
    /// # Errors
    /// The storage failed.
    fn snapshot(&mut self) -> Result<Box<dyn SnapshotSource>, Error>;

    /// Whether these chunks are a whole snapshot: asked before [`Self::install`] destroys anything
    /// for them. Default: they are taken for one.
    ///
    /// # Errors
    /// [`Error::Snapshot`] when they are not; the state is as it was.
    fn check_snapshot(
        &mut self,
        _meta: &SnapshotMeta,
        _chunks: &mut dyn Iterator<Item = Result<Bytes, Error>>,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// Replace the whole state by a snapshot. Durable when it returns. Must be restartable: after
    /// a crash in the middle it is called again with the same `spool` (the host's name for the
    /// received chunks), which the state machine remembers durably before it destroys anything.
    ///
    /// # Errors
    /// A chunk is damaged (the old state may be gone: call again with a whole snapshot), or the
    /// storage failed.
    fn install(
        &mut self,
        meta: &SnapshotMeta,
        spool: u64,
        chunks: &mut dyn Iterator<Item = Result<Bytes, Error>>,
    ) -> Result<(), Error>;

    /// The log needs the room of what is applied. A state machine that is durable by snapshots of
    /// its own takes one soon; must return at once.
    fn save_soon(&mut self) {}

    /// This replica is destroyed: delete what belongs to it, and nothing else. Called once, last.
    ///
    /// # Errors
    /// The storage failed; the store stops.
    fn destroy(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// What a leader says cannot be, if every replica keeps what it promised; the group is halted
    /// here. Default: that stops the store.
    ///
    /// # Errors
    /// Always. [`Error::Failed`]: only this group stops.
    fn on_contradiction(&mut self, what: &Contradiction) -> Result<(), Error> {
        Err(Error::Storage(what.clone().into()))
    }

    /// This replica leads from now on.
    fn on_leader_start(&mut self, _term: Term) {}

    /// This replica leads no more, for this reason.
    fn on_leader_stop(&mut self, _term: Term, _why: Cause) {}

    /// The members are others by now, and that is committed and applied; or a snapshot with other
    /// members was installed. Joint memberships pass without a word, as in JRaft: they are a matter
    /// of consensus. A state machine that keeps the members with its data finds all of them, in
    /// place, in [`CommittedKind::Config`].
    fn on_configuration_committed(&mut self, _membership: &Membership) {}

    /// Who leads is known anew, or not known any more.
    fn on_leader_changed(&mut self, _term: Term, _leader: Option<(PeerId, StoreId)>, _why: Cause) {}
}

/// An entry that is committed, and durable on this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    /// Where it stands.
    pub position: Position,
    /// What it holds.
    pub kind: CommittedKind,
}

/// What a committed entry holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CommittedKind {
    /// A new leader's no-op; only the position moves.
    Empty,
    /// Payloads, to be applied in this order.
    Normal(Payloads),
    /// A membership that is now committed.
    Config(Membership),
}

/// A snapshot being sent: chunks in order, until `None`.
pub trait SnapshotSource: Send {
    /// What the snapshot replaces. Asked for once, before the first chunk, on the thread that
    /// streams: what takes time to make may be made here.
    ///
    /// # Errors
    /// It could not be made; the transfer is given up.
    fn meta(&mut self) -> Result<SnapshotMeta, Error>;

    /// The next chunk, at most `limits::SNAPSHOT_CHUNK_BYTES` and a little, framed and numbered by
    /// `kontiki_codec::snapshot_chunk`: a receiver refuses a damaged one, and destroys nothing.
    ///
    /// # Errors
    /// The storage failed; the transfer is given up.
    fn next_chunk(&mut self) -> Result<Option<Bytes>, Error>;
}

/// Why a state machine could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The storage behind the state machine failed. The store stops acknowledging and exits.
    #[error("state machine storage: {0}")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A snapshot is damaged or of a form this version does not know. It is fetched again.
    #[error("snapshot damaged: {0}")]
    Snapshot(String),
    /// This state machine cannot go on; nothing is wrong with the store. Its group is halted here
    /// and all others go on.
    #[error("state machine failed: {0}")]
    Failed(String),
}
