//! The event loop over many groups, as a plain struct.
//!
//! The driver's loop is: feed events with [`Shard::on_event`], feed time with [`Shard::on_time`],
//! drain once with [`Shard::take_effects`], execute, repeat. A turn may hold any number of events.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use kontiki_log::Record;
use kontiki_raft::{Batch, Config as RaftConfig, Node, Priority, Restored};
use kontiki_types::{Body, Message, Moment, PeerId, RegionId, StoreId};

use crate::GroupStatus;
use crate::ShardConfig;
use crate::Token;
use crate::agenda::Agenda;
use crate::cache::Cache;
use crate::effect::{ApplyTask, Effects, LogTask, Refused, TaskSeq, Unknown};
use crate::engine_sync::EngineSync;
use crate::event::Event;
use crate::group::{Durability, Group, Records, Revival};
use crate::held::Held;
use crate::offers::Offers;
use crate::quarantined::{KeptOut, Quarantined};
use crate::watch::{self, STORES, Watch};

/// Most messages for unknown groups that one turn hands to the driver.
const UNKNOWN_MAX: usize = 256;

/// What is left of a replica that was destroyed. Until all of it is done no other may come to its
/// place: after a crash, what the log still knew of it would be taken for the new one's.
#[derive(Default)]
struct Leaving {
    /// The log task that forgets it is durable.
    is_forgotten: bool,
    /// The state machine is gone.
    is_destroyed: bool,
}

/// A log task under way.
struct Pending {
    seq: TaskSeq,
    /// The groups that have a part in it.
    groups: Vec<RegionId>,
    /// The destroyed groups that it makes the log forget.
    forgets: Vec<RegionId>,
}

/// What a group is born with.
pub struct GroupSpec {
    /// Its id.
    pub group: RegionId,
    /// Settings of this replica.
    pub raft: RaftConfig,
    /// What the log and the engine gave back.
    pub restored: Restored,
    /// What makes applied entries durable, so that the log may drop them.
    pub durability: Durability,
}

/// Many Raft groups as one pure event loop.
pub struct Shard {
    config: ShardConfig,
    /// Boxed: the tree keeps half its places free, and a group is not small.
    groups: BTreeMap<RegionId, Box<Group>>,
    /// Replicas that take no part, whatever is said to them.
    quarantined: BTreeMap<RegionId, KeptOut>,
    agenda: Agenda,
    /// What all groups hold.
    held: Held,
    cache: Cache,
    /// Watches stores for the groups that sleep.
    watch: Watch,
    /// Number of the newest log task.
    task: TaskSeq,
    /// Log tasks under way, oldest first.
    tasks: VecDeque<Pending>,
    /// Questions to the log that are not answered, by their numbers in this shard; whose each is,
    /// and its number there. An answer to a replica that is gone finds none.
    fetches: BTreeMap<u64, (RegionId, u64)>,
    /// Number of the newest of them.
    tickets: u64,
    /// What one node wants; shared, because a group that is idle needs none.
    batch: Batch,
    /// Effects that came up while events were taken in.
    early: Effects,
    /// Records of compactions, births and deaths that ride on the next log task.
    records: Vec<Record>,
    /// Somebody waits for those records.
    is_birth: bool,
    /// The next log task forgets these groups.
    forgets: Vec<RegionId>,
    /// Destroyed groups of which something is left.
    leaving: BTreeMap<RegionId, Leaving>,
    engine_sync: EngineSync,
    /// Snapshots for peers that fell behind the log.
    offers: Offers,
}

impl Shard {
    /// A shard without groups.
    pub fn new(config: ShardConfig) -> Self {
        let watch = Watch::new(config.store_timeout, config.wake_spread);
        Self {
            config,
            groups: BTreeMap::new(),
            quarantined: BTreeMap::new(),
            agenda: Agenda::default(),
            held: Held::default(),
            cache: Cache::default(),
            watch,
            task: TaskSeq(0),
            tasks: VecDeque::new(),
            fetches: BTreeMap::new(),
            tickets: 0,
            batch: Batch::default(),
            early: Effects::default(),
            records: Vec::new(),
            is_birth: false,
            forgets: Vec::new(),
            leaving: BTreeMap::new(),
            engine_sync: EngineSync::default(),
            offers: Offers::default(),
        }
    }

