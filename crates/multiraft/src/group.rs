//! One group inside a shard: its Raft node, who waits for what, and how far everything is.
//!
//! The shard calls the inputs while a turn collects events, then [`Group::drain`] once to turn
//! what the node wants into effects. Nothing here talks to the world.

mod asks;
mod compaction;
mod halt;
mod memory;
mod proposals;
mod reads;
mod report;

use std::collections::VecDeque;

use bytes::Bytes;
use kontiki_codec::membership;
use kontiki_log::Record;
use kontiki_raft::{Batch, Cause, Contradiction, Node, Notice, RoleKind, Seq, StoreOp};
use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{
    Entry, EntryKind, HardState, Index, Membership, Message, Moment, PeerId, PeerRole, Position,
    RegionId, SnapshotMeta, StoreId, Term,
};

use crate::GroupStatus;
use crate::agenda::Noted;
use crate::asking::Asking;
use crate::effect::{ApplyTask, Effects, Outbound, Refused, TaskSeq};
use crate::held::Held;
use crate::members::Members;
use crate::offers::Offer;
use crate::{Committed, CommittedKind, Payloads, ShardConfig, Token};

use halt::Part;
pub use halt::Revival;
use reads::Reads;

/// What makes the applied entries of a group durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// The engine all groups share: reported by [`crate::Event::EngineSynced`].
    Engine,
    /// Snapshots of its own state machine: reported by [`crate::Event::Snapshotted`].
    Snapshots,
}

/// The log is told what is committed after so many entries: a restart hears of the rest from its
/// leader, and a record for each entry costs as much as the entry where a thousand groups write.
const HINT_EVERY_ENTRIES: u64 = 64;

/// Why an heir without a vote takes no full part.
const REFILLED: &str = "it is refilled from its peers and has no vote yet";

/// A proposal that waits for the end of the turn.
struct Proposal {
    payload: Bytes,
    token: Token,
    expected_term: Option<Term>,
}

/// An entry that this peer proposed and that is not yet handed to the applier.
struct Waiting {
    position: Position,
    bytes: usize,
    tokens: Vec<Token>,
}

/// A store operation of this group that is part of a log task under way.
struct InFlight {
    task: TaskSeq,
    seq: Seq,
}

/// One group of a shard.
pub(crate) struct Group {
    id: RegionId,
    node: Node,
    members: Members,
    /// Collected during a turn, merged at its end.
    proposals: Vec<Proposal>,
    /// Who waits for an entry that this peer proposed, in order of index.
    waiting: VecDeque<Waiting>,
    /// Bytes proposed here and not yet handed to the applier.
    waiting_bytes: usize,
    reads: Reads,
    /// Log tasks under way that hold an operation of this group, oldest first.
    in_flight: VecDeque<InFlight>,
    /// Messages that wait for an operation under way, oldest first.
    gated: VecDeque<(Seq, Outbound)>,
    /// Term and vote last handed to the log.
    ballot: (Term, Option<PeerId>),
    /// Commit hint last handed to the log.
    hinted: Index,
    /// Newest operation that is durable.
    durable: Seq,
    /// Last entry handed to the applier.
    dispatched: Index,
    /// Last entry the applier reported.
    applied: Index,
    /// What the engine holds durably.
    durable_applied: Index,
    /// `applied` when the engine sync under way was asked for.
    syncing_applied: Index,
    /// Cost of entries handed to the applier and not yet reported.
    unapplied_bytes: usize,
    /// Who waits for the end of a transfer, and to whom it goes.
    transfers: Vec<(Option<PeerId>, Token)>,
    /// Whoever waits for an entry up to here was told that it is committed.
    told: Index,
    /// Spool of the snapshot that will be installed next.
    spool: Option<u64>,
    durability: Durability,
    /// The log wants the room of what is applied: the next compaction leaves no margin.
    is_crowding: bool,
    /// Whether the replica takes part.
    part: Part,
    revival: halt::Pending,
    /// Until an heir has its vote.
    asking: Option<Asking>,
    /// Why it is halted with the end of this turn, if for that.
    contradiction: Option<Box<Contradiction>>,
    pub(crate) noted: Noted,
    /// What it holds, as the shard counted it last.
    pub(crate) counted: Held,
    /// The shard watches over the stores it sleeps beside.
    pub(crate) is_watched: bool,
}

