//! Leads: appends what is proposed, replicates it, commits it, confirms reads (Raft §5.3, §5.4).
//!
//! Everything it sends leaves at once, because its ballot was durable before it could win; it
//! counts itself toward a commit only for entries that are durable here, like any follower.
//! Leaves by a newer term, by losing touch with a quorum for an election timeout, or by losing its
//! vote in a change of membership ([`crate::membership::change`]).

use bytes::Bytes;
use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{
    AppendOutcome, Body, Entry, EntryKind, Index, Message, Moment, PeerId, Position, ReadMode,
};

use super::Transition;
use crate::election;
use crate::hibernate::{self, Quiet};
use crate::limits::SNAPSHOT_PATIENCE_TIMEOUTS;
use crate::membership::change::{self, Changing};
use crate::quorum::{Tally, joint};
use crate::read::lease::Lease;
use crate::read::rounds::{Reader, Rounds};
use crate::replication::flow;
use crate::replication::progress::{Effect, Mode, Progress};
use crate::shared::Shared;
use crate::transfer::{self, Handover, Transfer};
use crate::{Notice, ProposeError, ReadError, TransferOutcome};

/// See the module.
#[derive(Debug)]
pub(crate) struct Leader {
    /// The first entry of this term; reads wait until it is committed.
    pub(crate) noop: Index,
    /// The other peers, in order of id: members, and whoever else is fed while that changes.
    pub(crate) followers: Vec<Progress>,
    pub(crate) changing: Changing,
    pub(crate) reads: Rounds,
    pub(crate) lease: Lease,
    pub(crate) quiet: Quiet,
    pub(crate) transfer: Option<Transfer>,
    pub(crate) heartbeat_at: Moment,
    pub(crate) quorum_check_at: Moment,
    /// When idle followers are told what is committed, if that is still news to them by then.
    pub(crate) tell_commit_at: Option<Moment>,
    /// The latest moment this role was told.
    pub(crate) now: Moment,
}

/// The election is won: append an entry of this term, or nothing older could ever commit (Raft
/// §5.4.2, §8).
pub(crate) fn enter(shared: &mut Shared, now: Moment) -> Leader {
    assert!(shared.durability.is_ballot_durable(), "a leader's messages leave at once");
    assert_eq!(shared.vote(), Some(shared.config.id), "it voted for another");
    let (term, last) = (shared.term(), shared.log.last().index);
    // What an operator forced becomes part of the log again.
    let noop = match shared.memberships.forced() {
        None => append(shared, EntryKind::Empty, Bytes::new()).index,
        Some(forced) => {
            let data = (shared.config.membership_codec.encode)(forced);
            append(shared, EntryKind::Config, data).index
        }
    };
    shared.outbox.notify(Notice::LeaderStart { term, index: noop });
    let mut leader = Leader {
        noop,
        followers: Vec::new(),
        changing: Changing::default(),
        reads: Rounds::default(),
        lease: Lease::default(),
        quiet: Quiet::default(),
        transfer: None,
        heartbeat_at: now + shared.config.heartbeat_interval,
        quorum_check_at: now + shared.config.election_timeout,
        tell_commit_at: None,
        now,
    };
    change::feed(shared, &mut leader, last);
    leader
}

pub(crate) fn append(shared: &mut Shared, kind: EntryKind, data: Bytes) -> Position {
    let position = Position::new(shared.term(), shared.log.last().index.next());
    shared.append([Entry { position, kind, data }]);
    position
}

impl Leader {
    // ---- inputs ----

    /// Append an entry; it leaves with the end of the round.
    pub(crate) fn propose(
        &mut self,
        shared: &mut Shared,
        data: Bytes,
    ) -> Result<Position, ProposeError> {
        if self.transfer.is_some() {
            return Err(ProposeError::Transferring);
        }
        let uncommitted =
            shared.log.bytes_between(shared.applying.commit(), shared.log.last().index);
        let cost = data.len() + Entry::OVERHEAD_BYTES;
        // One entry is always admitted, however large, or a small bound would stop the group.
        if uncommitted > 0 && uncommitted + cost as u64 > shared.config.uncommitted_bytes_max as u64
        {
            return Err(ProposeError::Busy);
        }
        Ok(append(shared, EntryKind::Normal, data))
    }

    /// Confirm a read: by the lease if it wants that and there is one, else by a round.
    pub(crate) fn read(
        &mut self,
        shared: &mut Shared,
        reader: Reader,
        mode: ReadMode,
        now: Moment,
    ) -> Result<(), ReadError> {
        self.now = self.now.max(now);
        if mode == ReadMode::Lease {
            self.lease.want(now);
            if self.holds_lease(shared, now) {
                reader.answer(shared, shared.applying.commit());
                return Ok(());
            }
        }
        self.reads.push(shared, reader)
    }

