//! The rules of Raft across all stores, checked after every turn and on every message.
//!
//! The world tells what it sees: tasks, writes, syncs, recoveries, messages that really leave, the
//! state of a node after its turn, entries handed to be applied. From that alone this judge keeps
//! who led when, who voted for whom, which entry stands at which position and what is committed. It
//! never asks a node about the past, so a node that forgets is caught.

use std::collections::{BTreeMap, BTreeSet};

use kontiki_codec::{command, crc};
use kontiki_log::Record;
use kontiki_multiraft::{Committed, CommittedKind, TaskSeq};
use kontiki_raft::{Node, RoleKind};
use kontiki_types::{
    AppendOutcome, Body, ClientId, Entry, Index, Message, PeerId, Position, RequestId, StoreId,
    Term,
};

use crate::limits::{QUORUM_COUNT, STORE_COUNT};
use crate::violation::{Rule, Violation};

use super::shadow::{Shadow, ShadowLog};

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
}

/// What became of a store's turn, for coverage marks.
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

/// The judge.
#[derive(Default, Debug)]
pub struct Safety {
    shadows: Vec<Shadow>,
    seen: Vec<Seen>,
    leaders: BTreeMap<Term, PeerId>,
    votes: BTreeMap<(Term, PeerId), PeerId>,
    facts: BTreeMap<(Index, Term), Fact>,
    committed: Vec<CommittedFact>,
    hashes: BTreeMap<Index, (StoreId, u64)>,
    state_hashes: BTreeMap<Index, (StoreId, u64)>,
    /// Entries looked at for repeated requests, and the requests found.
    looked_at: Index,
    requests: BTreeSet<(ClientId, RequestId)>,
}

type Judged<T = ()> = Result<T, Violation>;

impl Safety {
    /// A judge who has seen nothing.
    pub fn new() -> Self {
        Self {
            shadows: vec![Shadow::default(); STORE_COUNT],
            seen: vec![Seen::default(); STORE_COUNT],
            ..Self::default()
        }
    }

    /// The shadow of a store's log.
    pub fn shadow(&self, store: StoreId) -> &Shadow {
        &self.shadows[slot(store)]
    }

    /// How many indices are known to be committed.
    pub fn committed_count(&self) -> usize {
        self.committed.len()
    }

    /// A task left the shard of a store.
    ///
    /// # Errors
    /// A broken rule.
    pub fn on_task(&mut self, store: StoreId, task: TaskSeq, records: &[Record]) -> Judged<bool> {
        let mut is_tail_replaced = false;
        for record in records {
            if let Record::Append { entries, .. } = record {
                is_tail_replaced |= self.on_append(store, entries)?;
            }
        }
        let shadow = &mut self.shadows[slot(store)];
        shadow
            .on_task(task, records)
            .map_err(|what| broken(Rule::LogMatching, format!("{store}: {what}")))?;
        Ok(is_tail_replaced)
    }

