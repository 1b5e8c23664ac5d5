//! What a [`crate::Node`] wants done: drained by the driver after each round of inputs.
//!
//! The driver needs no knowledge of Raft: it executes `store` operations in order, sends each
//! message once the operation it names is durable, hands `apply` to the state machine, and reports
//! back with `on_persisted`, `on_applied` and friends.

use kontiki_types::{Entry, HardState, Index, Membership, Message, PeerId, SnapshotMeta, Term};

use crate::{Cause, ChangeFailure};

/// Number of a store operation of one group: grows by one, executed in order. 0 is "nothing".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Seq(pub u64);

/// The outputs of one round. Reused between rounds; `Node::take` appends to it.
#[derive(Default, Debug)]
pub struct Batch {
    /// At most one operation a round.
    pub store: Option<StoreOp>,
    /// Messages, each with the store operation it must wait for.
    pub send: Vec<Outgoing>,
    /// Entries to apply: committed and durable on this peer, consecutive, each handed out once.
    pub apply: Vec<Entry>,
    /// Reads whose index is known: serve each once `index` is applied.
    pub reads: Vec<ReadReady>,
    /// Reads that could not be confirmed; the caller tries again, elsewhere if it likes.
    pub reads_failed: Vec<ReadId>,
    /// Entries to read back from the log of this group; answer each with
    /// [`crate::Node::on_fetched`].
    pub fetch: Vec<Fetch>,
    /// What callbacks and logs want to know, in order.
    pub notices: Vec<Notice>,
}

impl Batch {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.store.is_none()
            && self.send.is_empty()
            && self.apply.is_empty()
            && self.reads.is_empty()
            && self.reads_failed.is_empty()
            && self.fetch.is_empty()
            && self.notices.is_empty()
    }
}

/// Make this durable, in this order: snapshot, truncation and entries, hard state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreOp {
    /// Its number.
    pub seq: Seq,
    /// The log restarts here: everything before and, unless the entry at this position is kept
    /// (`keep_tail`), everything after is dropped.
    pub snapshot: Option<StoredSnapshot>,
    /// Entries to append; when the first index is not past the last of the log, what stands there
    /// and after is replaced.
    pub entries: Vec<Entry>,
    /// New hard state.
    pub hard_state: Option<HardState>,
    /// Nothing in here must be durable before anything is said (a lone commit hint).
    pub lazy: bool,
}

/// The part of a [`StoreOp`] that follows an installed snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredSnapshot {
    /// Where the log restarts, and with which membership.
    pub meta: SnapshotMeta,
    /// The log holds this very entry, so entries after it stay.
    pub keep_tail: bool,
}

/// A question to the log on disk: its entries after `after` up to `to`, or as many of them as fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fetch {
    /// Names the question in the answer.
    pub ticket: u64,
    /// The entry before the first.
    pub after: Index,
    /// The last one.
    pub to: Index,
    /// Most bytes; one entry is always wanted.
    pub bytes_max: usize,
}

/// A message and what must be durable before it may leave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// Wait for this operation; `Seq(0)`: send at once.
    pub after: Seq,
    /// What to send.
    pub message: Message,
}

/// The caller's name for a read; never reused within a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReadId(pub u64);

/// A confirmed read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadReady {
    /// Which.
    pub id: ReadId,
    /// Serve it once this index is applied.
    pub index: Index,
}

/// How far a change of membership is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChangeStage {
    /// These receive the log, and have no vote before they lack little of it.
    CatchingUp {
        /// New voters, in order of id.
        peers: Vec<PeerId>,
    },
    /// Old and new voters decide together.
    Joint {
        /// Where that stands in the log.
        index: Index,
    },
    /// The new membership is in effect, and not yet committed.
    Final {
        /// Where it stands in the log.
        index: Index,
    },
}

/// Things that happened, for callbacks, logs and the layer above.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// This peer leads from now on; its no-op entry stands at `index`.
    LeaderStart {
        /// The new term.
        term: Term,
        /// Index of the no-op.
        index: Index,
    },
    /// This peer leads no more; entries it proposed may or may not commit.
    LeaderStop {
        /// The term that ended.
        term: Term,
        /// What ended it.
        why: Cause,
    },
    /// This peer learned who leads, or lost its leader.
    LeaderChanged {
        /// Current term.
        term: Term,
        /// Who leads, if known.
        leader: Option<PeerId>,
        /// How it came to know.
        why: Cause,
    },
    /// A membership took effect at append.
    MembershipAppended(Membership),
    /// The membership entry at this index is committed; or a snapshot as of there has it.
    MembershipCommitted {
        /// Where.
        index: Index,
        /// What.
        membership: Membership,
    },
    /// A change asked for here went on.
    ChangeStage(ChangeStage),
    /// A change asked for here ended: with the membership it led to, or why not. Comes exactly once
    /// for each accepted [`crate::Node::change`], unless the process ends before.
    ChangeEnded(Result<Membership, ChangeFailure>),
    /// This peer was a member of the group and is none any more, for good: its replica may be
    /// destroyed. It does not campaign again; it still answers.
    Removed,
    /// A follower's log cannot be continued: make a snapshot and stream it there, closed by a
    /// `Snapshot` message in the term this peer has **now**, when the notice is taken; by the time
    /// the stream ends this peer may be in another one. Answer with `on_snapshot_sent`.
    SnapshotWanted {
        /// Who needs it.
        to: PeerId,
        /// Echo in the `Snapshot` message that closes the stream.
        session: u64,
    },
    /// A snapshot arrived and is newer than this log: install it, then `on_snapshot_installed`.
    SnapshotInstall(SnapshotMeta),
    /// A transfer of leadership ended.
    TransferEnded {
        /// To whom.
        to: PeerId,
        /// How.
        outcome: TransferOutcome,
    },
}

/// How a transfer of leadership ended. Every transfer that began has exactly one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TransferOutcome {
    /// The target leads.
    Done,
    /// The target may not stand, and said so.
    Refused,
    /// Nothing came of it within an election timeout.
    TimedOut,
    /// A transfer to another target took its place.
    Superseded,
    /// Another peer leads.
    AnotherLeads,
}

impl TransferOutcome {
    /// In words, for status and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused by the target",
            Self::TimedOut => "timed out",
            Self::Superseded => "superseded",
            Self::AnotherLeads => "given up: another leads",
        }
    }
}