    /// Something is durable here: perhaps more is committed.
    pub(crate) fn on_persisted(&mut self, shared: &mut Shared) -> Transition {
        self.advance_commit(shared);
        change::advance(shared, self)
    }

    pub(crate) fn on_unreachable(&mut self, peer: PeerId) {
        if let Some(progress) = self.progress(peer) {
            progress.on_unreachable();
        }
    }

    pub(crate) fn on_snapshot_sent(&mut self, to: PeerId, session: u64, ok: bool, now: Moment) {
        if let Some(progress) = self.progress(to).filter(|p| p.session == session) {
            progress.on_snapshot_sent(ok, now);
        }
    }

    /// Entries for a follower came back from the disk; of use if it still waits for them.
    pub(crate) fn on_fetched(
        &mut self,
        peer: PeerId,
        session: u64,
        after: Index,
        entries: Vec<Entry>,
    ) {
        let progress = self.progress(peer).filter(|p| p.session == session);
        if let Some(progress) = progress.filter(|progress| progress.next == after.next()) {
            progress.fetched = entries;
        }
    }

    // ---- outputs ----

    /// End of a round: send what is due to everyone.
    pub(crate) fn flush(&mut self, shared: &mut Shared) {
        let began = self.begin_round(shared);
        let round = self.reads.newest();
        for progress in &mut self.followers {
            flow::send_appends(shared, progress, round);
        }
        self.tell_commit(shared, round);
        if began && !self.is_carried(shared, round) {
            for progress in &mut self.followers {
                if progress.carried < round && shared.membership().is_voter(progress.peer) {
                    flow::send_heartbeat(shared, progress, round);
                }
            }
        }
    }

