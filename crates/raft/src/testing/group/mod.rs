//! One group with everything around it: nodes, disks, machines, network, and what must hold.
//!
//! Each public method is one event. It feeds the node, drains it at once (`drive`), checks the
//! invariants and appends what happened to the trace (`trace`).

mod drive;
mod trace;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kontiki_types::{
    Body, Entry, Index, Membership, MembershipChange, Message, Moment, PeerId, Position, ReadMode,
    SnapshotMeta, Term,
};

use crate::testing::codec;
use crate::testing::disk::{Disk, Stored};
use crate::testing::machine::{Machine, State};
use crate::testing::network::Network;
use crate::testing::safety::Safety;
use crate::{
    ChangeError, Config, Fetch, Node, Outgoing, Priority, ProposeError, ReadError, ReadId,
    ResetError, Restored, TransferError, describe,
};

/// Rounds after which a group that still talks is taken for one that never stops.
const IDLE_STEPS_MAX: usize = 10_000;

/// A replica: what survives a crash beside what does not.
#[derive(Debug)]
pub struct Replica {
    /// Settings at the next start.
    pub config: Config,
    /// Nothing while it is down.
    pub node: Option<Node>,
    /// What is durable, and what is on its way there.
    pub disk: Disk,
    /// What it applied.
    pub machine: Machine,
    /// Messages that wait for the disk.
    gated: Vec<Outgoing>,
    /// Snapshots it was asked for: to whom, session, in which term.
    pub wanted: Vec<(PeerId, u64, Term)>,
    /// Entries it wants back from its disk.
    pub fetching: Vec<Fetch>,
    /// An install it was asked for.
    pub installing: Option<SnapshotMeta>,
    /// For each read under way, what was committed anywhere when it was asked.
    reads: BTreeMap<ReadId, Index>,
    starts: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Group {
    /// All replicas.
    pub replicas: BTreeMap<PeerId, Replica>,
    /// What is under way between them.
    pub network: Network,
    /// Now, for everyone.
    pub now: Moment,
    safety: Safety,
    /// States of snapshots, by position: equal on every replica.
    snapshots: BTreeMap<Position, State>,
    trace: Vec<String>,
    /// Rendering costs more than the rest: off for long random runs.
    pub tracing: bool,
    /// How often what happened so far, by a word for each: shows which rare paths a test reached.
    pub marks: BTreeMap<&'static str, u64>,
}

impl Group {
    /// Replicas of this membership, all started, all empty.
    pub fn new(membership: &Membership, configure: impl Fn(&mut Config)) -> Self {
        Self::with_unborn(membership, &[], configure)
    }

    /// Replicas of this membership; `unborn` ones know nothing of it and await a snapshot.
    pub fn with_unborn(
        membership: &Membership,
        unborn: &[PeerId],
        configure: impl Fn(&mut Config),
    ) -> Self {
        let mut group = Self {
            replicas: BTreeMap::new(),
            network: Network::default(),
            now: Moment::ZERO,
            safety: Safety::new(membership.clone()),
            snapshots: BTreeMap::new(),
            trace: Vec::new(),
            tracing: true,
            marks: BTreeMap::new(),
        };
        for peer in membership.peers() {
            let born = !unborn.contains(&peer.id);
            let membership = if born { membership.clone() } else { Membership::default() };
            group.create(peer.id, membership, &configure);
        }
        group
    }

    /// A replica that belongs to nothing yet: it awaits its first snapshot.
    pub fn add_spare(&mut self, id: PeerId, configure: impl Fn(&mut Config)) {
        self.create(id, Membership::default(), configure);
    }

    /// The replica on this peer's store is destroyed; a new one, which knows nothing, takes its
    /// place under the same id (which no driver should do).
    pub fn replace(&mut self, id: PeerId) {
        let replica = self.replicas.remove(&id).unwrap_or_else(|| panic!("no {id}"));
        let config = replica.config;
        self.create(id, Membership::default(), |fresh| *fresh = config.clone());
    }