    /// True when entries were replaced.
    fn on_append(&mut self, store: StoreId, entries: &[Entry]) -> Judged<bool> {
        let believed = &self.shadows[slot(store)].believed;
        let Some(first) = entries.first().map(|entry| entry.position.index) else {
            return Ok(false);
        };
        let replaces = first <= believed.last_index();
        if let Some(term) = self.seen[slot(store)].leads
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
        }
        Ok(replaces)
    }

    /// Tasks were written, as so many frames.
    pub fn on_written(&mut self, store: StoreId, task: TaskSeq, frames: u64) {
        self.shadows[slot(store)].on_written(task, frames);
    }

    /// The power went while tasks were written.
    pub fn on_write_failed(&mut self, store: StoreId, task: TaskSeq) {
        self.shadows[slot(store)].on_write_failed(task);
    }

    /// The disk of a store really synced its log.
    ///
    /// # Errors
    /// A broken rule.
    pub fn on_synced(&mut self, store: StoreId) -> Judged {
        let shadow = &mut self.shadows[slot(store)];
        shadow.on_synced().map_err(|what| broken(Rule::LogMatching, format!("{store}: {what}")))
    }

    /// The log of a store gave this back. Tells how many unsynced frames survived.
    ///
    /// # Errors
    /// A broken rule.
    pub fn on_recovered(&mut self, store: StoreId, found: ShadowLog) -> Judged<usize> {
        self.seen[slot(store)] = Seen::default();
        self.shadows[slot(store)]
            .on_recovered(found)
            .map_err(|what| broken(Rule::RecoveryComplete, format!("{store}: {what}")))
    }

    /// A store lost its power.
    pub fn on_power_off(&mut self, store: StoreId) {
        self.seen[slot(store)] = Seen::default();
    }

    /// Records written and synced while a store starts.
    ///
    /// # Errors
    /// A broken rule.
    pub fn on_start_records(&mut self, store: StoreId, records: &[Record]) -> Judged {
        self.on_task(store, TaskSeq(0), records)?;
        self.on_written(store, TaskSeq(0), 1);
        self.on_synced(store)
    }

    /// A message really leaves a store.
    ///
    /// # Errors
    /// A broken rule.
    pub fn on_send(&mut self, store: StoreId, message: &Message) -> Judged {
        match &message.body {
            Body::Vote { .. } => self.on_vote(message.term, message.from, message.from),
            Body::VoteReply { granted: true } => {
                self.on_vote(message.term, message.from, message.to)
            }
            Body::AppendReply { outcome: AppendOutcome::Accepted { matched }, .. } => {
                let owed = &self.shadows[slot(store)].owed;
                if owed.last_index() < *matched {
                    let last = owed.last_index();
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
    ///
    /// # Errors
    /// A broken rule.
    pub fn on_turn(&mut self, store: StoreId, node: &Node) -> Judged<Turned> {
        let before = self.seen[slot(store)];
        let term = node.term();
        let leads = (node.role() == RoleKind::Leader).then_some(term);
        let began = leads.filter(|_| leads != before.leads);
        if let Some(term) = began {
            self.on_leader(store, node.id(), term)?;
        }
        if node.commit() < before.commit {
            let what = format!("{store} had commit {}, now {}", before.commit, node.commit());
            return Err(broken(Rule::StateMachineSafety, what));
        }
        let after_split = began.is_some() && !self.leaders.contains_key(&Term(term.0 - 1));
        let is_rivalled = began.is_some() && self.seen.iter().any(|seen| seen.leads.is_some());
        self.on_commit(store, before.commit, node.commit(), term)?;
        self.seen[slot(store)] = Seen { commit: node.commit(), leads };
        Ok(Turned {
            began_to_lead: began.is_some(),
            ceased_to_lead: before.leads.is_some() && before.leads != leads,
            is_rivalled,
            after_split: after_split && self.leaders.len() > 1,
        })
    }

    fn on_leader(&mut self, store: StoreId, peer: PeerId, term: Term) -> Judged {
        let known = *self.leaders.entry(term).or_insert(peer);
        if known != peer {
            let what = format!("{peer} leads {term}, and so does {known}");
            return Err(broken(Rule::ElectionSafety, what));
        }
        let believed = &self.shadows[slot(store)].believed;
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

    fn on_commit(&mut self, store: StoreId, from: Index, to: Index, known_in: Term) -> Judged {
        let believed = &self.shadows[slot(store)].believed;
        let first = from.0.max(believed.start.index.0) + 1;
        for index in (first..=to.0).map(Index) {
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
                    self.check_durable(store, Position::new(term, index))?;
                    if self.committed.len() != offset(index) {
                        let what = format!("{store} commits {index}, nobody the one before");
                        return Err(broken(Rule::StateMachineSafety, what));
                    }
                    self.committed.push(CommittedFact { term, known_in });
                }
            }
        }
        Ok(())
    }

    fn check_durable(&self, store: StoreId, position: Position) -> Judged {
        let holders = self.shadows.iter().filter(|shadow| shadow.owed.holds(position)).count();
        if holders < QUORUM_COUNT {
            let what = format!("{store} commits {position}, durable on {holders} disks");
            return Err(broken(Rule::CommitDurable, what));
        }
        Ok(())
    }

    /// Entries are handed to the applier of a store. Tells how many requests came again, and
    /// whether an entry held several payloads.
    ///
    /// # Errors
    /// A broken rule.
    pub fn on_apply(&mut self, store: StoreId, entries: &[Committed]) -> Judged<(usize, bool)> {
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
                is_merged |= payloads.len() > 1;
                for payload in payloads {
                    repeated += self.note_requests(&payload.data);
                }
            }
        }
        Ok((repeated, is_merged))
    }

    fn note_requests(&mut self, payload: &bytes::Bytes) -> usize {
        let Ok(batch) = command::from_bytes(payload.clone()) else { return 0 };
        let client = batch.header.client;
        let new = batch.commands.iter().filter(|(r, _)| self.requests.insert((client, *r))).count();
        batch.commands.len() - new
    }

    /// The rows of a store, hashed at an applied index.
    ///
    /// # Errors
    /// Another store had other rows there.
    pub fn on_hash(&mut self, store: StoreId, index: Index, hash: u64) -> Judged {
        equal("rows", &mut self.hashes, store, index, hash)
    }

    /// A store's own hash of all its region is, sessions included, at an applied index.
    ///
    /// # Errors
    /// Another store had another one there.
    pub fn on_state_hash(&mut self, store: StoreId, index: Index, hash: u64) -> Judged {
        equal("state", &mut self.state_hashes, store, index, hash)
    }

    /// How many states were hashed by a store itself.
    pub fn state_hash_count(&self) -> usize {
        self.state_hashes.len()
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

fn slot(store: StoreId) -> usize {
    usize::try_from(store.0 - 1).expect("stores are numbered from 1")
}

fn offset(index: Index) -> usize {
    usize::try_from(index.0 - 1).expect("indices are counted from 1")
}

fn broken(rule: Rule, what: String) -> Violation {
    Violation { rule, what }
}

fn hash_of(entry: &Entry) -> u32 {
    crc::salted(ENTRY_SALT ^ entry.kind as u64, &entry.data)
}
