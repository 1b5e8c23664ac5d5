//! A replica that must not take part: what it promised is not known any more.
//!
//! Held by the shard beside the groups that work. There is no Raft node behind it, so nothing can
//! make it vote, acknowledge or echo a read round. It asks for an heir to take its place
//! ([`crate::asking`]); the first word of a leader to the heir, and to nobody else, begins the
//! heir's life: the log forgets the old replica and begins anew where the state machine stands, and
//! once that is durable the heir is a group like any other. `docs/design/0005-quarantine.md` says
//! why that is safe.

use kontiki_log::Record;
use kontiki_raft::{Config as RaftConfig, Node, Restored};
use kontiki_types::{
    Body, HardState, Index, Membership, Message, Moment, Position, RegionId, SnapshotMeta, StoreId,
    Term,
};

use crate::GroupStatus;
use crate::asking::Asking;
use crate::effect::{Outbound, TaskSeq};

/// What a replica is kept out with.
#[derive(Clone, Debug)]
pub struct Quarantined {
    /// Which group.
    pub group: RegionId,
    /// This store.
    pub store: StoreId,
    /// What its state machine holds, **durably**; that is whole, but may be old.
    pub applied: Position,
    /// The membership as of there.
    pub membership: Membership,
    /// Settings of the heir; its id was never used before, whatever happened, and the driver knows
    /// it durably for that of the replica here.
    pub heir: RaftConfig,
    /// What was found, for people.
    pub why: String,
}

/// A kept-out replica inside the shard.
#[derive(Debug)]
pub(crate) struct KeptOut {
    replica: Quarantined,
    asking: Asking,
    /// The log task that makes the birth of the heir durable.
    birth: Option<TaskSeq>,
}

impl KeptOut {
    pub(crate) fn new(replica: Quarantined) -> Self {
        let asking = Asking::new(replica.store, replica.heir.election_timeout);
        Self { replica, asking, birth: None }
    }

    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.birth.is_none().then(|| self.asking.next())
    }

    pub(crate) fn on_time(&mut self, now: Moment, send: &mut Vec<Outbound>) {
        let Quarantined { group, membership, heir, .. } = &self.replica;
        self.asking.ask(*group, heir.id, membership, now, send);
    }

    /// A message for the group arrived: true when it begins the heir's life.
    pub(crate) fn is_called(&self, message: &Message) -> bool {
        let by_leader = matches!(message.body, Body::Append { .. } | Body::Heartbeat { .. });
        by_leader && message.to == self.replica.heir.id && self.birth.is_none()
    }

    /// A leader wants neither this replica here nor its heir, but another one: it may have been
    /// removed, and could not hear of it.
    pub(crate) fn is_passed_over(&self, message: &Message) -> bool {
        let Quarantined { membership, heir, .. } = &self.replica;
        message.to != heir.id && !membership.contains(message.to)
    }

    /// What the log must hold before the heir says anything; written with this task. It is small
    /// and of one group, so it stands in one frame, and a crash keeps all of it or nothing.
    pub(crate) fn begin_birth(&mut self, task: TaskSeq) -> Vec<Record> {
        self.birth = Some(task);
        let Quarantined { group, applied, .. } = self.replica;
        let meta = self.beginning();
        let mut records =
            vec![Record::Forget { group }, Record::Snapshot { group, meta, keep_tail: false }];
        if applied.term > Term(0) {
            records.push(Record::HardState { group, state: self.hard_state() });
        }
        records
    }

    /// The log is durable up to this task, and with it the birth, if it is part of that.
    pub(crate) fn is_born(&self, task: TaskSeq) -> bool {
        self.birth.is_some_and(|birth| birth <= task)
    }

    /// The heir: it has promised nothing to anybody, and holds what is committed up to `applied`.
    pub(crate) fn into_heir(self, now: Moment) -> (Node, Asking) {
        let restored = Restored {
            hard_state: self.hard_state(),
            snapshot: self.beginning(),
            applied: self.replica.applied.index,
            ..Restored::default()
        };
        (Node::new(self.replica.heir, restored, now), self.asking)
    }

    /// The heir is no member as of there, and does not say that it is: whoever knows no better and
    /// tells it that it does not belong to the group is then not believed.
    fn beginning(&self) -> SnapshotMeta {
        let Quarantined { applied, membership, .. } = &self.replica;
        SnapshotMeta { position: *applied, membership: membership.clone() }
    }

    fn hard_state(&self) -> HardState {
        let Position { term, index } = self.replica.applied;
        HardState { term, vote: None, commit: index }
    }

    /// In words, for people.
    pub(crate) fn describe(&self) -> String {
        let Quarantined { heir, why, .. } = &self.replica;
        format!("quarantined, {} is to succeed: {why}", heir.id)
    }

    pub(crate) fn status(&self) -> GroupStatus {
        let Quarantined { store, membership, heir, .. } = &self.replica;
        let applied = self.replica.applied.index;
        let old = membership.peers().find(|peer| peer.store == *store).map(|peer| peer.id);
        GroupStatus {
            group: self.replica.group,
            peer: old.unwrap_or(heir.id),
            role: "quarantined",
            term: Term(0),
            leader: None,
            first: Index(0),
            last: Position::ZERO,
            commit: Index(0),
            applied,
            durable_applied: applied,
            log_bytes: 0,
            cached_bytes: 0,
            quarantine: Some(self.replica.why.clone()),
        }
    }
}
