//! Everything a shard can want from the world.

use kontiki_log::Record;
use kontiki_raft::{
    Cause, ChangeError, ChangeFailure, Contradiction, Fetch, Notice, ResetError, TransferError,
    TransferOutcome,
};
use kontiki_types::{Body, Membership, Message, PeerId, RegionId, SnapshotMeta, StoreId, Term};

use crate::{Committed, Token};

/// Number of a log task; grows by one, executed in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct TaskSeq(pub u64);

/// The effects of one turn, drained by the driver. Reused: [`Effects::clear`] keeps the memory.
#[derive(Default, Debug)]
pub struct Effects {
    /// Append this and sync; then send what is gated; then report [`crate::Event::LogSynced`].
    pub log: Option<LogTask>,
    /// Messages that may leave at once.
    pub send: Vec<Outbound>,
    /// Work for the applier, in order.
    pub apply: Vec<ApplyTask>,
    /// Callers that get no reply from the applier.
    pub refused: Vec<(Token, Refused)>,
    /// Callers of [`crate::Event::Transfer`] whose request is under way, and of
    /// [`crate::Event::Reset`] whose membership is in effect.
    pub accepted: Vec<Token>,
    /// Callers of [`crate::Event::Change`] whose change is done, with the membership it led to.
    pub changed: Vec<(Token, Membership)>,
    /// Messages for groups that are not here: the driver decides whether there shall be a replica.
    pub unknown: Vec<Unknown>,
    /// Callers of [`crate::Event::Transfer`] whose transfer ended, and how. Each that was accepted
    /// comes here once.
    pub transferred: Vec<(Token, TransferOutcome)>,
    /// Callers of [`crate::Event::Propose`] whose entry is committed, and will be applied and
    /// answered; only where [`crate::ShardConfig::tell_committed`] asks for it.
    pub committed: Vec<Token>,
    /// Entries to read back from the log ([`kontiki_log::Log::entries`]); answer each by
    /// [`crate::Event::Fetched`], once every log task before is executed.
    pub fetch: Vec<(RegionId, Fetch)>,
    /// Sync the engine in the background and report [`crate::Event::EngineSynced`].
    pub sync_engine: bool,
    /// What callbacks, status and logs want to know.
    pub notices: Vec<(RegionId, Notice)>,
    /// Groups that were asked to halt and take no part any more.
    pub halted: Vec<RegionId>,
    /// Groups that were quarantined here, and whose heir lives now.
    pub succeeded: Vec<RegionId>,
}

impl Effects {
    /// Somebody who asked is to be told of something, or the driver is.
    pub fn concerns_callers(&self) -> bool {
        let Self { refused, accepted, changed, transferred, notices, halted, succeeded, .. } = self;
        let asked = refused.len() + accepted.len() + changed.len() + transferred.len();
        asked + notices.len() + halted.len() + succeeded.len() > 0
    }

    /// Forget everything but the memory.
    pub fn clear(&mut self) {
        self.log = None;
        self.send.clear();
        self.apply.clear();
        self.refused.clear();
        self.accepted.clear();
        self.changed.clear();
        self.unknown.clear();
        self.transferred.clear();
        self.committed.clear();
        self.fetch.clear();
        self.sync_engine = false;
        self.notices.clear();
        self.halted.clear();
        self.succeeded.clear();
    }

    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.log.is_none()
            && self.send.is_empty()
            && self.apply.is_empty()
            && self.refused.is_empty()
            && self.accepted.is_empty()
            && self.changed.is_empty()
            && self.unknown.is_empty()
            && self.transferred.is_empty()
            && self.committed.is_empty()
            && self.fetch.is_empty()
            && !self.sync_engine
            && self.notices.is_empty()
            && self.halted.is_empty()
            && self.succeeded.is_empty()
    }
}

/// What one turn wants durable, for all groups together: one sync.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogTask {
    /// Its number.
    pub seq: TaskSeq,
    /// Records in order.
    pub records: Vec<Record>,
    /// Messages that may leave once this task is durable.
    pub gated: Vec<Outbound>,
    /// Nobody waits for this one: write it, sync it with the next that matters.
    pub lazy: bool,
}

/// A message with the store it goes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outbound {
    /// Where the addressee lives.
    pub store: StoreId,
    /// Which group it concerns.
    pub group: RegionId,
    /// What is said.
    pub message: Message,
}

