//! The rules that span a group: the eight invariants of etcd's TLA+ specification of Raft.
//!
//! The checker remembers what no single node does: who led each term, which entry was ever seen at
//! each position, and what was committed when. A peer that is down counts with what its disk
//! holds. All checks run after every event; groups and logs in tests are small.

use std::collections::BTreeMap;

use kontiki_types::{Entry, Index, Membership, PeerId, Position, Term};

use super::disk::Stored;
use crate::{Node, RoleKind};

/// One peer as the checker sees it.
pub struct Witness<'a> {
    /// Which peer.
    pub peer: PeerId,
    /// The node, unless the peer is down.
    pub node: Option<&'a Node>,
    /// What its disk holds.
    pub stored: &'a Stored,
}

/// See the module.
#[derive(Debug)]
pub struct Safety {
    /// The membership of the newest committed configuration.
    membership: (Index, Membership),
    leaders: BTreeMap<Term, PeerId>,
    /// Every entry ever seen, with the position before it.
    entries: BTreeMap<Position, (Entry, Position)>,
    committed: BTreeMap<Index, Committed>,
    /// An operator gave up on a majority: what it held may be gone.
    forced: bool,
}

#[derive(Debug)]
struct Committed {
    entry: Entry,
    /// Term of the leader that committed it.
    term: Term,
}

/// A log as of now: where it starts, and the entries after.
struct View<'a> {
    peer: PeerId,
    start: Position,
    entries: Vec<&'a Entry>,
}

impl<'a> View<'a> {
    /// What is evicted from memory counts as the disk holds it, which it must.
    fn of_memory(node: &'a Node, stored: &'a Stored) -> Self {
        let log = &node.shared.log;
        let evicted = |entry: &Entry| entry.position.index <= log.evicted();
        let on_disk = |entry: &Entry| {
            let position = entry.position;
            let found = stored.entries.iter().find(|e| e.position == position);
            found.unwrap_or_else(|| panic!("{}: {position} is evicted, and not on disk", node.id()))
        };
        let entries = log.entries().map(|e| if evicted(e) { on_disk(e) } else { e }).collect();
        Self { peer: node.id(), start: log.start(), entries }
    }

    fn of_disk(witness: &Witness<'a>) -> Self {
        let stored = witness.stored;
        let entries = stored.entries.iter().collect();
        Self { peer: witness.peer, start: stored.snapshot.position, entries }
    }

    fn of(witness: &Witness<'a>) -> Self {
        match witness.node {
            Some(node) => Self::of_memory(node, witness.stored),
            None => Self::of_disk(witness),
        }
    }

    fn last(&self) -> Position {
        self.entries.last().map_or(self.start, |entry| entry.position)
    }

    /// The log holds this entry, or a snapshot stands for it.
    fn holds(&self, position: Position) -> bool {
        let Some(after) = position.index.0.checked_sub(self.start.index.0 + 1) else {
            return true;
        };
        let at = usize::try_from(after).ok().and_then(|at| self.entries.get(at));
        at.is_some_and(|entry| entry.position == position)
    }
}

impl Safety {
    /// A group that begins with this membership.
    pub fn new(membership: Membership) -> Self {
        Self {
            membership: (Index(0), membership),
            leaders: BTreeMap::new(),
            entries: BTreeMap::new(),
            committed: BTreeMap::new(),
            forced: false,
        }
    }

    /// From now on committed entries may be lost with the peers that held them.
    pub fn on_forced(&mut self) {
        self.forced = true;
    }

    /// Index of the newest entry committed anywhere so far.
    pub fn committed(&self) -> Index {
        self.committed.last_key_value().map_or(Index(0), |(index, _)| *index)
    }

