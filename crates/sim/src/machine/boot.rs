//! The start of a store, in the order of `kontiki-host` and the server: engine, log, interrupted
//! installs, bringing both together, and only then the first word to anyone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use kontiki_codec::store_ident::StoreIdent;
use kontiki_engine::Engine;
use kontiki_log::{Config as LogConfig, Group, Log, Record, Recovered, SimDisk, Tail};
use kontiki_multiraft::{
    Applier, Effects, EngineSyncConfig, GroupSpec, Quarantined, Round, Shard, ShardConfig,
    StateMachine, TaskSeq, restore,
};
use kontiki_raft::Restored;
use kontiki_store::{
    Background, Inline, Opened, PendingInstall, Replica, Tuning, bootstrap, heir as heirs, open,
};
use kontiki_types::{ClusterId, PeerId, Position, RegionId};

use crate::check::{Logs, ShadowLog};
use crate::cluster::{heir, peer_of};
use crate::env::Env;
use crate::marks::Mark;
use crate::mutant::Outside;
use crate::options::StoreOptions;

use super::Machine;
use super::fuse::FusedEngine;
use super::memory::Rows;
use super::running::Running;
use super::streams::Streams;
use super::writer::Writer;

/// The cluster of every run.
pub(super) const CLUSTER: ClusterId = ClusterId(77);

type Booted<T> = Result<T, String>;

impl Machine {
    /// Gets power.
    pub fn power_on(&mut self, env: &mut Env) {
        if self.running.is_some() || self.is_buried {
            return;
        }
        env.tell(format_args!("{} starts", self.id));
        match self.boot(env) {
            Ok(running) => {
                self.running = Some(Box::new(running));
                if !self.ailments.may_forget() {
                    env.on_damage_found(self.id);
                }
                let here: Vec<_> = self.notes.groups().collect();
                for group in here {
                    self.hash_group(group, env);
                }
                if self.life > 0 {
                    self.tempt_in_recovery(env);
                }
                // The first turn logs what a new group needs and plans the first deadline.
                self.turn(env);
            }
            // A write that went elsewhere is gone without a trace: it stays away.
            Err(why) if self.ailments.may_forget() => {
                env.tell(format_args!("{} is damaged: {why}", self.id));
                env.marks.hit(Mark::DamageRefused);
                self.bury();
            }
            Err(why) => self.fatal(&format!("start: {why}"), env),
        }
        self.end_work(env);
    }

    fn boot(&mut self, env: &mut Env) -> Booted<Running> {
        let mut rows = Rows::new(FusedEngine::new(self.engine_disk.open()));
        self.light_fuse_at_start(&rows.store, env);
        self.fail_start();
        let engine: Arc<dyn Engine> = Arc::clone(&rows.store) as Arc<dyn Engine>;
        let ident = StoreIdent { cluster: CLUSTER, store: self.id };
        if bootstrap::identity(&*engine).map_err(text)?.is_none() {
            let mut regions = env.cluster.regions_on(self.id);
            for region in &regions {
                self.notes.add(region.id, peer_of(region.id, self.id));
            }
            regions.retain(|region| !env.options.is_in_memory(region.id));
            bootstrap::bootstrap(&*engine, ident, &regions).map_err(text)?;
        }
        let background: Arc<dyn Background> = Arc::new(Inline);
        let tuning = tuning(&env.options.store);
        let opened = open::open(&engine, ident, &background, tuning).map_err(text)?;
        let Opened { mut replicas, descriptors, pending_installs } = opened;
        let (mut log, mut recovered) = self.recover_log(env)?;
        self.resume_installs(&mut replicas, pending_installs, env)?;
        self.load_all(&mut rows, &mut replicas, &descriptors, env).map_err(text)?;
        let mut known = recovered.groups.keys().copied();
        let mut records = self
            .settle_replicas(&mut replicas, &mut known, &mut rows, &descriptors, env)
            .map_err(text)?;
        recovered.groups.retain(|group, _| records.iter().all(|record| record.group() != *group));
        let mut groups = Vec::new();
        for replica in &replicas {
            match bring_together(replica, &mut recovered, env) {
                Ok((restored, more)) => {
                    groups.push((replica, Comes::Back(restored)));
                    records.extend(more);
                }
                Err(why) if self.ailments.is_damaged() => {
                    let heir = self.appoint(replica, &why, &*engine, env)?;
                    groups.push((replica, Comes::Anew(heir, why)));
                }
                Err(why) => return Err(why),
            }
        }
        self.log_at_start(&mut log, &records, env)?;
        self.spools.keep_only(self.saves.values().map(|saved| saved.spool));
        let shard = self.shard(groups, &rows, env);
        Ok(Running {
            shard,
            effects: Effects::default(),
            inbox: Vec::new(),
            is_turn_planned: false,
            timer_at: None,
            writer: Writer::new(log),
            applier: applier(replicas, &rows),
            tasks: VecDeque::new(),
            is_apply_planned: false,
            round: Round::default(),
            rows,
            is_engine_synced_early: false,
            descriptors,
            callers: BTreeMap::new(),
            next_token: 0,
            streams: Streams::default(),
            applied: BTreeSet::new(),
            compared: BTreeMap::new(),
            hashed_at: BTreeMap::new(),
            heard: BTreeMap::new(),
            observed: BTreeMap::new(),
            asleep: BTreeSet::new(),
            resting: BTreeSet::new(),
            turns: 0,
        })
    }