impl Group {
    pub(crate) fn new(id: RegionId, node: Node, durability: Durability) -> Self {
        let applied = node.applied();
        let ballot = (node.term(), node.vote());
        Self {
            id,
            node,
            members: Members::default(),
            proposals: Vec::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            reads: Reads::default(),
            in_flight: VecDeque::new(),
            gated: VecDeque::new(),
            ballot,
            hinted: Index(0),
            durable: Seq(0),
            dispatched: applied,
            applied,
            durable_applied: applied,
            syncing_applied: applied,
            unapplied_bytes: 0,
            transfers: Vec::new(),
            told: Index(0),
            spool: None,
            durability,
            is_crowding: false,
            part: Part::Full,
            revival: None,
            asking: None,
            contradiction: None,
            noted: Noted::default(),
            counted: Held::default(),
            is_watched: false,
        }
    }

    /// An heir, as which a quarantined replica begins anew.
    pub(crate) fn heir(id: RegionId, node: Node, asking: Asking) -> Self {
        Self { asking: Some(asking), ..Self::new(id, node, Durability::Engine) }
    }

    /// Ask for the place of the replica before, until there is a vote.
    pub(crate) fn let_succeed(&mut self, store: StoreId) {
        self.asking = Some(Asking::new(store, self.node.election_timeout()));
    }

    pub(crate) fn id(&self) -> RegionId {
        self.id
    }

    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        if self.is_halted() {
            return None;
        }
        let asking = self.asking.as_ref().map(Asking::next);
        let reads = self.reads.next_deadline(self.node.commit(), self.read_patience());
        [self.node.next_deadline(), asking, reads].into_iter().flatten().min()
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// The snapshot that this replica awaits to be sent to a peer, in this session.
    pub(crate) fn offer(&self, to: PeerId, session: u64) -> Option<Offer> {
        let is_wanted = !self.is_halted() && self.node.wants_snapshot(to, session);
        let store = self.members.store_of(&self.node, to).filter(|_| is_wanted)?;
        let (from, term) = (self.node.id(), self.node.term());
        Some(Offer { group: self.id, from, to, store, term, session })
    }

    // ---- inputs ----

    /// The state machine is asked for a snapshot. It gives one of what is durable, or a later one.
    pub(crate) fn on_snapshot_opened(&mut self, offer: &Offer) {
        self.node.on_snapshot_opened(offer.to, offer.session, self.durable_applied);
    }

    pub(crate) fn on_message(&mut self, store: StoreId, message: Message, now: Moment) {
        if self.is_halted() || self.is_contradicted(&message) {
            return;
        }
        self.members.on_heard(&self.node, message.from, store);
        self.node.step(message, now);
    }

    /// Tells which spool nobody wants: of this snapshot, which may be an older one, or for an
    /// earlier replica, or under way already; or of one that waited and is overtaken.
    pub(crate) fn on_snapshot_arrived(
        &mut self,
        message: Message,
        spool: u64,
        now: Moment,
    ) -> Option<u64> {
        if self.is_halted() || self.is_contradicted(&message) {
            return Some(spool);
        }
        let offer = message.body.clone();
        self.node.step(message, now);
        if self.node.will_install(&offer) { self.spool.replace(spool) } else { Some(spool) }
    }

    pub(crate) fn on_time(&mut self, now: Moment) {
        if !self.is_halted() {
            self.node.on_time(now);
            self.reads.give_up(now, self.node.commit(), self.read_patience());
        }
    }

    /// Every log task up to `task` is durable. True when that may have made something due: on a
    /// follower it seldom does, because the log writer sends what waited for it.
    pub(crate) fn on_log_synced(&mut self, task: TaskSeq, now: Moment) -> bool {
        let mut newest = None;
        while self.in_flight.front().is_some_and(|op| op.task <= task) {
            newest = self.in_flight.pop_front().map(|op| op.seq);
        }
        let Some(seq) = newest else { return false };
        assert!(seq > self.durable, "{}: {seq:?} durable after {:?}", self.id, self.durable);
        self.durable = seq;
        if self.is_halted() {
            self.node.on_persisted_at_rest(seq);
        } else {
            self.node.on_persisted(seq, now);
        }
        let is_revived = self.revival.is_some();
        self.try_revive(now);
        let follows = self.node.role() == RoleKind::Follower;
        is_revived || !follows || !self.gated.is_empty() || self.node.wants_apply()
    }