    /// When `on_time` is due.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        if self.quiet.is_asleep() {
            return None;
        }
        let transfer = self.transfer.map(|transfer| transfer.deadline);
        let own = [self.heartbeat_at, self.quorum_check_at];
        let sometimes = [transfer, self.tell_commit_at, self.changing.next_deadline()];
        own.into_iter().chain(sometimes.into_iter().flatten()).min()
    }

    /// Give back memory kept for the next time.
    pub(crate) fn shrink(&mut self) {
        for progress in &mut self.followers {
            progress.inflight.shrink();
        }
    }

    /// The reign ends: whoever waits is told.
    pub(crate) fn leave(&mut self, shared: &mut Shared) {
        self.reads.fail_all(shared);
        self.changing.leave(shared);
        shared.outbox.drop_snapshots_wanted();
        if let Some(Transfer { to, deadline }) = self.transfer.take() {
            shared.handover = Some(Handover { to, deadline });
        }
        shared.outbox.notify(Notice::LeaderStop { term: shared.term() });
    }

    /// The least index matched by a follower that is alive and continues from the log.
    pub(crate) fn lowest_live_match(&self, shared: &Shared) -> Option<Index> {
        let timeout = shared.config.election_timeout;
        let alive = |p: &&Progress| self.now.since(p.heard) < timeout;
        let continues = |p: &&Progress| !matches!(p.mode, Mode::Snapshot { .. });
        self.followers.iter().filter(alive).filter(continues).map(|p| p.matched).min()
    }

    // ---- inside ----

    pub(crate) fn progress(&mut self, peer: PeerId) -> Option<&mut Progress> {
        let at = self.followers.binary_search_by_key(&peer, |progress| progress.peer).ok()?;
        self.followers.get_mut(at)
    }

    pub(crate) fn find(&self, peer: PeerId) -> Option<&Progress> {
        let at = self.followers.binary_search_by_key(&peer, |progress| progress.peer).ok()?;
        self.followers.get(at)
    }

    /// Commit what a quorum holds durably: only an entry of this term may be counted, it takes the
    /// older ones with it (Raft §5.4.2, figure 8).
    fn advance_commit(&mut self, shared: &mut Shared) {
        let (id, mut durable) = (shared.config.id, shared.log.durable());
        if mutants::is_on(Mutant::CommitUnsynced) {
            durable = shared.log.last().index;
        }
        let matched = |peer: PeerId| {
            if peer == id { durable } else { self.find(peer).map_or(Index(0), |p| p.matched) }
        };
        let Some(index) = joint::reached(shared.membership(), matched) else { return };
        if shared.log.term(index) == Some(shared.term()) || mutants::is_on(Mutant::CommitOldTerm) {
            shared.commit_to(index);
        }
    }

    /// Confirm the rounds that a quorum echoed. This peer echoes every round at once.
    fn confirm_rounds(&mut self, shared: &mut Shared) {
        let (id, newest) = (shared.config.id, self.reads.newest());
        let echoed = |peer: PeerId| {
            let alone = peer == id || mutants::is_on(Mutant::ReadAlone);
            if alone { newest } else { self.find(peer).map_or(0, |p| p.echoed) }
        };
        if let Some(round) = joint::reached(shared.membership(), echoed) {
            let too_many = u64::from(mutants::is_on(Mutant::ReadRoundOff));
            self.reads.confirm(shared, newest.min(round + too_many));
        }
    }

    /// Nobody else can have been elected by `now`, and the commit index is not behind what an
    /// earlier leader answered (etcd#7331, tikv#9208).
    pub(crate) fn holds_lease(&self, shared: &Shared, now: Moment) -> bool {
        let id = shared.config.id;
        let sent = |peer: PeerId| {
            if peer == id { Some(now) } else { self.find(peer).and_then(|p| p.echoed_sent) }
        };
        let quorum_sent = joint::reached(shared.membership(), sent).flatten();
        shared.applying.commit() >= self.noop && self.lease.holds(quorum_sent, &shared.config, now)
    }

    /// Begin a round if readers wait and something may carry it: appends that leave anyway, or
    /// heartbeats of its own. True when one began.
    fn begin_round(&mut self, shared: &mut Shared) -> bool {
        // Before that, the commit index may lie behind what an earlier leader answered.
        let early = shared.applying.commit() < self.noop && !mutants::is_on(Mutant::ReadBeforeNoop);
        if !self.reads.is_wanted() || early {
            return false;
        }
        let last = shared.log.last().index;
        if !self.reads.has_room() && !self.followers.iter().any(|p| flow::is_due(p, last)) {
            return false;
        }
        self.reads.begin(shared.applying.commit());
        self.lease.on_round(self.reads.newest(), &shared.config, self.now);
        // A lone voter needs nobody's word.
        self.confirm_rounds(shared);
        true
    }

    /// Tell idle followers what is committed, once they have waited long enough for an append that
    /// would say it.
    fn tell_commit(&mut self, shared: &mut Shared, round: u64) {
        let delay = shared.config.commit_notice_delay;
        let at = self.tell_commit_at.unwrap_or(self.now + delay);
        self.tell_commit_at = None;
        for progress in &mut self.followers {
            if !flow::owes_commit(shared, progress) {
                continue;
            }
            if at <= self.now {
                flow::send_heartbeat(shared, progress, round);
            } else {
                self.tell_commit_at = Some(at);
            }
        }
    }

    /// True when enough messages carry the round for a quorum to echo it.
    fn is_carried(&self, shared: &Shared, round: u64) -> bool {
        let id = shared.config.id;
        let carries =
            |peer| Some(peer == id || self.find(peer).is_some_and(|p| p.carried == round));
        joint::tally(shared.membership(), carries) == Tally::Won
    }

    /// Tell the target of a transfer to campaign, once it has everything.
    pub(crate) fn hand_over(&mut self, shared: &mut Shared) {
        let Some(Transfer { to, .. }) = self.transfer else { return };
        let last = shared.log.last().index;
        if self.find(to).is_some_and(|progress| progress.matched == last) {
            self.lease.give_up();
            shared.send(to, Body::TimeoutNow);
        }
    }
}

/// A message of this term arrived, or a pre-vote for a newer one.
pub(crate) fn step(
    shared: &mut Shared,
    leader: &mut Leader,
    message: &Message,
    now: Moment,
) -> Transition {
    leader.now = leader.now.max(now);
    let from = message.from;
    match message.body {
        // A follower took entries, or could not.
        Body::AppendReply { session, outcome, round } => {
            if leader.on_reply(from, session, round, now) {
                on_outcome(shared, leader, from, outcome, now);
                leader.confirm_rounds(shared);
                return change::advance(shared, leader);
            }
        }
        // A follower lives; if it stands still, something was lost.
        Body::HeartbeatReply { session, round } => {
            if leader.on_reply(from, session, round, now) {
                let last = shared.log.last().index;
                if let Some(progress) = leader.progress(from) {
                    progress.on_heartbeat_answered(last);
                }
                leader.confirm_rounds(shared);
                return change::advance(shared, leader);
            }
        }
        // A follower's readers want to know how far they must wait.
        Body::ReadIndex { id, mode } => {
            // They can be served only once their state machine has come so far.
            leader.tell_commit_at = Some(leader.now);
            let reader = Reader::Remote { peer: from, number: id };
            if leader.read(shared, reader, mode, now).is_err() {
                shared.send(from, Body::ReadIndexReply { id, index: None });
            }
        }
        Body::Succeed { store } => return change::succeed(shared, leader, from, store, now),
        // The target of the transfer will not campaign: take up work again at once.
        Body::TimeoutNowRefused => {
            if leader.transfer.is_some_and(|transfer| transfer.to == from) {
                transfer::end(shared, leader, TransferOutcome::Refused);
            }
        }
        Body::PreVote { last } => {
            election::answer_pre_vote(shared, from, message.term, last, true);
        }
        // A rival that lost this term's election.
        Body::Vote { last, .. } => {
            let granted = election::answer_vote(shared, from, last, true);
            assert!(!granted, "{} leads and voted for {from}", shared.config.id);
        }
        // Only the one leader of a term sends these, and that is us: judged before.
        Body::Append { .. }
        | Body::Heartbeat { .. }
        | Body::Sleep { .. }
        | Body::Snapshot { .. } => {
            panic!("{from} leads {} too", message.term)
        }
        // Answers to an earlier role, or meant for followers.
        Body::PreVoteReply { .. }
        | Body::VoteReply { .. }
        | Body::ReadIndexReply { .. }
        | Body::TimeoutNow
        | Body::Removed { .. } => {}
    }
    Transition::Stay
}

