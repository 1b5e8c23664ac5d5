//! What is known of one group across all stores: who led when, who voted for whom, which entry
//! stands where, what is committed.
//!
//! Fed by [`super::Safety`], which knows the disks. Never asks a node about the past.

use std::collections::{BTreeMap, BTreeSet};

use kontiki_codec::{command, crc};
use kontiki_multiraft::{Committed, CommittedKind};
use kontiki_raft::{Node, RoleKind};
use kontiki_types::{
    AppendOutcome, Body, ClientId, Entry, Index, Membership, Message, Peer, PeerId, Position,
    RegionId, RequestId, StoreId, Term,
};

use crate::cluster::is_quorum;
use crate::violation::Rule;

use super::memberships::Memberships;
use super::safety::{Judged, broken};
use super::shadow::{Shadow, ShadowLog};

mod standing;

/// Salt of the hash over entries; any number does.
const ENTRY_SALT: u64 = 0x5afe;

/// What is known of an entry, from whoever first held it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Fact {
    hash: u32,
    /// Term of the entry before it, unless the log began here.
    before: Option<Term>,
}

/// A committed index.
#[derive(Clone, Copy, Debug)]
struct CommittedFact {
    term: Term,
    /// Term of the node that first called it committed: leaders of later terms must hold it.
    known_in: Term,
}

/// How a node stood after its last turn.
#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    commit: Index,
    leads: Option<Term>,
    /// Where its log ended.
    last: Index,
}

/// What became of a node's turn, for coverage marks.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub struct Turned {
    /// It became leader.
    pub began_to_lead: bool,
    /// It led and does no more.
    pub ceased_to_lead: bool,
    /// It became leader while another store still thinks that it leads.
    pub is_rivalled: bool,
    /// It became leader after a term that had none.
    pub after_split: bool,
}

/// What all disks owe one group.
#[derive(Clone, Copy)]
pub(super) struct Disks<'a> {
    pub(super) shadows: &'a BTreeMap<StoreId, Shadow>,
    pub(super) group: RegionId,
}

impl<'a> Disks<'a> {
    fn owed(self, store: StoreId) -> Option<&'a ShadowLog> {
        self.shadows.get(&store)?.owed.get(&self.group)
    }

    fn believed(self, store: StoreId) -> Option<&'a ShadowLog> {
        self.shadows.get(&store)?.believed.get(&self.group)
    }
}

/// What is known of one group.
#[derive(Default, Debug)]
pub(super) struct GroupFacts {
    /// Whose promises the disk of each store holds.
    own: BTreeMap<StoreId, PeerId>,
    /// What the disk of a replica that fell silent had kept until it was damaged.
    damaged: BTreeMap<PeerId, ShadowLog>,
    seen: BTreeMap<StoreId, Seen>,
    leaders: BTreeMap<Term, PeerId>,
    /// The newest term that any node was ever in.
    newest_term: Term,
    votes: BTreeMap<(Term, PeerId), PeerId>,
    facts: BTreeMap<(Index, Term), Fact>,
    /// The newest entry of each term that ever stood in any log.
    newest: BTreeMap<Term, Index>,
    committed: Vec<CommittedFact>,
    /// Up to where was committed by the end of each term.
    committed_by: BTreeMap<Term, Index>,
    hashes: BTreeMap<Index, (StoreId, u64)>,
    state_hashes: BTreeMap<Index, (StoreId, u64)>,
    /// Entries looked at for repeated requests, and the requests found.
    looked_at: Index,
    requests: BTreeSet<(ClientId, RequestId)>,
    memberships: Memberships,
}

impl GroupFacts {
    /// Of a group that is born with this membership.
    pub(super) fn new(born: Membership) -> Self {
        Self { memberships: Memberships::new(born), ..Self::default() }
    }

    /// How many indices are known to be committed.
    pub(super) fn committed_count(&self) -> usize {
        self.committed.len()
    }

    /// How many states were hashed by a store itself.
    pub(super) fn state_hash_count(&self) -> usize {
        self.state_hashes.len()
    }

    /// The disk of a store lost what its replica promised. An acknowledgement may still be under
    /// way, and the one fault that a group bears keeps nobody from counting it (seed 299186422212).
    pub(super) fn on_damaged(&mut self, store: StoreId, lost: Option<ShadowLog>) {
        if let Some(&peer) = self.own.get(&store) {
            self.damaged.insert(peer, lost.unwrap_or_default());
        }
        self.on_lost(store);
    }