/// A message for a group that is not here. To take part, create the replica that it addresses
/// ([`crate::Shard::join_group`]) and feed the message again; to stay out, do nothing: the sender
/// learns by silence, as with any lost message.
///
/// The place may be taken by a replica that is kept out and hears nothing, its removal neither
/// ([`crate::Shard::add_quarantined`]). If the driver knows that the one addressed is newer, it
/// destroys that one first ([`crate::Shard::destroy_group`]); the leader repeats itself.
///
/// **A driver must remember, durably, which replicas it destroyed**, and their heirs, and never
/// create one of their peer ids again: a leader of long ago, back from a partition, would take the
/// new one for the old one, which promised and acknowledged more than the new one knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unknown {
    /// Which group.
    pub group: RegionId,
    /// Where the sender lives.
    pub store: StoreId,
    /// What it said.
    pub message: Message,
}

impl Unknown {
    /// True when a leader speaks to a replica that it wants fed: only these are reason enough to
    /// create one. Whoever merely asks for votes may itself be a replica of long ago.
    pub fn wants_replica(&self) -> bool {
        matches!(self.message.body, Body::Append { .. } | Body::Heartbeat { .. })
    }
}

/// Work for the applier. Tasks of one group are executed in the order they left the shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ApplyTask {
    /// Apply these.
    Entries {
        /// Which group.
        group: RegionId,
        /// Consecutive entries.
        entries: Vec<Committed>,
        /// Their cost, to be echoed in [`crate::Event::Applied`].
        bytes: usize,
    },
    /// This caller may read the state machine now.
    Read {
        /// Which group.
        group: RegionId,
        /// Who.
        token: Token,
    },
    /// Open a snapshot and stream it to a peer; then report [`crate::Event::SnapshotSent`].
    Snapshot {
        /// Which group.
        group: RegionId,
        /// This replica.
        from: PeerId,
        /// To whom.
        to: PeerId,
        /// Where the peer lives.
        store: StoreId,
        /// Term of the offer.
        term: Term,
        /// Echo in the offer.
        session: u64,
    },
    /// What is applied should become durable soon, by a snapshot of the state machine's own: the
    /// log needs the room.
    Save {
        /// Which group.
        group: RegionId,
    },
    /// What a leader says contradicts what this replica knows; its group is halted here.
    Contradicted {
        /// Which group.
        group: RegionId,
        /// How.
        what: Box<Contradiction>,
    },
    /// A snapshot arrived that nobody wants any more: what is in this spool goes.
    Discard {
        /// Which group.
        group: RegionId,
        /// The host's name for the received chunks.
        spool: u64,
    },
    /// Replace the state by the snapshot in this spool.
    Install {
        /// Which group.
        group: RegionId,
        /// What it replaces.
        meta: SnapshotMeta,
        /// Where the chunks lie.
        spool: u64,
    },
    /// The replica is destroyed, once everything before is executed; report
    /// [`crate::Event::Destroyed`].
    Destroy {
        /// Which group.
        group: RegionId,
    },
    /// This replica began or ceased to lead.
    Leading {
        /// Which group.
        group: RegionId,
        /// Which term.
        term: Term,
        /// It ceased, for this reason; it began where there is none.
        stopped: Option<Cause>,
    },
    /// This replica knows of another leader, or of none.
    Following {
        /// Which group.
        group: RegionId,
        /// Which term.
        term: Term,
        /// Who leads; this replica, too, when it does.
        leader: Option<(PeerId, StoreId)>,
        /// How it came to know.
        why: Cause,
    },
}

/// Why a caller gets no reply from the state machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// No such group on this store.
    NoGroup,
    /// The replica here is quarantined: it takes no part until it was refilled.
    Quarantined,
    /// The replica here takes no part: its state machine failed, or it was shut down.
    Halted,
    /// Another replica leads, or none is known. Nothing was proposed.
    NotLeader {
        /// Who leads, or is about to, if known.
        leader: Option<(PeerId, StoreId)>,
    },
    /// Too much is under way here. Nothing was proposed; try again a little later.
    Busy,
    /// The leader is handing over. Nothing was proposed.
    Transferring,
    /// The leader is not in the expected term. Nothing was proposed.
    TermMismatch {
        /// The current one.
        current: Term,
    },
    /// Leadership was lost while the proposal was under way: it may take effect or not.
    LeadershipLost,
    /// The read could not be confirmed; it is safe to try again.
    ReadFailed,
    /// The target of a transfer is not a voter that could lead, for this reason.
    BadTarget(TransferError),
    /// The change of membership did not begin. Nothing was changed.
    Change(ChangeError),
    /// The change of membership began and did not end well.
    ChangeFailed(ChangeFailure),
    /// The membership was not forced. Nothing was changed.
    Reset(ResetError),
}