    /// The state machine holds everything up to here. True when more is to be handed to it.
    pub(crate) fn on_applied(&mut self, index: Index, bytes: usize) -> bool {
        assert!(index >= self.applied, "{}: applied {index} after {}", self.id, self.applied);
        assert!(bytes <= self.unapplied_bytes, "{}: {bytes} applied of fewer", self.id);
        self.applied = index;
        self.unapplied_bytes -= bytes;
        self.node.on_applied(index);
        self.node.wants_apply()
    }

    pub(crate) fn on_fetched(&mut self, ticket: u64, entries: Option<Vec<Entry>>) {
        self.node.on_fetched(ticket, entries);
    }

    pub(crate) fn on_snapshot_sent(&mut self, to: PeerId, of: (Term, u64), ok: bool, now: Moment) {
        if of.0 == self.node.term() {
            self.node.on_snapshot_sent(to, of.1, ok, now);
        }
    }

    pub(crate) fn on_snapshot_installed(&mut self, meta: &SnapshotMeta, ok: bool, now: Moment) {
        if self.is_halted() && !mutants::is_on(Mutant::InstalledAtRest) {
            // Whoever comes back begins with what was installed; its log restarts there then.
            return;
        }
        if ok {
            let index = meta.position.index;
            assert!(index >= self.dispatched, "{}: {index} under {}", self.id, self.dispatched);
            self.dispatched = index;
            self.applied = index;
            self.durable_applied = index;
            self.syncing_applied = index;
        }
        self.node.on_snapshot_installed(meta, ok, now);
    }

    /// Nothing reaches this store.
    pub(crate) fn on_unreachable(&mut self, store: StoreId, now: Moment) {
        let peers = self.node.membership().peers().filter(|peer| peer.store == store);
        for peer in peers.map(|peer| peer.id).collect::<Vec<_>>() {
            self.node.on_unreachable(peer, now);
        }
    }

    /// A store that this replica relies on in its sleep is silent.
    pub(crate) fn wake(&mut self, now: Moment) {
        self.node.wake(now);
    }

    pub(crate) fn is_asleep(&self) -> bool {
        !self.is_halted() && self.node.is_asleep()
    }

    /// The stores of the peers this replica relies on in its sleep.
    pub(crate) fn sleeps_beside(&self) -> Vec<StoreId> {
        let peers = self.node.sleeps_beside().into_iter();
        peers.filter_map(|peer| self.node.peer(peer)).map(|peer| peer.store).collect()
    }

    /// Somebody waits for the end of the turn, or until it is known who leads. To refuse them while
    /// leadership changes hands would send them into a pause longer than that takes.
    fn has_callers(&self) -> bool {
        !self.proposals.is_empty() || self.reads.are_held()
    }

    // ---- outputs ----

    /// [`Group::drain`] would do something.
    pub(crate) fn has_output(&self, config: &ShardConfig) -> bool {
        if self.is_halted() {
            return false;
        }
        let may_leave = |(after, _): &(Seq, Outbound)| *after <= self.durable;
        (self.has_callers() && !self.node.is_changing_hands())
            || self.node.has_output()
            || self.part != Part::Full
            || self.gated.front().is_some_and(may_leave)
            || self.reads.has_output(self.dispatched)
            || self.is_asleep() != self.is_watched
            || self.asking.is_some()
            || (config.tell_committed && self.told < self.node.commit())
    }

    /// End of the turn: propose what was collected and turn the node's wishes into effects. The
    /// records of this group go to `records`; `task` is the number the turn's log task will have.
    pub(crate) fn drain(
        &mut self,
        task: TaskSeq,
        now: Moment,
        config: &ShardConfig,
        batch: &mut Batch,
        records: &mut Records,
        effects: &mut Effects,
    ) {
        if self.is_halted() {
            return;
        }
        if !self.node.is_changing_hands() {
            self.ask_held_reads(now, effects);
            self.propose_collected(now, effects);
        }
        self.ask_for_place(now, effects);
        loop {
            self.node.take(batch);
            if let Some(op) = batch.store.take() {
                self.drain_store(op, task, records);
            }
            self.drain_notices(&mut batch.notices, effects);
            self.drain_messages(&mut batch.send, records, effects);
            self.drain_reads(batch, now, effects);
            let group = self.id;
            effects.fetch.extend(batch.fetch.drain(..).map(|fetch| (group, fetch)));
            if config.tell_committed {
                self.tell_committed(effects);
            }
            if batch.apply.is_empty() {
                break;
            }
            self.drain_apply(&mut batch.apply, effects);
            // All the rest left with what there was to apply.
            if !self.node.wants_apply() {
                break;
            }
        }
        self.reads.release(self.id, self.dispatched, effects);
        self.settle(effects);
        if self.node.is_asleep() {
            self.shrink();
        }
    }