    fn recover_log(&mut self, env: &mut Env) -> Booted<(Log<SimDisk>, Recovered)> {
        let config = LogConfig {
            segment_bytes: env.options.store.segment_bytes,
            ready_segments: 1,
            keep_segments: 2,
            salt: self.rng.next_u64(),
        };
        let (log, recovered) = Log::open(self.log_disk.clone(), config).map_err(text)?;
        if !recovered.damage.is_empty() && !self.ailments.is_damaged() {
            return Err(format!("damage on a disk without faults: {:?}", recovered.damage));
        }
        if matches!(recovered.tail, Tail::Torn { .. }) {
            env.marks.hit(Mark::TornTail);
        }
        let mut found = Logs::new();
        for (&group, state) in &recovered.groups {
            let log = match state {
                Group::Whole { hard_state, snapshot, entries } => ShadowLog::new(
                    snapshot.position,
                    entries.iter().map(|entry| entry.position.term),
                    *hard_state,
                ),
                Group::Quarantined { why } if !self.ailments.is_damaged() => {
                    return Err(format!("{group} quarantined on a disk without faults: {why}"));
                }
                Group::Quarantined { .. } => continue,
            };
            found.insert(group, log);
        }
        let lost = self.notes.groups();
        let hides = recovered.may_hide_groups();
        let is_lost = |group: &RegionId| match recovered.groups.get(group) {
            Some(Group::Quarantined { .. }) => true,
            Some(Group::Whole { .. }) => false,
            None => hides,
        };
        let lost = lost.filter(is_lost).collect();
        let unsynced = env.safety.unsynced_count(self.id);
        match env.safety.on_recovered(self.id, found, &lost) {
            Ok(survived) if survived < unsynced => env.marks.hit(Mark::UnsyncedLost),
            Ok(_) => {}
            Err(violation) if self.ailments.may_forget() => return Err(violation.what),
            Err(violation) => env.fail(violation.rule, violation.what),
        }
        Ok((log, recovered))
    }

    /// What a start has to log, before the first word to anyone. The power may go in the middle.
    fn log_at_start(
        &self,
        log: &mut Log<SimDisk>,
        records: &[Record],
        env: &mut Env,
    ) -> Booted<()> {
        if records.is_empty() {
            return Ok(());
        }
        let judged = env.safety.on_task(self.id, TaskSeq(0), records);
        env.judge(judged.map(drop));
        match log.write(records) {
            Ok(stats) => env.safety.on_written(self.id, TaskSeq(0), stats.frames),
            Err(error) => {
                env.safety.on_write_failed(self.id, TaskSeq(0));
                return Err(text(error));
            }
        }
        log.sync().map_err(text)?;
        let judged = env.safety.on_synced(self.id);
        env.judge(judged);
        Ok(())
    }

    /// Installs that a crash interrupted are run again, as the host does.
    fn resume_installs(
        &mut self,
        replicas: &mut [Replica],
        pending: Vec<PendingInstall>,
        env: &mut Env,
    ) -> Booted<()> {
        for PendingInstall { region, spool, meta } in pending {
            if self.notes.peer(region).is_none() {
                continue;
            }
            env.tell(format_args!("{} installs {meta:?} again from spool {spool}", self.id));
            let replica = replicas.iter_mut().find(|replica| replica.region().id == region);
            let replica = replica.ok_or_else(|| format!("{region} is gone"))?;
            let chunks = self.spools.read(spool).map_err(text)?;
            replica.install(&meta, spool, &mut chunks.into_iter().map(Ok)).map_err(text)?;
            env.marks.hit(Mark::InstallResumed);
        }
        Ok(())
    }