    /// Add a group whose birth is durable: at the start of the process.
    ///
    /// # Panics
    /// When the shard has it already.
    pub fn add_group(&mut self, spec: GroupSpec, now: Moment) {
        let id = spec.group;
        let group = Group::new(id, Node::new(spec.raft, spec.restored, now), spec.durability);
        let mut group = Box::new(group);
        self.agenda.note(&mut group, &self.config);
        self.held.note(&mut group);
        let before = self.groups.insert(id, group);
        assert!(before.is_none(), "{id} is here already");
    }

    /// Add a group while others run. Its records ([`crate::restore()`] gives them) are part of the
    /// next log task: nothing that depends on them becomes durable before them. The applier must
    /// have its state machine by the time the next effects are executed.
    ///
    /// # Panics
    /// When the shard has it already, or an earlier replica is on its way out
    /// ([`Shard::is_free`]).
    pub fn join_group(&mut self, spec: GroupSpec, records: Vec<Record>, now: Moment) {
        assert!(self.is_free(spec.group), "{} is here, or leaving", spec.group);
        self.records.extend(records);
        self.add_group(spec, now);
    }

    /// No replica of this group is here, nor anything left of one.
    pub fn is_free(&self, id: RegionId) -> bool {
        let here = self.groups.contains_key(&id) || self.quarantined.contains_key(&id);
        !here && !self.leaving.contains_key(&id)
    }

    /// Destroy the replica of a group: the log forgets it, the applier finishes what it has and
    /// then destroys the state machine, whoever waits is told. False when it is not here.
    ///
    /// Only for a replica that was removed from its group, or of a group that is no more: the
    /// others may count on what it acknowledged. The driver notes first, durably, that this peer
    /// id is never to be created again ([`Unknown`]), nor any id under which it was to be
    /// succeeded.
    pub fn destroy_group(&mut self, id: RegionId) -> bool {
        if let Some(group) = self.groups.remove(&id) {
            self.agenda.forget(&group);
            self.held.forget(&group);
            group.destroy(&mut self.early);
            self.fetches.retain(|_, (asker, _)| *asker != id);
            self.watch.wake(id);
        } else if self.quarantined.remove(&id).is_none() {
            return false;
        }
        self.bury(id);
        true
    }

    /// As [`Shard::destroy_group`], of a group that is only in the log: nobody may, or wanted to,
    /// bring its replica to life.
    ///
    /// # Panics
    /// When the shard has it.
    pub fn forget_group(&mut self, id: RegionId) {
        assert!(self.is_free(id), "{id} is here, or leaving");
        self.bury(id);
    }

    fn bury(&mut self, id: RegionId) {
        self.records.push(Record::Forget { group: id });
        self.forgets.push(id);
        self.leaving.insert(id, Leaving::default());
        self.early.apply.push(ApplyTask::Destroy { group: id });
    }

    /// Keep the place of a replica whose log is damaged. It may have voted and acknowledged what it
    /// does not remember, so it says nothing: no vote, no acknowledgement, no echo of a read round.
    /// But it asks for an heir to take its place, and becomes that heir when a leader calls it
    /// ([`Effects::succeeded`]).
    ///
    /// # Panics
    /// When the shard has the group already.
    pub fn add_quarantined(&mut self, replica: Quarantined) {
        let id = replica.group;
        assert!(!self.groups.contains_key(&id), "{id} is here already");
        let kept_out = KeptOut::new(replica);
        self.agenda.plan(id, kept_out.next_deadline());
        let before = self.quarantined.insert(id, kept_out);
        assert!(before.is_none(), "{id} is quarantined already");
    }