    /// Whether a membership in effect counts on a replica of this store that was damaged.
    pub(super) fn misses(&self, store: StoreId) -> bool {
        let is_missed = |peer: Peer| peer.store == store && self.damaged.contains_key(&peer.id);
        let committed = |index| self.committed.get(offset(index)).map(|fact| fact.term);
        let end = Index(self.committed.len() as u64);
        self.memberships
            .in_effect(end, committed)
            .any(|membership| membership.peers().any(is_missed))
    }

    /// Whether a quorum of each membership in effect has its replicas on these stores.
    pub(super) fn can_commit(&self, works: impl Fn(StoreId) -> bool) -> bool {
        let committed = |index| self.committed.get(offset(index)).map(|fact| fact.term);
        let end = Index(self.committed.len() as u64);
        let is_there = |peer: Peer| works(peer.store) && self.is_own(peer.store, peer.id);
        let mut memberships = self.memberships.in_effect(end, committed);
        memberships.all(|membership| is_quorum(membership, is_there))
    }

    /// Whether the disk of this store holds the promises of this replica.
    pub(super) fn is_own(&self, store: StoreId, peer: PeerId) -> bool {
        self.own.get(&store) == Some(&peer)
    }

    /// A store lost what its replica promised; that one must be silent for ever.
    pub(super) fn on_lost(&mut self, store: StoreId) {
        self.own.remove(&store);
    }

    /// The process on a store ended.
    pub(super) fn forget_seen(&mut self, store: StoreId) {
        self.seen.remove(&store);
    }

    /// True when entries were replaced.
    pub(super) fn on_append(
        &mut self,
        store: StoreId,
        believed: &ShadowLog,
        entries: &[Entry],
    ) -> Judged<bool> {
        let Some(first) = entries.first().map(|entry| entry.position.index) else {
            return Ok(false);
        };
        let replaces = first <= believed.last_index();
        if let Some(term) = self.seen.get(&store).and_then(|seen| seen.leads)
            && replaces
            && entries.iter().any(|entry| entry.position.term == term)
        {
            let last = believed.last_index();
            let what = format!("{store} leads {term} and replaces {first}..{last}");
            return Err(broken(Rule::LeaderAppendOnly, what));
        }
        let mut before = believed.term_at(first.prev());
        for entry in entries {
            let position = entry.position;
            let hash = hash_of(entry);
            let fact = Fact { hash, before };
            let known = *self.facts.entry((position.index, position.term)).or_insert(fact);
            let is_prefix_equal = known.before == before || known.before.is_none();
            if known.hash != hash || (before.is_some() && !is_prefix_equal) {
                let what = format!("{store} holds {position} as {fact:?}, known as {known:?}");
                return Err(broken(Rule::LogMatching, what));
            }
            before = Some(position.term);
            self.memberships.note(entry);
        }
        self.note_newest(entries);
        Ok(replaces)
    }