    fn create(&mut self, id: PeerId, membership: Membership, configure: impl Fn(&mut Config)) {
        let mut config = Config::new(id, id.0, codec::READABLE);
        // Most stories are shorter without the wait; schedules and one script set it.
        config.commit_notice_delay = Duration::ZERO;
        configure(&mut config);
        let snapshot = SnapshotMeta { position: Position::ZERO, membership };
        let replica = Replica {
            config,
            node: None,
            disk: Disk::new(Stored { snapshot, ..Stored::default() }),
            machine: Machine::default(),
            gated: Vec::new(),
            wanted: Vec::new(),
            installing: None,
            fetching: Vec::new(),
            reads: BTreeMap::new(),
            starts: 0,
        };
        let before = self.replicas.insert(id, replica);
        assert!(before.is_none(), "{id} is here already");
        self.start(id);
    }

    // ---- events ----

    /// Start a replica that is down.
    pub fn start(&mut self, id: PeerId) {
        let now = self.now;
        let replica = self.replica_mut(id);
        assert!(replica.node.is_none(), "{id} runs");
        let stored = replica.disk.stored().clone();
        let state = replica.machine.state();
        let restored = Restored {
            hard_state: stored.hard_state,
            applied: state.position.index.max(stored.snapshot.position.index),
            installed: state.installed.clone(),
            snapshot: stored.snapshot,
            entries: stored.entries,
        };
        let mut config = replica.config.clone();
        config.seed += replica.starts << 32;
        replica.starts += 1;
        replica.node = Some(Node::new(config, restored, now));
        self.drain(id);
        self.check();
    }

    /// Power is lost: of what was on its way to the disk, `kept` operations arrived.
    pub fn crash(&mut self, id: PeerId, kept: usize) {
        let replica = self.replica_mut(id);
        assert!(replica.node.is_some(), "{id} is down");
        replica.node = None;
        replica.disk.crash(kept);
        replica.machine.crash();
        replica.gated.clear();
        replica.wanted.clear();
        replica.installing = None;
        replica.fetching.clear();
        replica.reads.clear();
        self.line(format!("{id} crashes"));
        self.check();
    }

    /// A message arrives; a peer that is down never sees it.
    pub fn deliver(&mut self, message: Message) {
        self.line(format!("» {}", describe::message(&message)));
        let (to, now) = (message.to, self.now);
        if self.replicas.get(&to).is_some_and(|replica| replica.node.is_some()) {
            self.feed(to, |node| node.step(message, now));
        } else {
            self.line(format!("  {to} is down"));
        }
    }

    /// Propose at this peer.
    pub fn propose(&mut self, id: PeerId, data: Bytes) -> Result<Position, ProposeError> {
        self.propose_in(id, data, None)
    }

    /// Propose at this peer, if it leads in the expected term.
    pub fn propose_in(
        &mut self,
        id: PeerId,
        data: Bytes,
        expected_term: Option<Term>,
    ) -> Result<Position, ProposeError> {
        let now = self.now;
        self.feed(id, |node| node.propose(data, expected_term, now))
    }

    /// Read at this peer.
    pub fn read(&mut self, id: PeerId, read: ReadId) -> Result<(), ReadError> {
        self.read_by(id, read, ReadMode::Index)
    }

    /// Read at this peer, confirmed as the mode says.
    pub fn read_by(&mut self, id: PeerId, read: ReadId, mode: ReadMode) -> Result<(), ReadError> {
        let (now, committed) = (self.now, self.safety.committed());
        self.replica_mut(id).reads.insert(read, committed);
        let result = self.feed(id, |node| node.read(read, mode, now));
        if result.is_err() {
            self.replica_mut(id).reads.remove(&read);
        }
        result
    }

    /// Hand leadership over.
    pub fn transfer(&mut self, id: PeerId, to: PeerId) -> Result<(), TransferError> {
        let now = self.now;
        self.feed(id, |node| node.transfer(Some(to), now))
    }

    /// Hand leadership over to whoever is best.
    pub fn transfer_to_any(&mut self, id: PeerId) -> Result<(), TransferError> {
        let now = self.now;
        self.feed(id, |node| node.transfer(None, now))
    }