    /// The replica of this group, added just now, is an heir of an earlier life: it asks for the
    /// place of the one before it on this store until it has a vote.
    pub fn let_succeed(&mut self, id: RegionId, store: StoreId) {
        self.with(id, |group| group.let_succeed(store));
    }

    /// Stop a replica; a leader hands over first.
    fn halt(&mut self, id: RegionId, now: Moment) {
        match self.groups.get_mut(&id) {
            Some(group) if !group.is_halted() => {
                group.halt(now);
                self.agenda.note(group, &self.config);
            }
            _ => self.early.halted.push(id),
        }
    }

    /// Stop a replica at once, without handing over.
    pub fn halt_now(&mut self, id: RegionId) {
        self.with(id, Group::halt_now);
    }

    /// Whether the replica here takes no part: it halted, and was not revived or waits for the log.
    pub fn is_halted(&self, id: RegionId) -> bool {
        self.groups.get(&id).is_some_and(|group| group.is_halted())
    }

    /// Let a halted replica take part again, as if its process had restarted: at once, or when
    /// what it has on its way to the log is durable. False when there is no halted one, or its log
    /// begins after where the new state machine stands.
    pub fn revive(&mut self, id: RegionId, revival: Revival, now: Moment) -> bool {
        let reaches = |group: &&mut Box<Group>| {
            revival.at.position.index >= group.node().start().position.index
        };
        let halted = self.groups.get_mut(&id).filter(|group| group.is_halted());
        let Some(group) = halted.filter(reaches) else { return false };
        group.revive(revival, now);
        self.agenda.note(group, &self.config);
        self.fetches.retain(|_, (asker, _)| *asker != id);
        true
    }

    /// How much a replica is wanted as leader, as the one here sees it from now on.
    pub fn set_priority(&mut self, id: RegionId, peer: PeerId, priority: Priority, now: Moment) {
        self.with(id, |group| group.set_priority(peer, priority, now));
    }

    /// Another election timeout of the replica here; see `kontiki_raft::Node`.
    pub fn set_election_timeout(&mut self, id: RegionId, timeout: Duration, now: Moment) {
        self.with(id, |group| group.set_election_timeout(timeout, now));
    }

    /// Take in one event.
    pub fn on_event(&mut self, event: Event, now: Moment) {
        match event {
            Event::Propose { group, payload, token, expected_term } => {
                let bytes_max = self.held.under_way_max(&self.config, self.groups.len());
                self.ask(group, token, |g, early| {
                    g.on_propose(payload, token, expected_term, bytes_max, early);
                });
            }
            Event::Read { group, token, mode } => {
                self.ask(group, token, |g, early| g.on_read(token, mode, now, early));
            }
            Event::Message { group: STORES, store, message } => {
                self.watch.heard(store, now);
                self.early.send.extend(watch::answer(store, &message));
            }
            Event::Message { group, store, message } => self.hear(group, store, message, now),
            Event::SnapshotArrived { group, message, spool } => {
                let mut unwanted = Some(spool);
                self.with(group, |g| unwanted = g.on_snapshot_arrived(message, spool, now));
                let unwanted = unwanted.map(|spool| ApplyTask::Discard { group, spool });
                self.early.apply.extend(unwanted);
            }
            Event::LogSynced { task } => self.on_log_synced(task, now),
            Event::Applied { group, index, bytes } => {
                self.engine_sync.on_applied(bytes, now);
                self.tell(group, |g| g.on_applied(index, bytes));
            }
            Event::Fetched { ticket, entries } => {
                if let Some((group, ticket)) = self.fetches.remove(&ticket) {
                    self.with(group, |g| g.on_fetched(ticket, entries));
                }
            }
            Event::SnapshotSent { group, to, term, session, ok } => {
                self.offers.end(group, to, (term, session));
                self.with(group, |g| g.on_snapshot_sent(to, (term, session), ok, now));
            }
            Event::SnapshotInstalled { group, meta, ok } => {
                self.with(group, |g| g.on_snapshot_installed(&meta, ok, now));
            }
            Event::Destroyed { group } => {
                self.leave(group, |leaving| leaving.is_destroyed = true);
            }
            Event::EngineSynced => self.on_engine_synced(),
            Event::Snapshotted { group, index } => {
                let (groups, config) = (self.groups.len(), &self.config);
                let found = self.groups.get_mut(&group);
                let compacted = found.and_then(|g| g.on_snapshotted(index, config, groups));
                self.records.extend(compacted);
            }
            Event::LogCrowded { groups } => self.on_log_crowded(&groups),
            Event::Halt { group } => self.halt(group, now),
            Event::Unreachable { store } => {
                // Who sleeps beside it is woken by the watch, not all at once.
                let awake = self.groups.iter().filter(|(id, group)| {
                    group.next_deadline().is_some() && !self.watch.is_asleep(**id)
                });
                for id in awake.map(|(id, _)| *id).collect::<Vec<_>>() {
                    self.with(id, |g| g.on_unreachable(store, now));
                }
            }
            Event::Transfer { group, to, token } => {
                self.ask(group, token, |g, early| g.on_transfer(to, token, now, early));
            }
            Event::Change { group, change, token } => {
                self.ask(group, token, |g, early| g.on_change(&change, token, now, early));
            }
            Event::Reset { group, membership, token } => {
                self.ask(group, token, |g, early| g.on_reset(membership, token, now, early));
            }
        }
    }

