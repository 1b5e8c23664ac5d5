//! Everything that can happen to a shard.

use bytes::Bytes;
use kontiki_types::{
    Entry, Index, Membership, MembershipChange, Message, PeerId, ReadMode, RegionId, SnapshotMeta,
    StoreId, Term,
};

use crate::{TaskSeq, Token};

/// An input of [`crate::Shard::on_event`]. A closed list: every cause of work stands here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A caller wants this payload in the log.
    Propose {
        /// Which group.
        group: RegionId,
        /// Opaque; at most `limits::BATCH_BYTES_MAX` and a header.
        payload: Bytes,
        /// Who waits.
        token: Token,
        /// Refuse unless the leader is in this term.
        expected_term: Option<Term>,
    },
    /// A caller wants to read: answered by an [`crate::ApplyTask::Read`] once this replica holds
    /// everything that was acknowledged before now.
    Read {
        /// Which group.
        group: RegionId,
        /// Who waits.
        token: Token,
        /// What may confirm it.
        mode: ReadMode,
    },
    /// A peer says something.
    Message {
        /// Which group.
        group: RegionId,
        /// Where the sender lives: a replica that does not know its group yet answers there.
        store: StoreId,
        /// What.
        message: Message,
    },
    /// All chunks of a snapshot have arrived and lie in a spool; the message that offers it.
    SnapshotArrived {
        /// Which group.
        group: RegionId,
        /// A `Body::Snapshot` message.
        message: Message,
        /// Where the chunks lie; the host's name.
        spool: u64,
    },
    /// Every log task up to this one is durable.
    LogSynced {
        /// The last one.
        task: TaskSeq,
    },
    /// The applier has applied up to here.
    Applied {
        /// Which group.
        group: RegionId,
        /// Last applied entry.
        index: Index,
        /// Bytes of the entries applied, as counted by the task.
        bytes: usize,
    },
    /// A snapshot stream to a peer ended, or never began. Answers each
    /// [`crate::ApplyTask::Snapshot`] once: the next of all groups is opened then.
    SnapshotSent {
        /// Which group.
        group: RegionId,
        /// To whom.
        to: PeerId,
        /// In which reign: numbers of progresses begin anew with every life of a replica.
        term: Term,
        /// The progress it belongs to.
        session: u64,
        /// The receiver has it all.
        ok: bool,
    },
    /// The state machine holds the snapshot, durably; or could not install it.
    SnapshotInstalled {
        /// Which group.
        group: RegionId,
        /// Which snapshot.
        meta: SnapshotMeta,
        /// It does.
        ok: bool,
    },
    /// The applier is done with a group that was destroyed.
    Destroyed {
        /// Which group.
        group: RegionId,
    },
    /// The engine has made durable all that was applied when [`crate::Effects::sync_engine`] asked.
    EngineSynced,
    /// The log read entries back for a [`crate::Effects::fetch`].
    Fetched {
        /// Of the question.
        ticket: u64,
        /// The entries; nothing: the log does not hold them any more.
        entries: Option<Vec<Entry>>,
    },
    /// A group's state machine that is durable by its own snapshots holds all up to here.
    Snapshotted {
        /// Which group.
        group: RegionId,
        /// Last entry the snapshot holds.
        index: Index,
    },
    /// The log is full of what these groups keep in it: they shall give up what they can.
    LogCrowded {
        /// Those that keep most, first.
        groups: Vec<RegionId>,
    },
    /// The replica takes no part from now on, until it is revived: its state machine failed, or
    /// its owner shut it down. A leader hands over first.
    Halt {
        /// Which group.
        group: RegionId,
    },
    /// Nothing reaches this store at the moment.
    Unreachable {
        /// Which store.
        store: StoreId,
    },
    /// An operator wants another leader.
    Transfer {
        /// Which group.
        group: RegionId,
        /// The new leader's store; nothing: whoever can take over soonest.
        to: Option<StoreId>,
        /// Who waits; answered as refused or, at once, by `Effects::accepted`, and then at the end
        /// by `Effects::transferred`.
        token: Token,
    },
    /// An operator or the placement driver wants other members.
    Change {
        /// Which group.
        group: RegionId,
        /// What.
        change: MembershipChange,
        /// Who waits; answered as refused, or by `Effects::changed` once the change has ended.
        token: Token,
    },
    /// An operator gives up the majority of a group and forces a membership on the replica here.
    /// **May lose data**; see `kontiki_raft::Node::reset_peers`.
    Reset {
        /// Which group.
        group: RegionId,
        /// Who remains.
        membership: Membership,
        /// Who waits; answered as refused or, at once, by `Effects::accepted`.
        token: Token,
    },
}
