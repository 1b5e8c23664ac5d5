//! The face of one Raft group.
//!
//! Method grammar: inputs are `step`, `propose`, `read`, `transfer`, `campaign` and `on_*`; outputs
//! are `take` and `next_deadline`; the rest are getters. First commit: the bodies follow.

use bytes::Bytes;
use kontiki_types::{
    Index, Membership, Message, Moment, Peer, PeerId, Position, SnapshotMeta, Term,
};

use crate::{
    Batch, Config, PeerProgress, ProposeError, ReadError, ReadId, Restored, RoleKind, Seq,
    TransferError,
};

/// One replica of one group.
pub struct Node {
    config: Config,
    restored: Restored,
}

impl Node {
    /// A follower that continues from what the disk gave back.
    pub fn new(config: Config, restored: Restored, _now: Moment) -> Self {
        Self { config, restored }
    }

    /// A message arrived.
    pub fn step(&mut self, _message: Message, _now: Moment) {}

    /// Append an entry. Its position is its promise: it committed iff an entry of this very
    /// position is applied.
    pub fn propose(
        &mut self,
        _data: Bytes,
        _expected_term: Option<Term>,
        _now: Moment,
    ) -> Result<Position, ProposeError> {
        Err(ProposeError::NotLeader { leader: None })
    }

    /// Ask for the index a linearizable read must wait for; answered in [`Batch::reads`] or
    /// [`Batch::reads_failed`]. A follower asks its leader.
    pub fn read(&mut self, _id: ReadId, _now: Moment) -> Result<(), ReadError> {
        Err(ReadError::NotLeader)
    }

    /// Hand leadership to this peer; ends with [`crate::Notice::TransferEnded`].
    pub fn transfer(&mut self, _to: PeerId, _now: Moment) -> Result<(), TransferError> {
        Err(TransferError::NotLeader { leader: None })
    }

    /// Campaign now, without a pre-vote.
    pub fn campaign(&mut self, _now: Moment) {}

    /// The deadline passed.
    pub fn on_time(&mut self, _now: Moment) {}

    /// This store operation, and all before it, are durable.
    pub fn on_persisted(&mut self, _seq: Seq, _now: Moment) {}

    /// The state machine holds everything up to here.
    pub fn on_applied(&mut self, _index: Index) {}

    /// The stream of a wanted snapshot ended; `ok`: the receiver has all of it.
    pub fn on_snapshot_sent(&mut self, _to: PeerId, _session: u64, _ok: bool, _now: Moment) {}

    /// The snapshot of a [`crate::Notice::SnapshotInstall`] is durable in the state machine; not
    /// `ok`: the state machine is as it was before.
    pub fn on_snapshot_installed(&mut self, _meta: &SnapshotMeta, _ok: bool, _now: Moment) {}

    /// The transport lost its way to this peer: what was on its way may be lost.
    pub fn on_unreachable(&mut self, _peer: PeerId) {}

    /// Drop the log up to and including `to`, or what of that is applied and durable. Returns the
    /// new start of the log if it moved.
    pub fn compact(&mut self, _to: Index) -> Option<Position> {
        None
    }

    /// Move what is to be done into the batch; call after each round of inputs.
    pub fn take(&mut self, _batch: &mut Batch) {}

    /// When `on_time` wants to be called.
    pub fn next_deadline(&self) -> Option<Moment> {
        None
    }

    /// This peer.
    pub fn id(&self) -> PeerId {
        self.config.id
    }

    /// Current term.
    pub fn term(&self) -> Term {
        self.restored.hard_state.term
    }

    /// Current role.
    pub fn role(&self) -> RoleKind {
        RoleKind::Follower
    }

    /// Current role in words: `leader`, `follower`, …
    pub fn role_name(&self) -> &'static str {
        self.role().name()
    }

    /// Who leads, if known.
    pub fn leader(&self) -> Option<PeerId> {
        None
    }

    /// Everything up to here is committed.
    pub fn commit(&self) -> Index {
        self.restored.hard_state.commit
    }

    /// The state machine reported everything up to here.
    pub fn applied(&self) -> Index {
        self.restored.applied
    }

    /// Index of the first entry the log holds (or will hold).
    pub fn first_index(&self) -> Index {
        self.restored.snapshot.position.index.next()
    }

    /// Position of the last entry.
    pub fn last_position(&self) -> Position {
        self.restored.entries.last().map_or(self.restored.snapshot.position, |e| e.position)
    }

    /// Everything up to here is durable on this peer.
    pub fn durable(&self) -> Index {
        self.last_position().index
    }

    /// The membership in effect: that of the newest configuration entry, committed or not.
    pub fn membership(&self) -> &Membership {
        &self.restored.snapshot.membership
    }

    /// The membership as of this index, if the log still knows.
    pub fn membership_at(&self, _index: Index) -> Option<&Membership> {
        None
    }

    /// A member of the group.
    pub fn peer(&self, id: PeerId) -> Option<Peer> {
        self.membership().peer(id)
    }

    /// Where the log starts, with the membership as of there.
    pub fn start(&self) -> SnapshotMeta {
        self.restored.snapshot.clone()
    }

    /// Bytes of the log in memory, entry overheads included.
    pub fn log_bytes(&self) -> usize {
        0
    }

    /// How far each follower is, in order of peer; empty unless leading.
    pub fn progress(&self) -> Vec<PeerProgress> {
        Vec::new()
    }

    /// The least index matched by a follower heard of within an election timeout that continues
    /// from the log: compacting beyond it would cost a snapshot. Nothing unless leading.
    pub fn lowest_live_match(&self) -> Option<Index> {
        None
    }

    /// One line for status and logs.
    pub fn describe(&self) -> String {
        String::new()
    }
}
