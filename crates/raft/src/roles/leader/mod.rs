//! Leads: appends what is proposed, replicates it, commits it, confirms reads (Raft §5.3, §5.4).
//!
//! Everything it sends leaves at once, because its ballot was durable before it could win; it
//! counts itself toward a commit only for entries that are durable here, like any follower.
//! Leaves by a newer term, by losing touch with a quorum for an election timeout, or by losing its
//! vote in a change of membership ([`crate::membership::change`]).
//!
//! Here is what it owns and what callers ask of it; [`step()`] takes in messages, `confirm` counts
//! quorums, `clock` is what time brings.

mod clock;
mod confirm;
mod step;

use bytes::Bytes;
use kontiki_types::{Body, Entry, EntryKind, Index, Moment, PeerId, Position, ReadMode};

use crate::hibernate::Quiet;
use crate::membership::change::{self, Changing};
use crate::read::lease::Lease;
use crate::read::rounds::{Reader, Rounds};
use crate::replication::flow;
use crate::replication::progress::{Mode, Progress};
use crate::roles::Transition;
use crate::shared::Shared;
use crate::transfer::{Handover, Transfer};
use crate::{Cause, Notice, ProposeError, ReadError};

pub(crate) use clock::{beat, on_time};
pub(crate) use step::step;

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
        now: Moment,
    ) -> Result<Position, ProposeError> {
        self.now = self.now.max(now);
        if self.transfer.is_some() {
            return Err(ProposeError::Transferring);
        }
        let uncommitted =
            shared.log.bytes_between(shared.applying.commit(), shared.log.last().index);
        let cost = data.len() + Entry::OVERHEAD_BYTES;
        // One entry is always admitted, however large, or a small bound would stop the group.
        if uncommitted > 0
            && uncommitted + cost as u64 > shared.config.options.uncommitted_bytes_max as u64
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
        if self.advance_commit(shared) {
            self.hand_over(shared);
        }
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

    /// [`Leader::flush`] would say something, or plan to.
    pub(crate) fn wants_flush(&self, shared: &Shared) -> bool {
        let last = shared.log.last().index;
        let due = |p: &Progress| p.nudge || flow::is_due(p, last);
        let planned = |at: Moment| at <= self.now;
        let unplanned =
            || self.followers.iter().any(|progress| flow::owes_commit(shared, progress));
        self.followers.iter().any(due)
            || self.tell_commit_at.map_or_else(unplanned, planned)
            || self.may_begin_round(shared)
    }

    /// End of a round: send what is due to everyone.
    pub(crate) fn flush(&mut self, shared: &mut Shared) {
        let began = self.begin_round(shared);
        let round = self.reads.newest();
        for progress in &mut self.followers {
            if flow::send_appends(shared, progress, round) {
                progress.fed = self.now;
            }
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
        let (beat, check) = (Some(self.heartbeat_at), Some(self.quorum_check_at));
        let deadlines = [beat, check, transfer, self.tell_commit_at, self.changing.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// The timeouts are others: what was due by the old ones is due by the new ones.
    pub(crate) fn rearm(&mut self, shared: &Shared, now: Moment) {
        self.heartbeat_at = self.heartbeat_at.min(now + shared.config.heartbeat_interval);
        self.quorum_check_at = now + shared.config.election_timeout;
    }

    /// Give back memory kept for the next time.
    pub(crate) fn shrink(&mut self) {
        for progress in &mut self.followers {
            progress.inflight.shrink();
        }
    }

    /// The reign ends: whoever waits is told.
    pub(crate) fn leave(&mut self, shared: &mut Shared, mut why: Cause) {
        self.reads.fail_all(shared);
        self.changing.leave(shared);
        shared.outbox.drop_snapshots_wanted();
        if let Some(Transfer { to, deadline }) = self.transfer.take() {
            shared.handover = Some(Handover { to, deadline });
            why = Cause::HandedOver;
        }
        shared.outbox.notify(Notice::LeaderStop { term: shared.term(), why });
    }

    /// After which entry the log is needed by a follower that is alive, or is to take over: what it
    /// was sent or will be sent continues from there.
    pub(crate) fn needed_after(&self, shared: &Shared) -> Option<Index> {
        let timeout = shared.config.election_timeout;
        let needs = |p: &&Progress| {
            self.now.since(p.heard) < timeout || self.transfer.is_some_and(|t| t.to == p.peer)
        };
        self.followers.iter().filter(needs).map(Progress::continues_after).min()
    }

    /// The entries after this are in memory, and yet to be sent to a follower that is alive and
    /// takes them as they come.
    pub(crate) fn unsent_after(&self, shared: &Shared) -> Option<Index> {
        let timeout = shared.config.election_timeout;
        let alive = |p: &&Progress| p.mode == Mode::Replicate && self.now.since(p.heard) < timeout;
        let unsent = self.followers.iter().filter(alive).map(|progress| progress.next.prev());
        unsent.filter(|after| *after >= shared.log.evicted()).min()
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

    /// Tell the target of a transfer to campaign, once it has everything, and everything is
    /// committed: whoever waits for it here then hears the outcome, and not that it is unknown.
    pub(crate) fn hand_over(&mut self, shared: &mut Shared) {
        let Some(Transfer { to, .. }) = self.transfer else { return };
        let last = shared.log.last().index;
        let is_over = shared.applying.commit() == last;
        if is_over && self.find(to).is_some_and(|progress| progress.matched == last) {
            self.lease.give_up();
            shared.send(to, Body::TimeoutNow);
        }
    }
}
