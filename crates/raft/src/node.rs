//! The face of one Raft group.
//!
//! Method grammar: inputs are `step`, `propose`, `read`, `transfer`, `change`, `reset_peers`,
//! `campaign`, `compact` and `on_*`; outputs are `take` and `next_deadline`; the rest are getters.
//! Inputs never block and never call out; after each round of them the driver calls `take` once and
//! executes what it gets. Everything of substance is in the roles; here is only who is asked.

use std::time::Duration;

use bytes::Bytes;
use kontiki_types::{
    Body, Entry, Index, Membership, MembershipChange, Message, Moment, Peer, PeerId, Position,
    ReadMode, SnapshotMeta, Term,
};

use crate::fetch::{self, Purpose};
use crate::membership::{change, reset};
use crate::priority::Patience;
use crate::read::rounds::Reader;
use crate::replication::progress::Progress;
use crate::roles::follower::Follower;
use crate::roles::{Role, Transition};
use crate::shared::Shared;
use crate::{
    Batch, Cause, ChangeError, Config, Contradiction, Notice, PeerProgress, Priority, ProposeError,
    ReadError, ReadId, ResetError, Restored, RoleKind, Seq, TransferError,
};
use crate::{contradiction, describe, election, hibernate, install, transfer};

/// One replica of one group.
#[derive(Debug)]
pub struct Node {
    pub(crate) shared: Shared,
    pub(crate) role: Role,
}

impl Node {
    /// A follower that continues from what the disk gave back.
    ///
    /// # Panics
    /// When what is restored contradicts itself: entries that are not consecutive, a commit or
    /// applied index beyond the log, an entry of a term that the hard state does not know.
    pub fn new(config: Config, restored: Restored, now: Moment) -> Self {
        let mut shared = Shared::restore(config, restored);
        let role = Role::Follower(Follower::at_start(&mut shared, now));
        Self { shared, role }
    }

    /// What comes after this replica in the same process, as if it had restarted: its state machine
    /// stands at `at`, the start of this log, one of its entries, or a snapshot beyond it.
    ///
    /// # Panics
    /// When something is still on its way to the disk: the successor could not know; when `at` is
    /// before the log: what is between would never be applied.
    #[must_use]
    pub fn successor(&self, config: Config, at: &SnapshotMeta, now: Moment) -> Self {
        let mut shared = self.shared.successor(config, at);
        let role = Role::Follower(Follower::at_start(&mut shared, now));
        Self { shared, role }
    }

    // ---- inputs ----

    /// What this message says that cannot be, if every replica keeps what it promised: it must not
    /// be handed over then, and this replica not go on.
    pub fn contradiction(&self, message: &Message) -> Option<Contradiction> {
        contradiction::find(&self.shared, &self.role, message)
    }

    /// A message arrived, in which there is no [`Node::contradiction`].
    ///
    /// # Panics
    /// On the contradictions that would be acted upon: a second leader of the term, a commit beyond
    /// the end of the log. What an append says of committed entries is not compared here.
    pub fn step(&mut self, message: Message, now: Moment) {
        hibernate::on_message(&mut self.shared, &mut self.role, &message, now);
        self.role.step(&mut self.shared, message, now);
    }

    /// Append an entry. Its position is its promise: it committed iff an entry of this very
    /// position is applied.
    ///
    /// # Errors
    /// When this peer does not lead, or not in the expected term, is handing leadership over, or
    /// has too much uncommitted. Nothing was appended then.
    pub fn propose(
        &mut self,
        data: Bytes,
        expected_term: Option<Term>,
        now: Moment,
    ) -> Result<Position, ProposeError> {
        self.wake(now);
        let Role::Leader(leader) = &mut self.role else {
            return Err(ProposeError::NotLeader { leader: self.role.leader(&self.shared) });
        };
        let current = self.shared.term();
        if expected_term.is_some_and(|expected| expected != current) {
            return Err(ProposeError::TermMismatch { current });
        }
        leader.propose(&mut self.shared, data, now)
    }