    /// Check the group.
    ///
    /// # Panics
    /// When a rule is broken.
    pub fn check(&mut self, witnesses: &[Witness<'_>]) {
        let views: Vec<View<'_>> = witnesses.iter().map(View::of).collect();
        for witness in witnesses {
            if let Some(node) = witness.node {
                self.check_one_leader(node);
                self.check_committed(node, &View::of(witness));
                self.note_membership(node);
            }
        }
        if self.forced {
            return;
        }
        for view in &views {
            self.check_log_matching(view);
        }
        for witness in witnesses {
            if let Some(node) = witness.node.filter(|node| node.role() == RoleKind::Leader) {
                check_election_safety(node, &views);
                self.check_leader_completeness(node);
            }
        }
        check_up_to_date(witnesses, &views);
        self.check_quorum_log(&views, "memory");
        let disks: Vec<View<'_>> = witnesses.iter().map(View::of_disk).collect();
        self.check_quorum_log(&disks, "disk");
        for node in witnesses.iter().filter_map(|witness| witness.node) {
            check_own_quorum_log(node, &disks);
        }
    }

    fn note_membership(&mut self, node: &Node) {
        if node.commit() < self.committed() || node.commit() <= self.membership.0 {
            return;
        }
        let known = node.membership_at(node.commit()).expect("what is committed is known");
        if !known.is_empty() {
            self.membership = (node.commit(), known.clone());
        }
    }

    /// One leader per term.
    fn check_one_leader(&mut self, node: &Node) {
        if node.role() == RoleKind::Leader {
            let leader = *self.leaders.entry(node.term()).or_insert(node.id());
            assert_eq!(leader, node.id(), "two leaders of {}", node.term());
        }
    }

    /// Log prefix immutability: what one peer takes for committed, no peer ever takes otherwise.
    fn check_committed(&mut self, node: &Node, view: &View<'_>) {
        let commit = node.commit();
        for &entry in view.entries.iter().take_while(|e| e.position.index <= commit) {
            let index = entry.position.index;
            let known = self
                .committed
                .entry(index)
                .or_insert_with(|| Committed { entry: entry.clone(), term: node.term() });
            assert_eq!(&known.entry, entry, "{}: committed entry {index} differs", node.id());
        }
    }

    /// Log matching: a position names one entry, and with it everything before.
    fn check_log_matching(&mut self, view: &View<'_>) {
        let peer = view.peer;
        let mut before = view.start;
        for &entry in &view.entries {
            let position = entry.position;
            let seen = self.entries.entry(position).or_insert_with(|| (entry.clone(), before));
            assert_eq!(&seen.0, entry, "{peer}: two entries at {position}");
            assert_eq!(seen.1, before, "{peer}: two entries before {position}");
            before = position;
        }
    }

    /// Leader completeness: a leader holds everything committed in earlier terms.
    fn check_leader_completeness(&self, node: &Node) {
        let log = &node.shared.log;
        for Committed { entry, term } in self.committed.values() {
            let position = entry.position;
            let holds = position.index <= log.start().index || log.matches(position);
            assert!(
                *term >= node.term() || holds,
                "{} leads {} without {position}, committed in {term}",
                node.id(),
                node.term()
            );
        }
    }

    /// Quorum log, and (of the disks) committed is durable: every quorum of the committed
    /// membership holds what is committed.
    fn check_quorum_log(&self, views: &[View<'_>], place: &str) {
        // What is first seen committed at an index may be known before older ones were: the newest
        // one implies them all (log matching).
        let Some(Committed { entry, .. }) = self.committed.values().next_back() else { return };
        let membership = &self.membership.1;
        let held = is_held(views, membership, entry.position);
        assert!(held, "{} is committed, but the {place} of a quorum lacks it", entry.position);
    }
}

/// Every quorum of the membership has a peer that holds this entry. Quorums of a joint one are
/// quorums of both halves, so it is enough when those of one half do.
fn is_held(views: &[View<'_>], membership: &Membership, position: Position) -> bool {
    let holds = |peer: PeerId| views.iter().any(|v| v.peer == peer && v.holds(position));
    let halves = [membership.incoming().collect::<Vec<_>>(), membership.outgoing().collect()];
    halves.iter().any(|half| {
        let quorum = half.len() / 2 + 1;
        !half.is_empty() && half.iter().filter(|peer| !holds(**peer)).count() < quorum
    })
}

/// Quorum log under the membership in effect at this very node, committed or not: nobody whom it
/// could make leader lacks what it knows to be committed.
fn check_own_quorum_log(node: &Node, disks: &[View<'_>]) {
    let (commit, membership) = (node.commit(), node.membership());
    let Some(term) = node.shared.log.term(commit) else { return };
    if commit > Index(0) && !membership.is_empty() {
        let position = Position::new(term, commit);
        let held = is_held(disks, membership, position);
        assert!(held, "{}: a quorum of {membership:?} lacks {position}", node.id());
    }
}

/// Election safety: nobody has an entry of a leader's term that the leader does not have.
fn check_election_safety(node: &Node, views: &[View<'_>]) {
    for view in views {
        let peer = view.peer;
        let of_term = view.entries.iter().rfind(|e| e.position.term == node.term());
        let newest = of_term.map_or(Index(0), |entry| entry.position.index);
        let own = node.last_position().index;
        assert!(newest <= own, "{peer} has {newest} of {}, its leader {own}", node.term());
    }
}

/// Up-to-dateness: whoever has the more up-to-date log holds what the other knows committed.
fn check_up_to_date(witnesses: &[Witness<'_>], views: &[View<'_>]) {
    for witness in witnesses {
        let Some(node) = witness.node else { continue };
        let Some(term) = node.shared.log.term(node.commit()) else { continue };
        let (last, position) = (node.last_position(), Position::new(term, node.commit()));
        for view in views.iter().filter(|view| view.last() >= last) {
            let (peer, id, end) = (view.peer, node.id(), view.last());
            assert!(view.holds(position), "{peer} ends at {end}, {id} at {last}: no {position}");
        }
    }
}