    /// Names an heir for a replica that may have forgotten what it promised, as the server does.
    fn appoint(
        &mut self,
        replica: &Replica,
        why: &str,
        engine: &dyn Engine,
        env: &mut Env,
    ) -> Booted<PeerId> {
        let group = replica.id();
        let mut peer = heir(env.unique());
        if env.options.is_mutant(Outside::HeirIsOld) {
            peer = self.peer_by_name(replica);
        }
        env.tell(format_args!("{} {group} is succeeded by {peer}: {why}", self.id));
        env.marks.hit(Mark::Quarantined);
        if !env.options.is_mutant(Outside::HeirForgotten) {
            heirs::appoint(engine, group, peer).map_err(text)?;
        }
        self.notes.appoint(group, peer);
        Ok(peer)
    }

    /// Who a replica is: its newest heir, or the one that was noted.
    fn peer_by_name(&self, replica: &Replica) -> PeerId {
        let noted = || self.notes.peer(replica.id()).expect("each replica here is noted");
        replica.heir().unwrap_or_else(noted)
    }

    fn shard(&mut self, groups: Vec<(&Replica, Comes)>, rows: &Rows, env: &Env) -> Shard {
        let options = &env.options.store;
        let mut shard = Shard::new(ShardConfig {
            engine_sync: EngineSyncConfig {
                every_bytes: options.sync_engine_every_bytes,
                resting_bytes: options.sync_engine_every_bytes / 8,
                rest: options.engine_rest,
            },
            retain_bytes: options.retain_bytes,
            retain_bytes_max: options.retain_bytes_max,
            cache_bytes_all: options.cache_bytes_all,
            unapplied_bytes_all: options.unapplied_bytes_all,
            // As the library sets it.
            store_timeout: options.election_timeout * 2,
            wake_spread: env.options.habits.wake_spread,
            ..ShardConfig::default()
        });
        let now = self.clock.local(env.now);
        for (replica, comes) in groups {
            let group = replica.id();
            let peer = match comes {
                Comes::Anew(heir, _) => heir,
                Comes::Back(_) => self.peer_by_name(replica),
            };
            let raft = self.raft_config(group, peer, env);
            let restored = match comes {
                Comes::Back(restored) => restored,
                Comes::Anew(_, why) => {
                    let (store, applied) = (self.id, replica.applied());
                    let (membership, heir) = (replica.membership(), raft);
                    let replica = Quarantined { group, store, applied, membership, heir, why };
                    shard.add_quarantined(replica);
                    continue;
                }
            };
            let durability = rows.durability(group);
            shard.add_group(GroupSpec { group, raft, restored, durability }, now);
            if replica.heir().is_some() {
                shard.let_succeed(group, self.id);
            }
        }
        shard
    }
}

/// How a replica comes out of a start.
enum Comes {
    /// As it was.
    Back(Restored),
    /// As an heir, once a leader calls it; and why.
    Anew(PeerId, String),
}

/// Brings log and engine of one replica together.
fn bring_together(
    replica: &Replica,
    recovered: &mut Recovered,
    env: &mut Env,
) -> Booted<(Restored, Vec<Record>)> {
    let group = replica.region().id;
    let (mut applied, membership) = (replica.applied(), replica.membership());
    let found = recovered.take(group);
    if replica.heir().is_some() && found.is_none() {
        return Err(format!("{group} is not in the log of its heir"));
    }
    mark_distance(found.as_ref(), applied, env);
    if env.options.is_mutant(Outside::ApplyTwice) {
        applied = earlier(found.as_ref(), applied);
    }
    restore(group, found, applied, &membership).map_err(text)
}

fn applier(replicas: Vec<Replica>, rows: &Rows) -> Applier {
    let mut applier = Applier::new();
    for replica in replicas {
        applier.add(replica.id(), rows.machine(replica));
    }
    applier
}

pub(super) fn tuning(options: &StoreOptions) -> Tuning {
    Tuning {
        records_max: options.outcome_records,
        delete_chunk_rows: options.delete_chunk_rows,
        snapshot_chunk_bytes: options.snapshot_chunk_bytes,
        install_check_bytes: options.install_check_bytes,
    }
}

/// Some entries before the applied one, for the mistake of applying them again.
fn earlier(found: Option<&Group>, applied: Position) -> Position {
    let Some(Group::Whole { entries, .. }) = found else { return applied };
    let before = entries.iter().filter(|entry| entry.position.index < applied.index);
    before.rev().nth(3).map_or(applied, |entry| entry.position)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn mark_distance(found: Option<&Group>, applied: Position, env: &mut Env) {
    let Some(Group::Whole { hard_state, snapshot, entries }) = found else { return };
    let last = entries.last().map_or(snapshot.position, |entry| entry.position);
    if applied.index > last.index {
        env.marks.hit(Mark::EngineAheadOfLog);
    }
    if applied.index < last.index && hard_state.commit > applied.index {
        env.marks.hit(Mark::EngineBehindLog);
    }
}