    /// Ask for the index a linearizable read must wait for; answered in [`Batch::reads`] or
    /// [`Batch::reads_failed`]. A follower asks its leader. For a read by lease `now` must have
    /// been taken after the caller asked, or a pause in between could hide a new leader.
    ///
    /// # Errors
    /// When no leader is known, or too many reads wait.
    pub fn read(&mut self, id: ReadId, mode: ReadMode, now: Moment) -> Result<(), ReadError> {
        self.wake(now);
        match &mut self.role {
            Role::Leader(leader) => leader.read(&mut self.shared, Reader::Local(id), mode, now),
            Role::Follower(follower) if follower.leader().is_some() => {
                follower.reads.push(&self.shared, id, mode, now)
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                Err(ReadError::NotLeader)
            }
        }
    }

    /// This peer stops: the reads that it has not confirmed, for whoever waits for them here.
    pub fn give_up_reads(&mut self) -> Vec<ReadId> {
        match &mut self.role {
            Role::Leader(leader) => leader.reads.fail_all(&mut self.shared),
            Role::Follower(follower) => self.shared.outbox.fail_reads(follower.reads.drain()),
            Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
        self.shared.outbox.take_failed_reads()
    }

    /// Hand leadership to this peer, or to whoever can take over soonest; ends with
    /// [`Notice::TransferEnded`] within two election timeouts, whatever happens. As long as this
    /// peer leads proposals are refused, for one at most. A transfer to another target supersedes
    /// the one under way.
    ///
    /// # Errors
    /// When this peer does not lead, or the target cannot take over. Nothing changed then.
    pub fn transfer(&mut self, to: Option<PeerId>, now: Moment) -> Result<(), TransferError> {
        self.wake(now);
        match &mut self.role {
            Role::Leader(leader) => transfer::begin(&mut self.shared, leader, to, now),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                Err(TransferError::NotLeader { leader: self.role.leader(&self.shared) })
            }
        }
    }

    /// Change who belongs to the group: any steps at once, all or none. New voters first catch up;
    /// what moves more than one vote goes through a joint configuration, which is left by itself.
    /// [`Notice::ChangeStage`] tells how far it is, [`Notice::ChangeEnded`] how it ended.
    ///
    /// # Errors
    /// When this peer does not lead or is not ready, or the change is none. Nothing changed then.
    pub fn change(&mut self, change: &MembershipChange, now: Moment) -> Result<(), ChangeError> {
        self.wake(now);
        let Role::Leader(leader) = &mut self.role else {
            return Err(ChangeError::NotLeader { leader: self.role.leader(&self.shared) });
        };
        let transition = change::begin(&mut self.shared, leader, change, now)?;
        self.role.change(&mut self.shared, transition, now);
        Ok(())
    }

    /// The majority is lost for good: from now on this membership is in effect here, in the next
    /// term and whatever the log says. Tell every survivor the same; they then elect a leader, who
    /// makes it durable. Until then a restart forgets it.
    ///
    /// **May lose data**: entries that only the lost peers held are gone although they were
    /// acknowledged; and should the others live after all, there are two groups of one name.
    ///
    /// # Errors
    /// When this peer could not bring that membership about. Nothing changed then.
    pub fn reset_peers(&mut self, membership: Membership, now: Moment) -> Result<(), ResetError> {
        let Self { shared, role } = self;
        reset::judge(shared, &membership)?;
        let term = shared.term().next();
        let why = Cause::PeersReset;
        role.change(shared, Transition::Follow { term, leader: None, why }, now);
        reset::force(shared, membership);
        Ok(())
    }

    /// Lead no more, in favour of whoever can take over soonest. Without effect unless leading.
    pub fn step_down(&mut self, now: Moment) {
        let Role::Leader(leader) = &self.role else { return };
        if let Some(successor) = transfer::successor(&self.shared, leader, now) {
            self.shared.send(successor, Body::TimeoutNow);
        }
        let term = self.shared.term();
        let why = Cause::SteppedDown;
        let transition = Transition::Follow { term, leader: None, why };
        self.role.change(&mut self.shared, transition, now);
    }