impl Leader {
    /// A sign of life of this session. False when the reply is of another one: then it says
    /// nothing about the follower as it is now.
    fn on_reply(&mut self, from: PeerId, session: u64, round: u64, now: Moment) -> bool {
        let (newest, sent) = (self.reads.newest(), self.lease.sent(round));
        let Some(progress) = self.progress(from).filter(|p| p.session == session) else {
            return false;
        };
        assert!(round <= newest, "{from} echoes round {round}, the newest is {newest}");
        progress.heard = progress.heard.max(now);
        progress.echoed = progress.echoed.max(round);
        progress.echoed_sent = progress.echoed_sent.max(sent);
        true
    }
}

fn on_outcome(
    shared: &mut Shared,
    leader: &mut Leader,
    from: PeerId,
    outcome: AppendOutcome,
    now: Moment,
) {
    let patience = shared.config.election_timeout * SNAPSHOT_PATIENCE_TIMEOUTS;
    let Some(progress) = leader.progress(from) else { return };
    let effect = match outcome {
        AppendOutcome::Accepted { matched } => progress.on_accepted(matched, &shared.log),
        AppendOutcome::Rejected { prev, hint } => {
            progress.on_rejected(prev, hint, &shared.log, now - patience)
        }
    };
    match effect {
        Effect::None => {}
        Effect::NeedsSnapshot => flow::want_snapshot(shared, progress),
        Effect::Matched => {
            leader.advance_commit(shared);
            if leader.transfer.is_some_and(|transfer| transfer.to == from) {
                leader.hand_over(shared);
            }
        }
    }
}

/// A deadline passed.
pub(crate) fn on_time(shared: &mut Shared, leader: &mut Leader, now: Moment) -> Transition {
    leader.now = leader.now.max(now);
    if leader.quiet.is_asleep() {
        return Transition::Stay;
    }
    if leader.transfer.is_some_and(|transfer| transfer.deadline <= now) {
        transfer::end(shared, leader, TransferOutcome::TimedOut);
    }
    change::on_time(shared, leader, now);
    if leader.quorum_check_at <= now && !check_quorum(shared, leader, now) {
        return Transition::Follow { term: shared.term(), leader: None, why: "a quorum is silent" };
    }
    if leader.heartbeat_at <= now && !hibernate::falls_asleep(shared, leader, now) {
        beat(shared, leader, now);
    }
    Transition::Stay
}

/// Tell everyone who leads.
pub(crate) fn beat(shared: &mut Shared, leader: &mut Leader, now: Moment) {
    leader.now = leader.now.max(now);
    leader.heartbeat_at = now + shared.config.heartbeat_interval;
    if leader.lease.is_wanted(&shared.config, now) {
        leader.reads.begin_empty();
        leader.lease.on_round(leader.reads.newest(), &shared.config, now);
    }
    let round = leader.reads.newest();
    for progress in &mut leader.followers {
        flow::send_heartbeat(shared, progress, round);
        progress.quiet = true;
    }
    leader.hand_over(shared);
}

/// A leader that a quorum did not speak to for an election timeout steps **down**: only refusing
/// proposals would keep its followers from electing another (openraft#2080). Sets the next check.
fn check_quorum(shared: &Shared, leader: &mut Leader, now: Moment) -> bool {
    let id = shared.config.id;
    let heard = |peer: PeerId| {
        if peer == id { now } else { leader.find(peer).map_or(Moment::ZERO, |p| p.heard) }
    };
    let since = joint::reached(shared.membership(), heard).unwrap_or(Moment::ZERO);
    leader.quorum_check_at = since + shared.config.election_timeout;
    now < leader.quorum_check_at
}