    /// An heir asks until it has a vote for good: what is not committed may be cut off again.
    fn ask_for_place(&mut self, now: Moment, effects: &mut Effects) {
        let (id, commit) = (self.node.id(), self.node.commit());
        let votes = |members: &Membership| {
            members.peer(id).is_some_and(|peer| peer.role == PeerRole::Voter)
        };
        if self.node.membership_at(commit).is_some_and(votes) || self.node.is_removed() {
            self.asking = None;
        }
        if let Some(asking) = &mut self.asking {
            asking.ask(self.id, id, self.node.membership(), now, &mut effects.send);
        }
    }

    fn drain_store(&mut self, op: StoreOp, task: TaskSeq, records: &mut Records) {
        let group = self.id;
        if let Some(snapshot) = op.snapshot {
            let (meta, keep_tail) = (snapshot.meta, snapshot.keep_tail);
            records.list.push(Record::Snapshot { group, meta, keep_tail });
        }
        let news = op.hard_state.filter(|state| {
            let is_ballot = self.ballot != (state.term, state.vote);
            is_ballot || state.commit.0 >= self.hinted.0 + HINT_EVERY_ENTRIES
        });
        if let Some(HardState { term, vote, .. }) = news
            && self.ballot != (term, vote)
        {
            // A task too large for one frame may survive a crash in part, and a store whose log
            // holds an entry of a term that it does not know could not start. The commit hint comes
            // after the entries that it speaks of.
            let state = HardState { term, vote, commit: Index(0) };
            if !op.entries.is_empty() {
                records.list.push(Record::HardState { group, state });
            }
            self.ballot = (term, vote);
        }
        if !op.entries.is_empty() {
            records.list.push(Record::Append { group, entries: op.entries });
        }
        if let Some(state) = news.filter(|_| !mutants::is_on(Mutant::HardStateLost)) {
            self.hinted = state.commit;
            records.list.push(Record::HardState { group, state });
        }
        records.must_sync |= !op.lazy;
        records.used = true;
        records.groups.push(group);
        self.in_flight.push_back(InFlight { task, seq: op.seq });
    }

    fn drain_messages(
        &mut self,
        send: &mut Vec<kontiki_raft::Outgoing>,
        records: &mut Records,
        effects: &mut Effects,
    ) {
        let newest = self.in_flight.back().map(|op| op.seq);
        for outgoing in send.drain(..) {
            let to = outgoing.message.to;
            let Some(store) = self.members.store_of(&self.node, to) else { continue };
            let outbound = Outbound { store, group: self.id, message: outgoing.message };
            if outgoing.after <= self.durable {
                effects.send.push(outbound);
            } else if records.used && newest == Some(outgoing.after) {
                // The operation is part of this turn's task: the log writer sends it itself.
                records.gated.push(outbound);
            } else {
                self.gated.push_back((outgoing.after, outbound));
            }
        }
        while self.gated.front().is_some_and(|(after, _)| *after <= self.durable) {
            effects.send.extend(self.gated.pop_front().map(|(_, outbound)| outbound));
        }
    }

    fn drain_apply(&mut self, entries: &mut Vec<Entry>, effects: &mut Effects) {
        let mut bytes = 0;
        let mut committed = Vec::with_capacity(entries.len());
        for entry in entries.drain(..) {
            let index = entry.position.index;
            assert_eq!(index, self.dispatched.next(), "{}: apply out of order", self.id);
            self.dispatched = index;
            bytes += entry.cost_bytes();
            committed.push(self.committed(entry, effects));
        }
        self.unapplied_bytes += bytes;
        effects.apply.push(ApplyTask::Entries { group: self.id, entries: committed, bytes });
    }