    /// How much a peer is wanted as leader, from now on. A leader leads on whatever it is; a
    /// candidate that is to lead never stops.
    pub fn set_priority(&mut self, peer: PeerId, priority: Priority, now: Moment) {
        self.shared.config.priorities.insert(peer, priority);
        self.shared.patience = Patience::default();
        if let Role::Follower(follower) = &mut self.role {
            follower.rearm(&mut self.shared, now);
        } else if self.role.kind() != RoleKind::Leader && !election::may_campaign(&self.shared) {
            let (term, why) = (self.shared.term(), Cause::NeverLeads);
            let transition = Transition::Follow { term, leader: None, why };
            self.role.change(&mut self.shared, transition, now);
        }
    }

    /// Another shortest election timeout from now on, and in proportion another heartbeat interval.
    /// Tell every peer of the group: reads by lease trust in a timeout that is the same on all, so
    /// none may be asked for between the first and the last that is told. What is beyond the bounds
    /// of [`crate::limits`] is taken for the bound.
    pub fn set_election_timeout(&mut self, timeout: Duration, now: Moment) {
        self.shared.config.set_election_timeout(timeout);
        match &mut self.role {
            Role::Follower(follower) => follower.rearm(&mut self.shared, now),
            Role::Leader(leader) => leader.rearm(&self.shared, now),
            // They hold another election soon enough.
            Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
    }

    /// Do not wait for the deadline: ask for an election now. Others still refuse while they hear
    /// a leader. Without effect on a leader, on a peer that hears one (its own vote is as much
    /// promised to the leader as anybody's), and on a peer that may not stand.
    pub fn campaign(&mut self, now: Moment) {
        let bound = self.role.hears_leader(&self.shared, now);
        if !bound && election::may_campaign(&self.shared) {
            self.role.change(&mut self.shared, Transition::PreCampaign, now);
        }
    }

    /// Time passed; call at or after [`Node::next_deadline`], any time will do.
    pub fn on_time(&mut self, now: Moment) {
        self.role.on_time(&mut self.shared, now);
    }

    /// This store operation, and all before it, are durable.
    ///
    /// # Panics
    /// When the operation was never handed out.
    pub fn on_persisted(&mut self, seq: Seq, now: Moment) {
        self.shared.durability.on_persisted(seq, &mut self.shared.log);
        let transition = match &mut self.role {
            Role::Follower(_) | Role::PreCandidate(_) => Transition::Stay,
            Role::Candidate(role) => role.tally(&self.shared),
            Role::Leader(leader) => leader.on_persisted(&mut self.shared),
        };
        self.role.change(&mut self.shared, transition, now);
    }

    /// As [`Node::on_persisted`], for a peer that takes no part any more: that does not elect it,
    /// nor commit anything, for nobody would carry out what follows.
    ///
    /// # Panics
    /// When that operation was never handed out.
    pub fn on_persisted_at_rest(&mut self, seq: Seq) {
        self.shared.durability.on_persisted(seq, &mut self.shared.log);
    }

    /// The state machine holds everything up to here.
    ///
    /// # Panics
    /// When the entry was never handed out.
    pub fn on_applied(&mut self, index: Index) {
        self.shared.applying.on_applied(index);
    }

    /// The log answered a [`crate::Fetch`]; nothing: it does not hold the entries any more, or not
    /// all of them. What is still needed is asked for again with the next round.
    ///
    /// # Panics
    /// When it was not asked.
    pub fn on_fetched(&mut self, ticket: u64, entries: Option<Vec<Entry>>) {
        fetch::on_fetched(&mut self.shared, &mut self.role, ticket, entries);
    }

    /// The stream of a wanted snapshot ended; `ok`: the receiver has all of it, the
    /// `Snapshot` message included.
    pub fn on_snapshot_sent(&mut self, to: PeerId, session: u64, ok: bool, now: Moment) {
        if let Role::Leader(leader) = &mut self.role {
            leader.on_snapshot_sent(to, session, ok, now);
        }
    }

    /// The install asked for by [`Notice::SnapshotInstall`] ended. `ok`: the state machine durably
    /// stands at the snapshot; otherwise it must be exactly as it was before (a driver that cannot
    /// promise that must stop the peer).
    ///
    /// # Panics
    /// When this install was not asked for.
    pub fn on_snapshot_installed(&mut self, meta: &SnapshotMeta, ok: bool, _now: Moment) {
        install::on_installed(&mut self.shared, &mut self.role, meta, ok);
    }

    /// The transport lost its way to this peer: what was on its way may be lost. If this peer
    /// sleeps and relies on that one, it wakes; if it follows that one, it succeeds it sooner than
    /// one of which it merely hears nothing.
    pub fn on_unreachable(&mut self, peer: PeerId, now: Moment) {
        let slept = self.sleeps_beside().contains(&peer);
        if slept {
            self.wake(now);
        }
        match &mut self.role {
            Role::Leader(leader) => leader.on_unreachable(peer),
            Role::Follower(follower) if !slept => follower.on_unreachable(&mut self.shared, peer),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
    }

    /// If this peer sleeps, it does no more: somebody it relies on may be gone, or there is work.
    pub fn wake(&mut self, now: Moment) {
        hibernate::wake(&mut self.shared, &mut self.role, now);
    }

    /// Drop the log up to and including `to`, or what of that is applied and durable. Returns the
    /// new start of the log if it moved. The caller makes it durable, at its leisure.
    pub fn compact(&mut self, to: Index) -> Option<Position> {
        self.shared.compact(to)
    }

    /// Let go of the data of the oldest durable entries until no more than this is in memory, or
    /// the rest is about to be sent or handed out: others need the room. Without effect where
    /// nothing could be fetched again.
    pub fn evict(&mut self, bytes_max: usize) {
        if self.shared.log.cached_bytes() > bytes_max as u64 {
            let through = self.needed_soon_after();
            self.shared.evict_through(through, bytes_max);
        }
    }

    /// The same, whatever is about to happen.
    pub fn evict_even_needed(&mut self, bytes_max: usize) {
        self.shared.evict(bytes_max);
    }

    /// The entries after this are about to be handed out, or to be sent to a follower that takes
    /// them as they come: to read them back from the disk would cost more than their room. Whoever
    /// is behind what left memory reads from the disk anyway, and holds back nothing.
    fn needed_soon_after(&self) -> Index {
        let Shared { log, applying, .. } = &self.shared;
        let unsent = match &self.role {
            Role::Leader(leader) => leader.unsent_after(&self.shared),
            _ => None,
        };
        let places = unsent.into_iter().chain([applying.handed_out()]);
        places.filter(|after| *after >= log.evicted()).min().unwrap_or(log.last().index)
    }

    /// Nothing will happen for a while: give back memory kept for the next time, and the data of
    /// entries that are durable.
    pub fn shrink(&mut self) {
        self.shared.shrink();
        if let Role::Leader(leader) = &mut self.role {
            leader.shrink();
        }
    }

    // ---- outputs ----

    /// Something is to be done, or planned: [`Node::take`] must be called at the end of the round.
    /// Else it need not be: with many groups, an acknowledgement that changes nothing but a number
    /// shall cost no more than that.
    pub fn has_output(&self) -> bool {
        let shared = &self.shared;
        let speaks = match &self.role {
            Role::Leader(leader) => leader.wants_flush(shared),
            Role::Follower(follower) => follower.wants_flush(),
            Role::PreCandidate(_) | Role::Candidate(_) => false,
        };
        speaks
            || shared.durability.wants_build(&shared.log)
            || self.wants_apply()
            || !shared.outbox.is_empty()
    }

    /// Entries may be handed out, or a snapshot installed, once the state machine is ready for it.
    pub fn wants_apply(&self) -> bool {
        self.shared.applying.wants_round(&self.shared.log)
    }

    /// Move what is to be done into the batch; call after each round of inputs that led to output.
    ///
    /// # Panics
    /// When the batch still holds a store operation.
    pub fn take(&mut self, batch: &mut Batch) {
        let shared = &mut self.shared;
        assert!(batch.store.is_none(), "the operation of an earlier round was not executed");
        match &mut self.role {
            Role::Leader(leader) => leader.flush(shared),
            Role::Follower(follower) => follower.flush(shared),
            Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
        if let Some(meta) = shared.applying.start_install() {
            shared.outbox.notify(Notice::SnapshotInstall(meta));
        }
        let hard_state = shared.hard_state();
        batch.store = shared.durability.build(&mut shared.log, hard_state);
        let bytes_max = shared.config.options.apply_bytes_max;
        shared.applying.hand_out(&shared.log, bytes_max, &mut batch.apply);
        if let Some((after, to, room)) = shared.applying.wants(&shared.log, bytes_max) {
            fetch::ask(shared, Purpose::Apply, after, to, room);
        }
        shared.outbox.drain_into(batch);
        let Config { cache_bytes_max, ref options, .. } = self.shared.config;
        let uncommitted_bytes_max = options.uncommitted_bytes_max;
        self.evict(cache_bytes_max);
        self.evict_even_needed(cache_bytes_max.max(uncommitted_bytes_max));
    }

    /// When `on_time` wants to be called.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.role.next_deadline(&self.shared)
    }

    // ---- getters ----

    /// This peer.
    pub fn id(&self) -> PeerId {
        self.shared.config.id
    }

    /// Shortest time without a leader before this peer campaigns.
    pub fn election_timeout(&self) -> Duration {
        self.shared.config.election_timeout
    }

    /// Current term.
    pub fn term(&self) -> Term {
        self.shared.term()
    }

    /// Who got this peer's vote in the current term.
    pub fn vote(&self) -> Option<PeerId> {
        self.shared.vote()
    }

    /// Current role.
    pub fn role(&self) -> RoleKind {
        self.role.kind()
    }

    /// Current role in words: `leader`, `follower`, …
    pub fn role_name(&self) -> &'static str {
        self.role().name()
    }

    /// Who leads, if known.
    pub fn leader(&self) -> Option<PeerId> {
        self.role.leader(&self.shared)
    }

    /// Everything up to here is committed.
    pub fn commit(&self) -> Index {
        self.shared.applying.commit()
    }

    /// The state machine reported everything up to here.
    pub fn applied(&self) -> Index {
        self.shared.applying.applied()
    }

    /// Index of the first entry the log holds (or will hold).
    pub fn first_index(&self) -> Index {
        self.shared.log.start().index.next()
    }

    /// Position of the last entry.
    pub fn last_position(&self) -> Position {
        self.shared.log.last()
    }

    /// Everything up to here is durable on this peer.
    pub fn durable(&self) -> Index {
        self.shared.log.durable()
    }

    /// The membership in effect: that of the newest configuration entry, committed or not.
    pub fn membership(&self) -> &Membership {
        self.shared.membership()
    }

    /// The membership as of this index, if the log still knows: what a snapshot at this index
    /// must carry (matrixone#23281).
    pub fn membership_at(&self, index: Index) -> Option<&Membership> {
        self.shared.memberships.at(index)
    }

    /// Whoever this peer may have something to say to: a member, one that was (as far back as the
    /// log goes), or one that is to become one.
    pub fn peer(&self, id: PeerId) -> Option<Peer> {
        let reign = self.role.reign().into_iter();
        let mut newcomers = reign.flat_map(|leader| leader.changing.newcomers());
        let newcomer = newcomers.find(|peer| peer.id == id).copied();
        newcomer.or_else(|| self.shared.memberships.peer(id))
    }

    /// True once this peer knows that it was removed: see [`Notice::Removed`].
    pub fn is_removed(&self) -> bool {
        self.shared.removed
    }

    /// Where the log starts, with the membership as of there.
    pub fn start(&self) -> SnapshotMeta {
        let position = self.shared.log.start();
        let membership = self.shared.memberships.at(position.index);
        let membership = membership.expect("the stack's base stands at the start").clone();
        SnapshotMeta { position, membership }
    }

    /// Whose death this peer, asleep, would not notice: tell it by [`Node::on_unreachable`] or
    /// [`Node::wake`]. Empty while awake.
    pub fn sleeps_beside(&self) -> Vec<PeerId> {
        hibernate::sleeps_beside(&self.shared, &self.role)
    }

    /// This peer sleeps: nothing happened for long, and it has no deadline.
    pub fn is_asleep(&self) -> bool {
        match &self.role {
            Role::Leader(leader) => leader.quiet.is_asleep(),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                self.shared.is_asleep()
            }
        }
    }

