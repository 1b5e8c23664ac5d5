//! What holds of a group at every moment, and not only when something happens for the first time.
//!
//! The eight invariants of etcd's TLA+ specification are checked partly where their cause is seen
//! (one leader per term, log matching, what is first committed, in the parent), and here for as
//! long as the group lives: a later cut, a crash, a bad start or a replica that goes must not undo
//! them. Each question is asked of the newest entry only, for a log that holds an entry holds all
//! before it (log matching), and only when something may have changed the answer.

use kontiki_types::{Entry, Index, Membership, Peer, PeerId, Position, StoreId, Term};

use crate::check::safety::{Judged, broken};
use crate::check::shadow::ShadowLog;
use crate::violation::Rule;

use super::{Disks, GroupFacts, offset};

impl GroupFacts {
    /// Entries stand in some log.
    pub(super) fn note_newest(&mut self, entries: &[Entry]) {
        for of_term in entries.chunk_by(|a, b| a.position.term == b.position.term) {
            let Some(Position { term, index }) = of_term.last().map(|entry| entry.position) else {
                continue;
            };
            let newest = self.newest.entry(term).or_insert(index);
            *newest = index.max(*newest);
        }
    }

    /// More is committed, by a leader of this term.
    pub(super) fn note_committed(&mut self, term: Term) {
        let end = Index(self.committed.len() as u64);
        self.committed_by.insert(term, end);
        // A leader may learn what it committed after the next one committed something.
        for (_, newest) in self.committed_by.range_mut(term..) {
            *newest = end;
        }
    }

    /// A log is to begin after a snapshot: of something that is committed, of the same term.
    pub(in crate::check) fn on_snapshot(&self, store: StoreId, position: Position) -> Judged {
        if position.index == Index(0) {
            return Ok(());
        }
        let known = self.position_of(position.index);
        if known != Some(position) {
            let what = format!("{store} begins after {position}, committed there is {known:?}");
            return Err(broken(Rule::LogMatching, what));
        }
        Ok(())
    }

    /// How a node stands after its turn, with this log.
    pub(super) fn check_standing(&self, store: StoreId, log: &ShadowLog) -> Judged {
        let Some(seen) = self.seen.get(&store) else { return Ok(()) };
        if let Some(own) = self.position_of(seen.commit)
            && !log.holds(own)
        {
            let what = format!("{store} has commit {}, and its log no {own}", seen.commit);
            return Err(broken(Rule::StateMachineSafety, what));
        }
        self.check_log(store, log)?;
        if let Some(term) = seen.leads {
            self.check_leader(store, term, log)?;
            let newest = self.newest.get(&term).copied().unwrap_or_default();
            if newest > seen.last {
                let what = format!("{store} leads {term} up to {}, {newest} is known", seen.last);
                return Err(broken(Rule::ElectionSafety, what));
            }
        }
        // And nobody gets ahead of whoever leads the term of its last entry.
        let Position { term, index } = log.last();
        let mut leaders = self.seen.iter().filter(|(_, seen)| seen.leads == Some(term));
        if let Some((leader, seen)) = leaders.find(|(_, seen)| seen.last < index) {
            let what = format!("{store} has {index} of {term}, its leader {leader} {}", seen.last);
            return Err(broken(Rule::ElectionSafety, what));
        }
        Ok(())
    }

    /// Up-to-dateness: a log that ends in a term holds what was committed before that term, and as
    /// far as it reaches what was committed in it. So whoever could be elected by another's vote
    /// holds what that one knows committed. (Not what a later term committed: an old tail may be
    /// newer than an older one that a later leader revived, Raft figure 8.)
    pub(in crate::check) fn check_log(&self, store: StoreId, log: &ShadowLog) -> Judged {
        let last = log.last();
        let within = self.position_of(last.index.min(Index(self.committed.len() as u64)));
        let within = within.filter(|position| self.known_in(*position) <= Some(last.term));
        let before = self.committed_before(last.term);
        if let Some(lacks) = [within, before].into_iter().flatten().find(|p| !log.holds(*p)) {
            let what = format!(
                "the log of {store} ends at {last} without {lacks}, committed in {:?}",
                self.known_in(lacks)
            );
            return Err(broken(Rule::UpToDate, what));
        }
        Ok(())
    }

    /// Leader completeness of all who lead, when more is committed: by a leader before them, too.
    pub(super) fn check_leaders(&self, disks: Disks<'_>) -> Judged {
        for (store, seen) in &self.seen {
            if let (Some(term), Some(log)) = (seen.leads, disks.believed(*store)) {
                self.check_leader(*store, term, log)?;
            }
        }
        Ok(())
    }

    fn check_leader(&self, store: StoreId, term: Term, log: &ShadowLog) -> Judged {
        if let Some(lacks) = self.committed_before(term).filter(|p| !log.holds(*p)) {
            let what = format!("{store} leads {term} without {lacks}, committed before");
            return Err(broken(Rule::LeaderCompleteness, what));
        }
        Ok(())
    }

