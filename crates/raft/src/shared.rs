//! What a peer has in whatever role: its ballot, its log, what is on its way to disk and out.
//!
//! Role handlers borrow it beside their own state. Setters keep the rules that hold in every role:
//! the term never falls, a vote never changes within a term, the commit index never falls, and a
//! committed entry is never cut.

use std::time::Duration;

use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{
    Body, Entry, EntryKind, HardState, Index, Membership, Message, Moment, PeerId, Position,
    SnapshotMeta, Term,
};
use rand_pcg::Pcg32;
use rand_pcg::rand_core::{Rng as _, SeedableRng as _};

use crate::applying::Applying;
use crate::durability::Durability;
use crate::fetch::Fetching;
use crate::limits::SUCCESSION_SLOTS_MIN;
use crate::log::Log;
use crate::membership::removal;
use crate::membership::stack::Stack;
use crate::outbox::Outbox;
use crate::priority::Patience;
use crate::transfer::Handover;
use crate::{Config, Notice, Restored, Seq, StoredSnapshot};

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    // The ballot.
    term: Term,
    vote: Option<PeerId>,
    // The log and what follows from it.
    pub(crate) log: Log,
    pub(crate) memberships: Stack,
    pub(crate) durability: Durability,
    pub(crate) applying: Applying,
    pub(crate) fetching: Fetching,
    /// It was a member and is none any more.
    pub(crate) removed: bool,
    // Outputs.
    pub(crate) outbox: Outbox,
    // Sources of numbers, none ever given twice in the life of a node.
    rng: Pcg32,
    sessions: u64,
    read_numbers: u64,
    /// When a leader, of whatever term, was last heard of; when the process started, if its
    /// earlier life may have heard one.
    leader_heard: Option<Moment>,
    /// This peer, a follower, sleeps: its leader lives as long as nobody says otherwise.
    asleep: bool,
    /// How long it has been waiting for a better peer to lead.
    pub(crate) patience: Patience,
    /// A transfer whose outcome is not known yet after this peer stopped leading.
    pub(crate) handover: Option<Handover>,
}