    /// A snapshot has arrived, and is not installed yet.
    pub fn is_installing(&self) -> bool {
        self.shared.applying.install.is_some()
    }

    /// The snapshot of this offer will be installed; for now entries may still be applied.
    pub fn will_install(&self, offer: &Body) -> bool {
        let Body::Snapshot { meta, .. } = offer else { return false };
        let install = self.shared.applying.install.as_ref();
        install.is_some_and(|install| install.meta == *meta && !install.started)
    }

    /// Bytes of the whole log, entry overheads included, whether its data is in memory or not.
    pub fn log_bytes(&self) -> usize {
        usize::try_from(self.shared.log.bytes()).unwrap_or(usize::MAX)
    }

    /// Bytes of entries whose data is in memory, entry overheads included.
    pub fn cached_bytes(&self) -> usize {
        usize::try_from(self.shared.log.cached_bytes()).unwrap_or(usize::MAX)
    }

    /// How far each follower is, in order of peer; empty unless leading.
    pub fn progress(&self) -> Vec<PeerProgress> {
        let followers = self.role.reign().into_iter().flat_map(|leader| &leader.followers);
        followers.map(Progress::status).collect()
    }

    /// How far this follower is; nothing unless leading.
    pub fn progress_of(&self, peer: PeerId) -> Option<PeerProgress> {
        self.role.reign()?.find(peer).map(Progress::status)
    }