    /// Quorum log and committed is durable: in every quorum of the newest committed membership
    /// somebody holds what is committed, in memory and by the disks. A store without power holds
    /// what its disk does.
    pub(in crate::check) fn check_held(&self, disks: Disks<'_>) -> Judged {
        let end = Index(self.committed.len() as u64);
        let Some(position) = self.position_of(end) else { return Ok(()) };
        let committed = |index| self.committed.get(offset(index)).map(|fact| fact.term);
        let mut memberships = self.memberships.in_effect(end, committed);
        let membership = memberships.next().expect("the one it was born with, at least");
        let on_disk = |store| disks.owed(store);
        let in_memory = |store| {
            if self.seen.contains_key(&store) { disks.believed(store) } else { on_disk(store) }
        };
        let is_on_disk = |peer| self.is_copy(peer, position, on_disk);
        if is_lost(membership, is_on_disk) {
            let what = format!("{position} is committed, the disks of a quorum lack it");
            return Err(broken(
                Rule::CommitDurable,
                what + &self.who_holds(membership, is_on_disk),
            ));
        }
        let is_in_memory = |peer| self.is_copy(peer, position, in_memory);
        if is_lost(membership, is_in_memory) {
            let what = format!("{position} is committed, the logs of a quorum lack it");
            return Err(broken(Rule::QuorumLog, what + &self.who_holds(membership, is_in_memory)));
        }
        Ok(())
    }

    /// The log of its store is that of this very peer and holds this; or was until it was damaged.
    /// The copy of an heir is none of the replica before it.
    pub(super) fn is_copy<'a>(
        &self,
        peer: Peer,
        position: Position,
        log_of: impl Fn(StoreId) -> Option<&'a ShadowLog>,
    ) -> bool {
        let held = self.damaged.get(&peer.id).is_some_and(|lost| lost.holds(position));
        let holds = || log_of(peer.store).is_some_and(|log| log.holds(position));
        held || self.own.get(&peer.store) == Some(&peer.id) && holds()
    }

    fn who_holds(&self, membership: &Membership, is_copy: impl Fn(Peer) -> bool) -> String {
        let holders: Vec<_> = membership.peers().filter(|peer| is_copy(*peer)).collect();
        format!(": of {membership:?} only {holders:?}; {:?}, {:?}", self.own, self.damaged)
    }

    fn position_of(&self, index: Index) -> Option<Position> {
        let at = (index > Index(0)).then(|| offset(index))?;
        self.committed.get(at).map(|fact| Position::new(fact.term, index))
    }

    fn known_in(&self, position: Position) -> Option<Term> {
        self.committed.get(offset(position.index)).map(|fact| fact.known_in)
    }

    /// The newest entry committed in terms before this one.
    fn committed_before(&self, term: Term) -> Option<Position> {
        let (_, index) = self.committed_by.range(..term).next_back()?;
        self.position_of(*index)
    }
}

/// A quorum has none of these peers. Quorums of a joint membership are quorums of both halves, so
/// it is enough when those of one half have one.
fn is_lost(membership: &Membership, is_copy: impl Fn(Peer) -> bool) -> bool {
    let lacks = |peer: PeerId| !membership.peer(peer).is_some_and(&is_copy);
    let has_quorum_without = |half: Vec<PeerId>| {
        half.is_empty() || half.iter().filter(|peer| lacks(**peer)).count() > half.len() / 2
    };
    has_quorum_without(membership.incoming().collect())
        && has_quorum_without(membership.outgoing().collect())
}

#[cfg(test)]
mod tests {
    use kontiki_types::{HardState, RegionId};

    use crate::check::group::{CommittedFact, Seen};
    use crate::check::shadow::Shadow;

    use super::*;

    const GROUP: RegionId = RegionId(1);

    /// Three voters; committed are entries of terms 1, 1 and 3, by leaders of terms 1, 3 and 3.
    fn facts() -> GroupFacts {
        let mut facts = GroupFacts::new(Membership::of_voters(3));
        for (term, known_in) in [(1, 1), (1, 3), (3, 3)] {
            let known_in = Term(known_in);
            facts.committed.push(CommittedFact { term: Term(term), known_in });
            facts.note_committed(known_in);
        }
        for peer in Membership::of_voters(3).peers() {
            facts.own.insert(peer.store, peer.id);
        }
        facts
    }

    fn log(terms: &[u64]) -> ShadowLog {
        ShadowLog::new(Position::ZERO, terms.iter().copied().map(Term), HardState::default())
    }

    fn shadow(believed: &ShadowLog, owed: &ShadowLog) -> Shadow {
        let mut shadow = Shadow::default();
        shadow.believed.insert(GROUP, believed.clone());
        shadow.owed.insert(GROUP, owed.clone());
        shadow
    }

    fn rule(judged: Judged) -> Option<Rule> {
        judged.err().map(|violation| violation.rule)
    }

    fn seen(commit: u64, leads: Option<u64>, last: u64) -> Seen {
        Seen { commit: Index(commit), leads: leads.map(Term), last: Index(last) }
    }