impl Shared {
    /// Continue from what the disk gave back.
    ///
    /// # Panics
    /// When the pieces contradict each other: the log store and the state machine own that truth.
    pub(crate) fn restore(config: Config, restored: Restored) -> Self {
        let Restored { hard_state, snapshot, entries, applied, installed } = restored;
        let start = snapshot.position;
        let mut memberships = Stack::new(start.index, snapshot.membership);
        for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Config) {
            memberships.push(entry.position.index, decode(&config, entry));
        }
        let log = Log::restore(start, entries);
        Self::begin(config, hard_state, (log, memberships), applied, installed)
    }

    /// What comes after this one in the same process, when its state machine stands at `at`: the
    /// log goes on as it is, with what left memory where it is.
    ///
    /// # Panics
    /// When something is still on its way to the disk: the successor could not know.
    pub(crate) fn successor(&self, config: Config, at: &SnapshotMeta) -> Self {
        assert!(self.is_log_durable(), "not all of the log is durable");
        assert!(self.durability.is_ballot_durable(), "the ballot is not durable");
        let start = self.log.start();
        assert!(at.position.index >= start.index, "{} is before the log, at {start}", at.position);
        let kept = (self.log.clone(), self.memberships.unforced());
        let holds = self.log.matches(at.position);
        let mut applied = if holds { at.position.index } else { start.index };
        if mutants::is_on(Mutant::RevivedAhead) {
            applied = self.applying.applied();
        }
        let installed = (!holds).then(|| at.clone());
        Self::begin(config, self.hard_state(), kept, applied, installed)
    }

    fn begin(
        config: Config,
        hard_state: HardState,
        (log, memberships): (Log, Stack),
        applied: Index,
        installed: Option<SnapshotMeta>,
    ) -> Self {
        let start = log.start();
        let installed = installed.filter(|meta| meta.position.index > start.index);
        let newest = installed.as_ref().map_or(applied, |meta| applied.max(meta.position.index));
        let known = if installed.is_some() { start.index } else { applied };
        // The hint may lag behind both (jraft#1092), and is worth no more than they are.
        let commit = hard_state.commit.max(start.index).max(known);
        let last = log.last();
        assert!(commit <= last.index, "commit {commit} is restored, the log ends at {last}");
        let mut rng = Pcg32::seed_from_u64(config.seed);
        let read_numbers = u64::from(rng.next_u32()) << 32;
        let mut shared = Self {
            config,
            term: hard_state.term,
            vote: hard_state.vote.filter(|_| !mutants::is_on(Mutant::VoteForgotten)),
            log,
            memberships,
            durability: Durability::new(hard_state.commit),
            applying: Applying::new(commit, known.max(start.index)),
            removed: false,
            fetching: Fetching::default(),
            outbox: Outbox::default(),
            rng,
            sessions: 0,
            read_numbers,
            leader_heard: None,
            asleep: false,
            patience: Patience::default(),
            handover: None,
        };
        // A bootstrap may start the log at a term that no hard state names yet.
        shared.reach_term(start.term);
        removal::on_committed(&mut shared, start.index, commit);
        if let Some(meta) = installed {
            // Finish an install that a crash interrupted (openraft#559). The term of the leader
            // that sent it may not have reached the disk.
            shared.reach_term(meta.position.term);
            shared.restart_log(&meta);
        }
        let term = shared.term;
        assert!(last.term <= term, "the log ends at {last}, the term on disk is {term}");
        assert_eq!(shared.applying.applied(), newest.max(start.index), "applied is restored wrong");
        shared
    }

    /// Enter a term that only the log's start names. No vote was given in it: a vote leaves only
    /// once it is durable, and then this term would be on disk.
    fn reach_term(&mut self, term: Term) {
        if term > self.term {
            self.set_term(term);
        }
    }

    // ---- ballot ----

    /// Current term.
    pub(crate) fn term(&self) -> Term {
        self.term
    }

    /// Who got this peer's vote in the current term.
    pub(crate) fn vote(&self) -> Option<PeerId> {
        self.vote
    }

    /// Enter a newer term, with the vote still to give.
    pub(crate) fn set_term(&mut self, term: Term) {
        assert!(term > self.term, "term would go from {} to {term}", self.term);
        self.outbox.drop_gated();
        self.term = term;
        self.vote = None;
        self.durability.on_ballot_changed();
    }

    /// Give the vote of this term. Giving it again to the same peer is nothing new.
    pub(crate) fn set_vote(&mut self, peer: PeerId) {
        if let Some(before) = self.vote {
            assert_eq!(before, peer, "the vote of {} was given already", self.term);
            return;
        }
        self.vote = Some(peer);
        self.durability.on_ballot_changed();
    }

    /// What must be on disk beside the log.
    pub(crate) fn hard_state(&self) -> HardState {
        HardState { term: self.term, vote: self.vote, commit: self.applying.commit() }
    }

    /// A leader spoke, or may have spoken to the earlier life of this peer just before its end.
    pub(crate) fn on_leader_heard(&mut self, now: Moment) {
        self.leader_heard = self.leader_heard.max(Some(now));
        self.patience = Patience::default();
    }

    /// A leader was heard of within the shortest election timeout: this peer has promised it to
    /// help nobody else to power (thesis §4.2.3, §6.4.1). The promise outlives the role and the
    /// term in which it was given, or a lease would be worth nothing (hashicorp#108).
    pub(crate) fn hears_leader(&self, now: Moment) -> bool {
        if mutants::is_on(Mutant::VoteBesideLeader) {
            return false;
        }
        let recent = |heard| now.since(heard) < self.config.election_timeout;
        self.asleep || self.leader_heard.is_some_and(recent)
    }

    /// When that was, if ever.
    pub(crate) fn leader_heard(&self) -> Option<Moment> {
        self.leader_heard
    }

    /// This peer, a follower, sleeps.
    pub(crate) fn is_asleep(&self) -> bool {
        self.asleep
    }

    /// It falls asleep or wakes.
    pub(crate) fn set_asleep(&mut self, asleep: bool) {
        self.asleep = asleep;
    }

    // ---- log ----

    /// Append consecutive entries, accepted under the leader of the current term. Configurations
    /// take effect at once.
    pub(crate) fn append(&mut self, entries: impl IntoIterator<Item = Entry>) {
        let Self { config, log, memberships, removed, outbox, .. } = self;
        let entries = entries.into_iter().inspect(|entry| {
            if entry.kind == EntryKind::Config {
                let membership = decode(config, entry);
                outbox.notify(Notice::MembershipAppended(membership.clone()));
                *removed &= !membership.contains(config.id);
                memberships.push(entry.position.index, membership);
            }
        });
        log.append(self.term, entries);
    }

    /// Cut the log at `from`, and go back to the membership before it.
    pub(crate) fn truncate(&mut self, from: Index) {
        let commit = self.applying.commit();
        assert!(from > commit, "truncation at {from} would lose what is committed: {commit}");
        // One leader never contradicts itself; and a newer term makes older marks void.
        let accepted = self.log.mark().term;
        assert!(accepted < self.term, "the leader of {accepted} takes back {from}");
        self.log.truncate(from);
        if !mutants::is_on(Mutant::ConfigKept) && self.memberships.truncate(from) {
            let membership = self.membership().clone();
            self.outbox.notify(Notice::MembershipAppended(membership));
        }
    }

    /// Everything up to `index` is committed. True when that is news.
    pub(crate) fn commit_to(&mut self, index: Index) -> bool {
        let Some(before) = self.applying.commit_to(index, &self.log) else { return false };
        for (at, membership) in self.memberships.between(before, index) {
            let (index, membership) = (*at, membership.clone());
            self.outbox.notify(Notice::MembershipCommitted { index, membership });
        }
        removal::on_committed(self, before, index);
        true
    }

    /// The state machine stands at this snapshot: the log starts there. The tail after it stays
    /// only if the log holds the snapshot's very last entry; otherwise the log is a conflicting or
    /// an older one and goes as a whole (hashicorp#697).
    pub(crate) fn restart_log(&mut self, meta: &SnapshotMeta) {
        let SnapshotMeta { position, ref membership } = *meta;
        let keep = self.log.matches(position) || self.keeps_tail_by_mistake(position);
        // What was not handed to the disk yet is written after the restart, by the same operation.
        let keep_tail = keep && self.log.handed() >= position.index;
        let before = self.memberships.at(self.applying.commit()).cloned().unwrap_or_default();
        if keep {
            self.log.compact(position.index);
            self.memberships.compact(position.index);
            assert_eq!(self.memberships.at(position.index), Some(membership), "at {position}");
        } else {
            assert!(
                self.applying.commit() <= position.index,
                "snapshot {position} contradicts what is committed: {}",
                self.applying.commit()
            );
            self.log.restart(position, self.term);
            self.memberships.restart(position.index, membership.clone());
            self.outbox.notify(Notice::MembershipAppended(membership.clone()));
        }
        if before != *membership {
            let (index, membership) = (position.index, membership.clone());
            self.outbox.notify(Notice::MembershipCommitted { index, membership });
        }
        removal::on_replaced(self, &before, membership);
        self.applying.on_installed(position.index);
        self.durability.on_snapshot(StoredSnapshot { meta: meta.clone(), keep_tail });
    }

    fn keeps_tail_by_mistake(&self, position: Position) -> bool {
        mutants::is_on(Mutant::SnapshotKeepsTail) && self.log.term(position.index).is_some()
    }

    /// Drop the log up to `to`, or what of that is applied and durable.
    pub(crate) fn compact(&mut self, to: Index) -> Option<Position> {
        let to = to.min(self.applying.applied()).min(self.log.durable());
        if to <= self.log.start().index {
            return None;
        }
        self.log.compact(to);
        self.memberships.compact(to);
        Some(self.log.start())
    }

    /// No crash can shorten the log: not an entry, nor a restart of it, is on its way to the disk.
    pub(crate) fn is_log_durable(&self) -> bool {
        self.log.durable() == self.log.last().index
    }

    /// The newest configuration is not committed, or joint: it is to be followed by another.
    pub(crate) fn is_membership_open(&self) -> bool {
        let committed = self.memberships.current_index() <= self.applying.commit();
        !committed || self.membership().is_joint()
    }

    /// The membership in effect.
    pub(crate) fn membership(&self) -> &Membership {
        self.memberships.current()
    }

    // ---- outputs ----

    /// Send at once, in the current term.
    pub(crate) fn send(&mut self, to: PeerId, body: Body) {
        self.send_after(Seq(0), to, body);
    }

    /// Send in the current term once the operation `after` is durable.
    pub(crate) fn send_after(&mut self, after: Seq, to: PeerId, body: Body) {
        let message = Message { from: self.config.id, to, term: self.term, body };
        self.outbox.send(after, message);
    }

    /// Send a reply that speaks in the current term but claims nothing of the log.
    pub(crate) fn send_after_ballot(&mut self, to: PeerId, body: Body) {
        let early = mutants::is_on(Mutant::VoteBeforeSync);
        let gate = if early { Seq(0) } else { self.durability.gate_of_ballot() };
        self.send_after(gate, to, body);
    }

    /// Give back memory kept for the next time, and the data of entries that the disk has.
    pub(crate) fn shrink(&mut self) {
        self.outbox.shrink();
        self.evict(0);
        self.log.shrink();
        self.durability.shrink();
    }

    /// Let go of the data of the oldest entries beyond this, if they can be fetched again.
    pub(crate) fn evict(&mut self, bytes_max: usize) {
        self.evict_through(self.log.last().index, bytes_max);
    }

    /// The same, of those up to `through`.
    pub(crate) fn evict_through(&mut self, through: Index, bytes_max: usize) {
        if self.config.cache_bytes_max != usize::MAX {
            self.log.evict(through, bytes_max);
        }
    }

    // ---- numbers ----

    /// A moment between one and two election timeouts from now, so that peers seldom campaign at
    /// once (Raft §5.2).
    pub(crate) fn election_deadline(&mut self, now: Moment) -> Moment {
        let timeout = self.config.election_timeout;
        now + timeout + self.draw_below(timeout)
    }

    /// When to stand after this leader has gone: an election timeout after it was last heard, in a
    /// slot of the half timeout that follows. Every other voter has one of its own, which one
    /// changes with the term, so nobody is always the first; and the second half of a slot stays
    /// empty, so that one election is over before the next can begin.
    pub(crate) fn succession_deadline(&mut self, leader: PeerId) -> Moment {
        let heard = self.leader_heard.expect("whoever has a leader has heard it");
        let (id, timeout) = (self.config.id, self.config.election_timeout);
        let membership = self.membership();
        let voters = membership.peers().map(|peer| peer.id).filter(|&p| membership.is_voter(p));
        let heirs: Vec<PeerId> = voters.filter(|&peer| peer != leader).collect();
        let (place, count) = (heirs.iter().position(|&peer| peer == id), heirs.len() as u64);
        let turn = place.map_or(0, |place| (place as u64 + self.term.0) % count);
        let slot = (timeout / 2).div_f64(count.max(SUCCESSION_SLOTS_MIN) as f64);
        heard + timeout + slot.mul_f64(turn as f64) + self.draw_below(slot / 2)
    }

    fn draw_below(&mut self, bound: Duration) -> Duration {
        bound.mul_f64(f64::from(self.rng.next_u32()) / (f64::from(u32::MAX) + 1.0))
    }

    /// A number for a progress, never given before.
    pub(crate) fn next_session(&mut self) -> u64 {
        self.sessions += 1;
        self.sessions
    }

    /// A number for a forwarded read batch, never given before, nor by an earlier life of this
    /// peer as far as its seed differs (etcd#20418).
    pub(crate) fn next_read_number(&mut self) -> u64 {
        self.read_numbers += u64::from(!mutants::is_on(Mutant::ReadNumberReused));
        self.read_numbers
    }
}

fn decode(config: &Config, entry: &Entry) -> Membership {
    let membership = (config.membership_codec.decode)(entry.data.clone());
    membership.unwrap_or_else(|| panic!("configuration at {} is not one", entry.position))
}