    /// Let every group whose deadline has come know the time.
    pub fn on_time(&mut self, now: Moment) {
        for id in self.watch.on_time(now, &mut self.early.send) {
            self.with(id, |g| g.wake(now));
        }
        for (at, id) in self.agenda.due(now) {
            if let Some(kept_out) = self.quarantined.get_mut(&id) {
                kept_out.on_time(now, &mut self.early.send);
                self.agenda.plan(id, kept_out.next_deadline());
            }
            let Some(group) = self.groups.get_mut(&id) else { continue };
            if self.agenda.is_visited(group, at, now) {
                group.on_time(now);
                self.agenda.note(group, &self.config);
            }
        }
    }

    /// When [`Shard::on_time`] is due, if ever.
    pub fn next_deadline(&self) -> Option<Moment> {
        let engine = self.engine_sync.next_deadline(&self.config.engine_sync);
        self.agenda.next_visit().into_iter().chain(self.watch.next_deadline()).chain(engine).min()
    }

    /// End of the turn: everything the groups want, in `effects`, which is cleared first.
    pub fn take_effects(&mut self, now: Moment, effects: &mut Effects) {
        effects.clear();
        std::mem::swap(effects, &mut self.early);
        let task = TaskSeq(self.task.0 + 1);
        let mut records = Records::default();
        records.list.append(&mut self.records);
        let is_birth = std::mem::take(&mut self.is_birth);
        let mut dirty = self.agenda.take_dirty();
        for id in dirty.drain(..) {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            if !group.noted.take_dirty() {
                continue;
            }
            group.drain(task, now, &self.config, &mut self.batch, &mut records, effects);
            self.held.note(group);
            if group.is_asleep() != group.is_watched {
                group.is_watched = group.is_asleep();
                self.watch.wake(id);
                if group.is_watched {
                    self.watch.sleep(id, group.sleeps_beside(), now);
                }
            }
            self.agenda.plan_visit(group);
        }
        self.agenda.reuse(dirty);
        self.offers.turn(&mut self.groups, effects);
        self.cache.hold(self.config.cache_bytes_all, &mut self.held, &mut self.groups);
        for (group, fetch) in &mut effects.fetch {
            self.tickets += 1;
            self.fetches.insert(self.tickets, (*group, fetch.ticket));
            fetch.ticket = self.tickets;
        }
        if records.used || !records.list.is_empty() {
            self.task = task;
            let forgets = std::mem::take(&mut self.forgets);
            let is_awaited = is_birth || !forgets.is_empty();
            let groups = std::mem::take(&mut records.groups);
            self.tasks.push_back(Pending { seq: task, groups, forgets });
            effects.log = Some(LogTask {
                seq: task,
                lazy: !records.must_sync && records.gated.is_empty() && !is_awaited,
                records: records.list,
                gated: records.gated,
            });
        }
        self.ask_engine_sync(now, effects);
    }

