//! The start of a store, in the order of `kontiki-host` and the server: engine, log, interrupted
//! installs, bringing both together, and only then the first word to anyone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kontiki_codec::store_ident::StoreIdent;
use kontiki_engine::Engine;
use kontiki_log::{Config as LogConfig, Group, Log, Recovered, SimDisk, Tail};
use kontiki_multiraft::{
    Applier, Durability, Effects, GroupSpec, Round, Shard, ShardConfig, StateMachine,
    membership_codec, restore,
};
use kontiki_raft::{Config as RaftConfig, Restored};
use kontiki_store::{Background, Inline, Opened, PendingInstall, Replica, Tuning, bootstrap, open};
use kontiki_types::{ClusterId, Index, Peer, PeerId, PeerRole, Position, StoreId};

use crate::check::ShadowLog;
use crate::env::Env;
use crate::limits::STORE_COUNT;
use crate::marks::Mark;
use crate::mutant::Mutant;
use crate::options::StoreOptions;

use super::fuse::FusedEngine;
use super::running::Running;
use super::streams::Streams;
use super::writer::Writer;
use super::{Machine, REGION};

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
                if self.life > 0 {
                    self.tempt_in_recovery(env);
                }
                // The first turn logs what a new group needs and plans the first deadline.
                self.turn(env);
            }
            Err(why) => self.fatal(&format!("start: {why}"), env),
        }
        self.end_work(env);
    }

    fn boot(&mut self, env: &mut Env) -> Booted<Running> {
        let sim_engine = Arc::new(FusedEngine::new(self.engine_disk.open()));
        self.light_fuse_at_start(&sim_engine, env);
        let engine: Arc<dyn Engine> = Arc::clone(&sim_engine) as Arc<dyn Engine>;
        let ident = StoreIdent { cluster: CLUSTER, store: self.id };
        if bootstrap::identity(&*engine).map_err(text)?.is_none() {
            let region = bootstrap::first_region(peers());
            bootstrap::bootstrap(&*engine, ident, &[region]).map_err(text)?;
        }
        let background: Arc<dyn Background> = Arc::new(Inline);
        let tuning = tuning(&env.options.store);
        let opened = open::open(&engine, ident, &background, tuning).map_err(text)?;
        let Opened { replicas, descriptors, pending_installs } = opened;
        let mut replica = replicas.into_iter().next().ok_or("the region is gone")?;
        let (mut log, mut recovered) = self.recover_log(env)?;
        self.resume_install(&mut replica, pending_installs, env)?;

        let (mut applied, membership) = (replica.applied(), replica.membership());
        let found = recovered.groups.remove(&REGION);
        mark_distance(found.as_ref(), applied, env);
        if env.options.is_mutant(Mutant::ApplyTwice) {
            applied = earlier(found.as_ref(), applied);
        }
        let (restored, records) =
            restore(REGION, found, applied, &membership).map_err(|error| error.to_string())?;
        if !records.is_empty() {
            log.write(&records).map_err(text)?;
            log.sync().map_err(text)?;
            let judged = env.safety.on_start_records(self.id, &records);
            env.judge(judged);
        }
        self.spools.clear();
        let shard = self.shard(restored, env);
        let mut applier = Applier::new();
        applier.add(REGION, Box::new(replica));
        Ok(Running {
            shard,
            effects: Effects::default(),
            inbox: Vec::new(),
            is_turn_planned: false,
            timer_at: None,
            writer: Writer::new(log),
            applier,
            tasks: VecDeque::new(),
            is_apply_planned: false,
            round: Round::default(),
            engine: sim_engine,
            is_engine_synced_early: false,
            descriptors,
            callers: BTreeMap::new(),
            next_token: 0,
            streams: Streams::default(),
            hashed_at: Index(0),
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
        if !recovered.damage.is_empty() {
            return Err(format!("damage on a disk without faults: {:?}", recovered.damage));
        }
        if matches!(recovered.tail, Tail::Torn { .. }) {
            env.marks.hit(Mark::TornTail);
        }
        let found = match recovered.groups.get(&REGION) {
            None => ShadowLog::default(),
            Some(Group::Whole { hard_state, snapshot, entries }) => ShadowLog::new(
                snapshot.position,
                entries.iter().map(|entry| entry.position.term),
                *hard_state,
            ),
            Some(Group::Quarantined { why }) => return Err(format!("quarantined: {why}")),
        };
        let unsynced = env.safety.shadow(self.id).written_count();
        match env.safety.on_recovered(self.id, found) {
            Ok(survived) if survived < unsynced => env.marks.hit(Mark::UnsyncedLost),
            Ok(_) => {}
            Err(violation) => env.fail(violation.rule, violation.what),
        }
        Ok((log, recovered))
    }

    /// An install that a crash interrupted is run again, as the host does.
    fn resume_install(
        &mut self,
        replica: &mut Replica,
        pending: Vec<PendingInstall>,
        env: &mut Env,
    ) -> Booted<()> {
        for PendingInstall { spool, meta, .. } in pending {
            env.tell(format_args!("{} installs {meta:?} again from spool {spool}", self.id));
            let chunks = self.spools.read(spool).map_err(text)?;
            replica.install(&meta, spool, &mut chunks.into_iter().map(Ok)).map_err(text)?;
            env.marks.hit(Mark::InstallResumed);
        }
        Ok(())
    }

    fn shard(&mut self, restored: Restored, env: &Env) -> Shard {
        let options = &env.options.store;
        let mut shard = Shard::new(ShardConfig {
            sync_engine_every_bytes: options.sync_engine_every_bytes,
            retain_bytes: options.retain_bytes,
            retain_bytes_max: options.retain_bytes_max,
            ..ShardConfig::default()
        });
        let mut raft = RaftConfig::new(self.peer(), self.rng.next_u64(), membership_codec());
        raft.election_timeout = options.election_timeout;
        raft.heartbeat_interval = options.election_timeout / 10;
        raft.inflight_messages_max = options.inflight_messages;
        raft.append_bytes_max = options.append_bytes;
        let now = self.clock.local(env.now);
        let durability = Durability::Engine;
        shard.add_group(GroupSpec { group: REGION, raft, restored, durability }, now);
        shard
    }
}

/// The bootstrap membership: a voter on each store.
fn peers() -> Vec<Peer> {
    (1..=STORE_COUNT as u64)
        .map(|n| Peer { id: PeerId(n), store: StoreId(n), role: PeerRole::Voter })
        .collect()
}

fn tuning(options: &StoreOptions) -> Tuning {
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