    fn committed(&mut self, entry: Entry, effects: &mut Effects) -> Committed {
        let position = entry.position;
        let tokens = self.tokens_at(position, effects);
        let kind = match entry.kind {
            EntryKind::Empty => CommittedKind::Empty,
            EntryKind::Config => CommittedKind::Config(
                membership::from_bytes(entry.data)
                    .expect("raft accepted this membership at append"),
            ),
            EntryKind::Normal => CommittedKind::Normal(Payloads::new(entry.data, tokens)),
        };
        Committed { position, kind }
    }

    fn drain_notices(&mut self, notices: &mut Vec<Notice>, effects: &mut Effects) {
        for notice in notices.drain(..) {
            match &notice {
                Notice::LeaderStart { term, .. } => {
                    effects.apply.push(self.leading(*term, None));
                }
                Notice::LeaderStop { term, why } => {
                    effects.apply.push(self.leading(*term, Some(*why)));
                    // Their entries may still commit under the next leader; the callers' retries
                    // carry the same request ids, so they need not wait to find out.
                    while let Some(entry) = self.waiting.pop_front() {
                        self.refuse(entry, Refused::LeadershipLost, effects);
                    }
                }
                Notice::SnapshotInstall(meta) => effects.apply.push(ApplyTask::Install {
                    group: self.id,
                    meta: meta.clone(),
                    spool: self.spool.take().expect("it arrived before it is installed"),
                }),
                Notice::TransferEnded { to, outcome } => {
                    let ended = self.transfers.extract_if(.., |(target, _)| *target == Some(*to));
                    effects.transferred.extend(ended.map(|(_, token)| (token, *outcome)));
                    self.handed_over();
                }
                Notice::ChangeEnded(result) => self.members.on_ended(result, effects),
                Notice::LeaderChanged { term, leader, why } => {
                    let leader = leader.and_then(|id| self.node.peer(id));
                    let leader = leader.map(|peer| (peer.id, peer.store));
                    let (group, term, why) = (self.id, *term, *why);
                    effects.apply.push(ApplyTask::Following { group, term, leader, why });
                }
                // The shard decides when it is opened.
                Notice::SnapshotWanted { .. }
                | Notice::MembershipAppended(_)
                | Notice::MembershipCommitted { .. }
                | Notice::ChangeStage(_)
                | Notice::Removed => {}
            }
            effects.notices.push((self.id, notice));
        }
    }

    fn leading(&self, term: Term, stopped: Option<Cause>) -> ApplyTask {
        ApplyTask::Leading { group: self.id, term, stopped }
    }

    fn leader(&self) -> Option<(PeerId, StoreId)> {
        self.node.leader().and_then(|peer| self.with_store(peer))
    }

    /// This peer does not lead: who does, or is about to.
    fn not_leader(&self) -> Refused {
        let leader = self.node.expected_leader().and_then(|peer| self.with_store(peer));
        Refused::NotLeader { leader }
    }

    fn with_store(&self, peer: PeerId) -> Option<(PeerId, StoreId)> {
        self.members.store_of(&self.node, peer).map(|store| (peer, store))
    }

    fn role_name(&self) -> &'static str {
        if self.is_halted() {
            "halted"
        } else if self.node.is_removed() {
            "removed"
        } else {
            self.node.role_name()
        }
    }

    /// How this replica stands.
    pub(crate) fn status(&self) -> GroupStatus {
        let node = &self.node;
        GroupStatus {
            group: self.id,
            peer: node.id(),
            role: self.role_name(),
            term: node.term(),
            leader: self.leader(),
            first: node.first_index(),
            last: node.last_position(),
            commit: node.commit(),
            applied: self.applied,
            durable_applied: self.durable_applied,
            log_bytes: node.log_bytes(),
            cached_bytes: node.cached_bytes(),
            quarantine: self.asking.as_ref().map(|_| REFILLED.to_owned()),
        }
    }
}

/// The records of a turn, collected over its groups.
#[derive(Default)]
pub(crate) struct Records {
    pub(crate) list: Vec<Record>,
    pub(crate) gated: Vec<Outbound>,
    pub(crate) must_sync: bool,
    /// The groups whose operations are part of the task.
    pub(crate) groups: Vec<RegionId>,
    /// Some group's operation is part of the task, records or not.
    pub(crate) used: bool,
}