    /// Snapshots that were asked for and not wanted any more when their turn came, so far.
    pub fn snapshots_passed_over(&self) -> u64 {
        self.offers.passed_over()
    }

    /// How one group stands.
    pub fn status(&self, group: RegionId) -> Option<GroupStatus> {
        let kept_out = || self.quarantined.get(&group).map(KeptOut::status);
        self.groups.get(&group).map(|group| group.status()).or_else(kept_out)
    }

    /// Everything there is to say about one group at `now`, on several lines, for people.
    pub fn report(&self, group: RegionId, now: Moment) -> Option<String> {
        let kept_out = || self.quarantined.get(&group).map(KeptOut::describe);
        self.groups.get(&group).map(|group| group.report(now)).or_else(kept_out)
    }

    /// How all groups stand: those that take part, then those that do not, each in order of id.
    pub fn statuses(&self) -> impl Iterator<Item = GroupStatus> + '_ {
        let kept_out = self.quarantined.values().map(KeptOut::status);
        self.groups.values().map(|group| group.status()).chain(kept_out)
    }

    /// The Raft node of a group, for checks in tests and simulation.
    pub fn node(&self, group: RegionId) -> Option<&Node> {
        self.groups.get(&group).map(|group| group.node())
    }

    /// All Raft nodes, in order of group.
    pub fn nodes(&self) -> impl Iterator<Item = (RegionId, &Node)> + '_ {
        self.groups.iter().map(|(id, group)| (*id, group.node()))
    }

    /// What all groups hold as it was counted, and as it is.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (Held, Held) {
        let sum = |of: fn(&Held) -> usize| self.groups.values().map(|g| of(&g.held())).sum();
        (self.held, Held { cached: sum(|held| held.cached), under_way: sum(|held| held.under_way) })
    }

    /// The groups that took something in since the last [`Shard::take_effects`], in order of id,
    /// for checks in simulation.
    pub fn touched(&self) -> BTreeSet<RegionId> {
        self.agenda.touched()
    }

    fn with(&mut self, id: RegionId, input: impl FnOnce(&mut Group)) {
        // A late report for a group that was destroyed: nobody waits for it.
        if let Some(group) = self.groups.get_mut(&id) {
            input(group);
            self.agenda.note(group, &self.config);
        }
    }

    /// As [`Self::with`], for reports that seldom make anything due: `input` says whether this did.
    fn tell(&mut self, id: RegionId, input: impl FnOnce(&mut Group) -> bool) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let is_due = input(group);
        self.held.note(group);
        if is_due {
            self.agenda.note(group, &self.config);
        } else {
            self.agenda.touch(group);
        }
    }

    /// The driver decides; beyond the bound the sender learns by silence, as with any lost message.
    fn on_unknown(&mut self, unknown: Unknown) {
        let id = &unknown.group;
        let kept_out = self.quarantined.get(id);
        let is_known = self.leaving.contains_key(id)
            || kept_out.is_some_and(|kept_out| !kept_out.is_passed_over(&unknown.message));
        if !is_known && self.early.unknown.len() < UNKNOWN_MAX {
            self.early.unknown.push(unknown);
        }
    }

    fn hear(&mut self, id: RegionId, store: StoreId, message: Message, now: Moment) {
        self.watch.heard(store, now);
        if matches!(message.body, Body::Snapshot { .. }) {
            // It comes with all its chunks, never alone.
            return;
        }
        self.call_heir(id, &message);
        let Some(group) = self.groups.get_mut(&id) else {
            return self.on_unknown(Unknown { group: id, store, message });
        };
        group.on_message(store, message, now);
        self.agenda.note(group, &self.config);
    }

    /// A leader may call the heir of a quarantined replica. It repeats itself until the heir's
    /// birth is durable.
    fn call_heir(&mut self, id: RegionId, message: &Message) {
        let Some(kept_out) = self.quarantined.get_mut(&id) else { return };
        if kept_out.is_called(message) {
            let task = TaskSeq(self.task.0 + 1);
            self.records.splice(0..0, kept_out.begin_birth(task));
            self.is_birth = true;
        }
    }

    /// The births up to this task are durable: the heirs live.
    fn bear_heirs(&mut self, task: TaskSeq, now: Moment) {
        let is_born = |(_, kept_out): &(&RegionId, &KeptOut)| kept_out.is_born(task);
        let born = self.quarantined.iter().filter(is_born).map(|(&id, _)| id).collect::<Vec<_>>();
        for id in born {
            let Some(kept_out) = self.quarantined.remove(&id) else { continue };
            let (node, asking) = kept_out.into_heir(now);
            let mut group = Box::new(Group::heir(id, node, asking));
            self.agenda.note(&mut group, &self.config);
            self.groups.insert(id, group);
            self.early.succeeded.push(id);
        }
    }

    /// A caller wants something of a group.
    fn ask(&mut self, id: RegionId, token: Token, input: impl FnOnce(&mut Group, &mut Effects)) {
        match self.groups.get_mut(&id) {
            Some(group) if group.is_halting() => {
                self.early.refused.push((token, Refused::Halted));
            }
            Some(group) => {
                input(group, &mut self.early);
                self.held.note(group);
                self.agenda.note(group, &self.config);
            }
            None => {
                let kept_out = self.quarantined.contains_key(&id);
                let refused = if kept_out { Refused::Quarantined } else { Refused::NoGroup };
                self.early.refused.push((token, refused));
            }
        }
    }

    fn on_log_synced(&mut self, task: TaskSeq, now: Moment) {
        assert!(task <= self.task, "{task:?} synced, newest is {:?}", self.task);
        while let Some(done) = self.tasks.pop_front_if(|oldest| oldest.seq <= task) {
            for id in done.groups {
                self.tell(id, |g| g.on_log_synced(task, now));
            }
            for id in done.forgets {
                self.leave(id, |leaving| leaving.is_forgotten = true);
            }
        }
        self.bear_heirs(task, now);
    }

    fn leave(&mut self, id: RegionId, note: impl FnOnce(&mut Leaving)) {
        let Entry::Occupied(mut leaving) = self.leaving.entry(id) else { return };
        note(leaving.get_mut());
        if leaving.get().is_destroyed && leaving.get().is_forgotten {
            leaving.remove();
        }
    }

    fn on_engine_synced(&mut self) {
        self.engine_sync.on_synced();
        let groups = self.groups.len();
        for group in self.groups.values_mut() {
            self.records.extend(group.on_engine_synced(&self.config, groups));
        }
    }

    /// Of a group that is not here nothing is known that could go: the log moves it by itself.
    fn on_log_crowded(&mut self, groups: &[RegionId]) {
        for &id in groups {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            let (compacted, unsaved) = group.on_log_crowded(&self.config);
            self.records.extend(compacted);
            match unsaved {
                Some(Durability::Engine) => self.engine_sync.hurry(),
                Some(Durability::Snapshots) => self.early.apply.push(ApplyTask::Save { group: id }),
                None => {}
            }
        }
    }

    fn ask_engine_sync(&mut self, now: Moment, effects: &mut Effects) {
        if self.engine_sync.begin(&self.config.engine_sync, now) {
            effects.sync_engine = true;
            for group in self.groups.values_mut() {
                group.on_engine_sync_asked();
            }
        }
    }
}