    /// Lead no more.
    pub fn step_down(&mut self, id: PeerId) {
        let now = self.now;
        self.feed(id, |node| node.step_down(now));
    }

    /// Change what a peer thinks of the priority of another, or of its own.
    pub fn set_priority(&mut self, id: PeerId, peer: PeerId, priority: Priority) {
        let now = self.now;
        self.feed(id, |node| node.set_priority(peer, priority, now));
    }

    /// Another election timeout of one peer.
    pub fn set_election_timeout(&mut self, id: PeerId, timeout: Duration) {
        let now = self.now;
        self.feed(id, |node| node.set_election_timeout(timeout, now));
    }

    /// Change the membership.
    pub fn change(&mut self, id: PeerId, change: &MembershipChange) -> Result<(), ChangeError> {
        let now = self.now;
        self.feed(id, |node| node.change(change, now))
    }

    /// Force a membership on this peer. Whatever only others hold may be lost from here on.
    pub fn reset_peers(&mut self, id: PeerId, membership: Membership) -> Result<(), ResetError> {
        let now = self.now;
        self.safety.on_forced();
        self.feed(id, |node| node.reset_peers(membership, now))
    }

    /// Ask for an election.
    pub fn campaign(&mut self, id: PeerId) {
        let now = self.now;
        self.feed(id, |node| node.campaign(now));
    }

    /// Whoever it relies on may be gone.
    pub fn wake(&mut self, id: PeerId) {
        let now = self.now;
        self.feed(id, |node| node.wake(now));
    }

    /// Tell a node the time.
    pub fn on_time(&mut self, id: PeerId) {
        let now = self.now;
        self.feed(id, |node| node.on_time(now));
    }

    /// The oldest operation on its way becomes durable. False when there is none.
    pub fn sync(&mut self, id: PeerId) -> bool {
        let now = self.now;
        let replica = self.replica_mut(id);
        let Some(seq) = replica.disk.sync() else { return false };
        self.line(format!("{id} durable #{}", seq.0));
        self.release(id, seq);
        self.feed(id, |node| node.on_persisted(seq, now));
        true
    }

    /// Apply what was handed out. False when there is nothing.
    pub fn apply(&mut self, id: PeerId) -> bool {
        let replica = self.replica_mut(id);
        let entries = replica.machine.apply();
        let Some(last) = entries.last() else { return false };
        let index = last.position.index;
        self.line(format!("{id} applies {}", describe::entries(&entries)));
        self.feed(id, |node| node.on_applied(index));
        true
    }

    /// The disk answers the oldest question; not `ok`: it says that it does not hold the entries.
    /// False when none was asked.
    pub fn fetch(&mut self, id: PeerId, ok: bool) -> bool {
        let replica = self.replica_mut(id);
        if replica.fetching.is_empty() {
            return false;
        }
        let Fetch { ticket, after, to, bytes_max } = replica.fetching.remove(0);
        let stored = replica.disk.stored().entries.iter();
        let asked = stored.filter(|e| after < e.position.index && e.position.index <= to);
        let mut bytes = 0;
        let entries: Vec<Entry> = asked
            .take_while(|entry| {
                let first = bytes == 0;
                bytes += entry.cost_bytes();
                first || bytes <= bytes_max
            })
            .cloned()
            .collect();
        self.line(format!("{id} reads {}", describe::entries(&entries)));
        self.mark("entries fetched");
        self.feed(id, |node| node.on_fetched(ticket, ok.then_some(entries)));
        true
    }

    /// Stream a wanted snapshot; not `ok`: it is lost on the way. False when none is wanted.
    pub fn stream_snapshot(&mut self, id: PeerId, ok: bool) -> bool {
        let now = self.now;
        let replica = self.replica_mut(id);
        if replica.wanted.is_empty() {
            return false;
        }
        let (to, session, term) = replica.wanted.remove(0);
        let state = replica.machine.state().clone();
        let node = replica.node.as_ref().expect("a crash forgets what was wanted");
        let position = state.position;
        let membership = node.membership_at(position.index).expect("applied is in the log").clone();
        let meta = SnapshotMeta { position, membership };
        self.line(format!("{id} streams {} to {to}", describe::snapshot(&meta)));
        self.snapshots.insert(position, state);
        if ok {
            let body = Body::Snapshot { session, meta };
            self.send(Message { from: id, to, term, body });
        }
        self.feed(id, |node| node.on_snapshot_sent(to, session, ok, now));
        true
    }