    /// A snapshot that this leader asked for in this session is being opened: it stands at `at` or
    /// later, and what comes after it will be needed.
    pub fn on_snapshot_opened(&mut self, to: PeerId, session: u64, at: Index) {
        if let Role::Leader(leader) = &mut self.role
            && let Some(progress) = leader.progress(to).filter(|p| p.session == session)
        {
            progress.on_snapshot_opened(at);
        }
    }

    /// Whether this leader waits for a snapshot to be sent to a peer: one that it asked for in this
    /// session ([`Notice::SnapshotWanted`]), and whose end was not reported.
    pub fn wants_snapshot(&self, to: PeerId, session: u64) -> bool {
        let progress = self.role.reign().and_then(|leader| leader.find(to));
        progress.is_some_and(|progress| progress.session == session && progress.awaits_sending())
    }

    /// After which entry the log is needed by followers heard of within an election timeout, by the
    /// one that is to take over, and once a snapshot on its way is installed: to compact beyond it
    /// would cost a snapshot, or another one. Nothing unless leading.
    pub fn log_needed_after(&self) -> Option<Index> {
        self.role.reign()?.needed_after(&self.shared)
    }

    /// The last entry that may go when so many bytes of log, at least, are to stay for followers
    /// that come back from a short absence.
    pub fn log_after_keeping(&self, bytes: usize) -> Index {
        self.shared.log.after_keeping(bytes)
    }

    /// One line for status and logs.
    pub fn describe(&self) -> String {
        describe::node(self)
    }

    /// Everything there is to say about it at `now`, on several lines, for people.
    pub fn report(&self, now: Moment) -> String {
        describe::report(self, now)
    }
}