    #[test]
    fn a_log_holds_what_was_committed_by_the_terms_that_it_reaches() {
        let judged = |terms: &[u64]| rule(facts().check_log(StoreId(1), &log(terms)));
        assert_eq!(judged(&[]), None);
        assert_eq!(judged(&[1]), None);
        assert_eq!(judged(&[1, 2]), None, "what term 3 revived, term 2 need not hold (figure 8)");
        assert_eq!(judged(&[2]), Some(Rule::UpToDate), "committed in term 1");
        assert_eq!(judged(&[1, 1, 3, 3]), None);
        assert_eq!(judged(&[1, 3]), Some(Rule::UpToDate), "committed in term 3, below its end");
        assert_eq!(judged(&[1, 2, 2, 4]), Some(Rule::UpToDate), "committed before term 4");
        let behind = ShadowLog::new(Position::new(Term(3), Index(3)), [], HardState::default());
        assert_eq!(rule(facts().check_log(StoreId(1), &behind)), None, "a snapshot stands for it");
    }

    #[test]
    fn a_leader_holds_what_leaders_before_it_commit_while_it_leads() {
        let mut facts = facts();
        let held = log(&[1, 1, 3, 4]);
        let shadows = [(StoreId(1), shadow(&held, &held))].into();
        let disks = Disks { shadows: &shadows, group: GROUP };
        facts.seen.insert(StoreId(1), seen(1, Some(4), 4));
        assert_eq!(rule(facts.check_leaders(disks)), None);
        facts.committed.push(CommittedFact { term: Term(3), known_in: Term(3) });
        facts.note_committed(Term(3));
        assert_eq!(rule(facts.check_leaders(disks)), Some(Rule::LeaderCompleteness));
    }

    #[test]
    fn nobody_has_an_entry_of_a_term_that_its_leader_lacks() {
        let mut facts = facts();
        let held = log(&[1, 1, 3]);
        facts.seen.insert(StoreId(1), seen(0, Some(3), 3));
        facts.newest.insert(Term(3), Index(3));
        assert_eq!(rule(facts.check_standing(StoreId(1), &held)), None);
        facts.seen.insert(StoreId(2), seen(0, None, 4));
        let ahead = facts.check_standing(StoreId(2), &log(&[1, 1, 3, 3]));
        assert_eq!(rule(ahead), Some(Rule::ElectionSafety), "ahead of the leader");
        facts.newest.insert(Term(3), Index(4));
        let behind = facts.check_standing(StoreId(1), &held);
        assert_eq!(rule(behind), Some(Rule::ElectionSafety), "some log held one more");
    }

    #[test]
    fn a_node_keeps_what_it_knows_committed() {
        let mut facts = facts();
        facts.seen.insert(StoreId(1), seen(2, None, 2));
        assert_eq!(rule(facts.check_standing(StoreId(1), &log(&[1, 1]))), None);
        let cut = facts.check_standing(StoreId(1), &log(&[1]));
        assert_eq!(rule(cut), Some(Rule::StateMachineSafety));
        let other = facts.check_standing(StoreId(1), &log(&[1, 2]));
        assert_eq!(rule(other), Some(Rule::StateMachineSafety));
    }

    #[test]
    fn a_log_begins_after_what_is_committed() {
        let judged = |term, index| {
            rule(facts().on_snapshot(StoreId(1), Position::new(Term(term), Index(index))))
        };
        assert_eq!(judged(0, 0), None);
        assert_eq!(judged(3, 3), None);
        assert_eq!(judged(2, 2), Some(Rule::LogMatching), "of another term");
        assert_eq!(judged(3, 4), Some(Rule::LogMatching), "of what nobody committed");
    }

    #[test]
    fn what_is_committed_stays_on_a_quorum_of_disks_and_of_logs() {
        let (whole, short) = (log(&[1, 1, 3]), log(&[1, 1]));
        let judged = |facts: &GroupFacts, stores: [(&ShadowLog, &ShadowLog); 3]| {
            let stores = stores.map(|(believed, owed)| shadow(believed, owed));
            let shadows = (1..).map(StoreId).zip(stores).collect();
            rule(facts.check_held(Disks { shadows: &shadows, group: GROUP }))
        };
        let mut facts = facts();
        let (all, none) = ((&whole, &whole), (&short, &short));
        assert_eq!(judged(&facts, [all, all, none]), None);
        assert_eq!(judged(&facts, [all, none, none]), Some(Rule::CommitDurable));
        let unsynced = (&whole, &short);
        assert_eq!(judged(&facts, [all, unsynced, none]), Some(Rule::CommitDurable));
        let cut = (&short, &whole);
        assert_eq!(judged(&facts, [all, cut, none]), None, "without power its disk counts");
        facts.seen.insert(StoreId(2), seen(2, None, 2));
        assert_eq!(judged(&facts, [all, cut, none]), Some(Rule::QuorumLog));
        facts.own.remove(&StoreId(1));
        assert_eq!(judged(&facts, [all, all, none]), Some(Rule::CommitDurable), "it went");
        facts.damaged.insert(PeerId(1), whole.clone());
        assert_eq!(judged(&facts, [all, all, none]), None, "a damaged disk is borne");
    }
}