    /// Install the snapshot that was asked for. False when there is none.
    pub fn install(&mut self, id: PeerId, ok: bool) -> bool {
        if !self.install_machine(id, ok) {
            return false;
        }
        let now = self.now;
        let meta = self.replica_mut(id).installing.take().expect("it was installed just now");
        self.feed(id, |node| node.on_snapshot_installed(&meta, ok, now));
        true
    }

    /// The first half of an install: the machine has it, the node does not know yet.
    pub fn install_machine(&mut self, id: PeerId, ok: bool) -> bool {
        let Some(meta) = self.replica_mut(id).installing.clone() else { return false };
        let result = if ok { "installed" } else { "could not install" };
        self.line(format!("{id} {result} {}", describe::snapshot(&meta)));
        if ok {
            let state = self.snapshots.get(&meta.position).expect("it was streamed").clone();
            self.replica_mut(id).machine.install(state, meta);
        }
        true
    }

    /// Cut the log of this peer; the machine is synced before, as the store does.
    pub fn compact(&mut self, id: PeerId, to: Index) -> Option<Position> {
        self.replica_mut(id).machine.sync();
        let start = self.feed(id, |node| node.compact(to))?;
        let replica = self.replica_mut(id);
        let meta = replica.node.as_ref().expect("fed just now").start();
        assert_eq!(start, meta.position, "compact answers the start");
        replica.disk.compact(meta);
        self.check();
        Some(start)
    }

    /// The transport lost its way from one peer to another.
    pub fn unreachable(&mut self, id: PeerId, to: PeerId) {
        let now = self.now;
        self.feed(id, |node| node.on_unreachable(to, now));
    }

    /// Deliver, sync, apply, stream and install until nothing is left to do. Deadlines stay.
    pub fn run_until_idle(&mut self) {
        for _ in 0..IDLE_STEPS_MAX {
            let mut busy = false;
            for message in self.network.take_matching(usize::MAX, |_| true) {
                self.deliver(message);
                busy = true;
            }
            for id in self.running() {
                while self.sync(id) || self.apply(id) || self.fetch(id, true) {
                    busy = true;
                }
                busy |= self.stream_snapshot(id, true) | self.install(id, true);
            }
            if !busy {
                return;
            }
        }
        panic!("the group never comes to rest");
    }

    /// Everyone lives for so long: time passes from deadline to deadline, and in between whatever
    /// can be done is done.
    pub fn live(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.run_until_idle();
            let deadlines =
                self.running().into_iter().filter_map(|id| self.node(id).next_deadline());
            let next = deadlines.min().map_or(end, |next| next.min(end));
            self.now = self.now.max(next);
            for id in self.running() {
                if self.node(id).next_deadline().is_some_and(|at| at <= self.now) {
                    self.on_time(id);
                }
            }
        }
        self.run_until_idle();
    }

    // ---- looking ----

    /// The running node of this peer.
    pub fn node(&self, id: PeerId) -> &Node {
        let replica = self.replicas.get(&id).unwrap_or_else(|| panic!("no {id}"));
        replica.node.as_ref().unwrap_or_else(|| panic!("{id} is down"))
    }

    /// Everyone that runs.
    pub fn running(&self) -> Vec<PeerId> {
        self.replicas.iter().filter(|(_, r)| r.node.is_some()).map(|(&id, _)| id).collect()
    }

    /// Index of the newest entry committed anywhere so far.
    pub fn committed(&self) -> Index {
        self.safety.committed()
    }

    // ---- inside ----

    fn replica_mut(&mut self, id: PeerId) -> &mut Replica {
        self.replicas.get_mut(&id).unwrap_or_else(|| panic!("no {id}"))
    }
}