    /// A message really leaves a store whose disk owes this log.
    pub(super) fn on_send(
        &mut self,
        store: StoreId,
        owed: Option<&ShadowLog>,
        message: &Message,
    ) -> Judged {
        match &message.body {
            // The target of a transfer may ask before it has voted (docs/design/0007).
            Body::Vote { transfer: true, .. } if !has_voted(owed, message) => Ok(()),
            Body::Vote { .. } => self.on_vote(message.term, message.from, message.from),
            Body::VoteReply { granted: true } => {
                self.on_vote(message.term, message.from, message.to)
            }
            Body::AppendReply { outcome: AppendOutcome::Accepted { matched }, .. } => {
                let last = owed.map_or(Index(0), ShadowLog::last_index);
                if last < *matched {
                    let what =
                        format!("{store} acknowledges {matched}, its disk owes up to {last}");
                    return Err(broken(Rule::AckDurable, what));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_vote(&mut self, term: Term, voter: PeerId, candidate: PeerId) -> Judged {
        let known = *self.votes.entry((term, voter)).or_insert(candidate);
        if known != candidate {
            let what = format!("{voter} votes for {candidate} in {term}, voted for {known}");
            return Err(broken(Rule::VoteOnce, what));
        }
        Ok(())
    }

    /// A node after its turn.
    pub(super) fn on_turn(
        &mut self,
        store: StoreId,
        disks: Disks<'_>,
        node: &Node,
        believed: &ShadowLog,
    ) -> Judged<Turned> {
        let before = self.seen.get(&store).copied().unwrap_or_default();
        let term = node.term();
        self.own.insert(store, node.id());
        if node.last_position() != believed.last() {
            let (ends, last) = (node.last_position(), believed.last());
            let what = format!("{store} takes its log to end at {ends}, what it logged at {last}");
            return Err(broken(Rule::LogMatching, what));
        }
        self.on_term(store, node)?;
        let leads = (node.role() == RoleKind::Leader).then_some(term);
        let began = leads.filter(|_| leads != before.leads);
        if let Some(term) = began {
            self.on_leader(believed, node.id(), term)?;
        }
        if node.commit() < before.commit {
            let what = format!("{store} had commit {}, now {}", before.commit, node.commit());
            return Err(broken(Rule::StateMachineSafety, what));
        }
        self.on_membership(store, node, believed)?;
        let after_split = began.is_some() && !self.leaders.contains_key(&Term(term.0 - 1));
        let is_rivalled = began.is_some() && self.seen.values().any(|seen| seen.leads.is_some());
        if node.commit() > before.commit {
            self.on_commit(store, disks, node, believed, before.commit)?;
        }
        let last = believed.last_index();
        self.seen.insert(store, Seen { commit: node.commit(), leads, last });
        self.check_standing(store, believed)?;
        Ok(Turned {
            began_to_lead: began.is_some(),
            ceased_to_lead: before.leads.is_some() && before.leads != leads,
            is_rivalled,
            after_split: after_split && self.leaders.len() > 1,
        })
    }

    /// Only a candidate makes a term: it votes for itself in it before anyone hears of it.
    fn on_term(&mut self, store: StoreId, node: &Node) -> Judged {
        if node.term() > self.newest_term && node.vote() != Some(node.id()) {
            let what = format!("{store} is in {}, for which nobody stood", node.term());
            return Err(broken(Rule::TermHasCandidate, what));
        }
        self.newest_term = self.newest_term.max(node.term());
        Ok(())
    }

    /// A node acts by the membership of its log. A replica that awaits its first snapshot has none.
    fn on_membership(&self, store: StoreId, node: &Node, believed: &ShadowLog) -> Judged {
        let (found, logged) = (node.membership(), self.membership_of(believed));
        if !found.is_empty() && found != logged {
            let what = format!("{store} acts by {found:?}, its log says {logged:?}");
            return Err(broken(Rule::MembershipOfLog, what));
        }
        Ok(())
    }

    fn membership_of(&self, log: &ShadowLog) -> &Membership {
        self.membership_at(log, log.last_index())
    }

    /// By this log when it ended there.
    fn membership_at(&self, log: &ShadowLog, end: Index) -> &Membership {
        let committed = |index| self.committed.get(offset(index)).map(|fact| fact.term);
        self.memberships.of(log, end, committed)
    }

    fn on_leader(&mut self, believed: &ShadowLog, peer: PeerId, term: Term) -> Judged {
        let known = *self.leaders.entry(term).or_insert(peer);
        if known != peer {
            let what = format!("{peer} leads {term}, and so does {known}");
            return Err(broken(Rule::ElectionSafety, what));
        }
        let after = usize::try_from(believed.start.index.0).expect("indices are counted from 1");
        for (offset, fact) in self.committed.iter().enumerate().skip(after) {
            let position = Position::new(fact.term, Index(offset as u64 + 1));
            if fact.known_in < term && !believed.holds(position) {
                let what = format!(
                    "{peer} leads {term} without {position}, committed in {}; its log is {}..{}",
                    fact.known_in,
                    believed.start,
                    believed.last_index(),
                );
                return Err(broken(Rule::LeaderCompleteness, what));
            }
        }
        Ok(())
    }

    fn on_commit(
        &mut self,
        store: StoreId,
        disks: Disks<'_>,
        node: &Node,
        believed: &ShadowLog,
        from: Index,
    ) -> Judged {
        let known = self.committed.len();
        let first = from.0.max(believed.start.index.0) + 1;
        for index in (first..=node.commit().0).map(Index) {
            let Some(term) = believed.term_at(index) else {
                let what = format!("{store} commits {index} beyond its log");
                return Err(broken(Rule::StateMachineSafety, what));
            };
            match self.committed.get(offset(index)) {
                Some(fact) if fact.term != term => {
                    let what = format!("{store} commits {index} of {term}, known of {}", fact.term);
                    return Err(broken(Rule::StateMachineSafety, what));
                }
                Some(_) => {}
                None => {
                    // A turn may commit first and change the membership then.
                    let before = self.seen.get(&store).map_or(believed.last_index(), |s| s.last);
                    let ends = [believed.last_index(), before];
                    let memberships = ends.map(|end| self.membership_at(believed, end));
                    let position = Position::new(term, index);
                    self.check_durable(store, disks, memberships, position)?;
                    if self.committed.len() != offset(index) {
                        let what = format!("{store} commits {index}, nobody the one before");
                        return Err(broken(Rule::StateMachineSafety, what));
                    }
                    self.committed.push(CommittedFact { term, known_in: node.term() });
                }
            }
        }
        if self.committed.len() > known {
            self.note_committed(node.term());
            self.check_leaders(disks)?;
            self.check_held(disks)?;
        }
        Ok(())
    }

    /// A committed entry is durable on a quorum of one of these memberships, by the disks and not
    /// by what nodes say.
    fn check_durable(
        &self,
        store: StoreId,
        disks: Disks<'_>,
        memberships: [&Membership; 2],
        position: Position,
    ) -> Judged {
        let holds = |store: StoreId| disks.owed(store).is_some_and(|owed| owed.holds(position));
        let is_copy = |peer: Peer| self.is_copy(peer, position, |store| disks.owed(store));
        if !memberships.into_iter().any(|membership| is_quorum(membership, is_copy)) {
            let holders: Vec<_> = disks.shadows.keys().filter(|&&store| holds(store)).collect();
            let what = format!("{store} commits {position}, durable on {holders:?} only");
            return Err(broken(Rule::CommitDurable, what));
        }
        Ok(())
    }

    /// Entries are handed to the applier of a store. Tells how many requests came again, and
    /// whether an entry held several payloads.
    pub(super) fn on_apply(
        &mut self,
        store: StoreId,
        entries: &[Committed],
    ) -> Judged<(usize, bool)> {
        let (mut repeated, mut is_merged) = (0, false);
        for entry in entries {
            let Position { term, index } = entry.position;
            match self.committed.get(offset(index)) {
                Some(fact) if fact.term == term => {}
                fact => {
                    let what = format!("{store} applies {}, committed is {fact:?}", entry.position);
                    return Err(broken(Rule::StateMachineSafety, what));
                }
            }
            if index > self.looked_at {
                self.looked_at = index;
                let CommittedKind::Normal(payloads) = &entry.kind else { continue };
                is_merged |= payloads.iter().nth(1).is_some();
                for payload in payloads {
                    repeated += self.note_requests(payload.to_bytes());
                }
            }
        }
        Ok((repeated, is_merged))
    }

    fn note_requests(&mut self, payload: bytes::Bytes) -> usize {
        let Ok(batch) = command::from_bytes(payload) else { return 0 };
        let client = batch.header.client;
        let new = batch.commands.iter().filter(|(r, _)| self.requests.insert((client, *r))).count();
        batch.commands.len() - new
    }

    /// The rows of a store, hashed at an applied index.
    pub(super) fn on_hash(&mut self, store: StoreId, index: Index, hash: u64) -> Judged {
        equal("rows", &mut self.hashes, store, index, hash)
    }

    /// A store's own hash of all its region is, sessions included, at an applied index.
    pub(super) fn on_state_hash(&mut self, store: StoreId, index: Index, hash: u64) -> Judged {
        equal("state", &mut self.state_hashes, store, index, hash)
    }
}

fn equal(
    what: &str,
    hashes: &mut BTreeMap<Index, (StoreId, u64)>,
    store: StoreId,
    index: Index,
    hash: u64,
) -> Judged {
    let (other, known) = *hashes.entry(index).or_insert((store, hash));
    if known != hash {
        let what = format!("{what} at {index}: {store} has {hash:x}, {other} had {known:x}");
        return Err(broken(Rule::ReplicasEqual, what));
    }
    Ok(())
}

/// The disk holds the sender's vote for itself in the term of this message.
fn has_voted(owed: Option<&ShadowLog>, message: &Message) -> bool {
    let ballot = owed.map(|log| (log.hard.term, log.hard.vote));
    ballot == Some((message.term, Some(message.from)))
}

fn offset(index: Index) -> usize {
    usize::try_from(index.0 - 1).expect("indices are counted from 1")
}

fn hash_of(entry: &Entry) -> u32 {
    crc::salted(ENTRY_SALT ^ entry.kind as u64, &entry.data)
}
