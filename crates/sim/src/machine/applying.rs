//! The apply worker and the background engine sync.

use std::time::Duration;

use bytes::Bytes;
use kontiki_codec::payloads;
use kontiki_engine::Engine;
use kontiki_multiraft::{ApplyTask, Committed, CommittedKind, Error, Event, Payloads, Round};
use kontiki_raft::{ChangeFailure, Notice, TransferOutcome};
use kontiki_types::{RegionId, SnapshotMeta, StoreId};

use crate::env::{Env, Work};
use crate::limits::HASH_EVERY_ENTRIES;
use crate::marks::Mark;
use crate::mutant::Outside;
use crate::network::exponential;
use crate::violation::Rule;

use super::Machine;
use super::reply::is_blank;

impl Machine {
    /// Hands tasks to the apply worker.
    pub(super) fn queue_apply(&mut self, tasks: Vec<ApplyTask>, env: &mut Env) {
        let running = self.running();
        running.tasks.extend(tasks);
        if !running.is_apply_planned {
            running.is_apply_planned = true;
            let time = exponential(&mut self.rng, env.options.store.apply_mean);
            self.plan(time, Work::Apply, env);
        }
    }

    /// The apply worker gets to what waits.
    pub(super) fn apply(&mut self, env: &mut Env) {
        self.running().is_apply_planned = false;
        while !self.running().tasks.is_empty() {
            let running = self.running();
            let mut round = std::mem::take(&mut running.round);
            let applied = running.applier.run(&mut running.tasks, &mut round);
            if let Err(error) = applied {
                self.running().tasks.clear();
                return self.fatal(&format!("apply: {error}"), env);
            }
            self.finish_round(round, env);
        }
        self.hash_rows(env);
        self.save_what_is_due(env);
    }

    fn finish_round(&mut self, mut round: Round, env: &mut Env) {
        for (token, reply) in round.replies.drain(..) {
            self.on_reply(token, reply, env);
        }
        for token in std::mem::take(&mut round.reads) {
            self.serve_read(token, env);
        }
        for snapshot in std::mem::take(&mut round.snapshots) {
            self.send_saved(snapshot, env);
        }
        for token in std::mem::take(&mut round.refused) {
            self.disappoint(token, env);
        }
        for spool in std::mem::take(&mut round.discards) {
            env.marks.hit(Mark::SnapshotUnwanted);
            self.spools.remove(spool);
        }
        for (group, meta, spool) in std::mem::take(&mut round.installs) {
            if !self.install(group, meta, spool, &mut round, env) {
                // Nothing of this round may be believed; what is left dies with the process.
                self.running().tasks.clear();
                return;
            }
        }
        let events = std::mem::take(&mut round.events);
        if events.iter().any(|event| matches!(event, Event::Halt { .. })) {
            env.marks.hit(Mark::MachineFailed);
        }
        let applied = events.iter().filter_map(|event| match event {
            Event::Applied { group, .. } | Event::SnapshotInstalled { group, .. } => Some(*group),
            _ => None,
        });
        self.running().applied.extend(applied);
        self.tell_shard(events, env);
        self.running().round = round;
    }

    /// False when the machine cannot go on.
    fn install(
        &mut self,
        group: RegionId,
        meta: SnapshotMeta,
        spool: u64,
        round: &mut Round,
        env: &mut Env,
    ) -> bool {
        env.tell(format_args!("{} installs {meta:?} from spool {spool}", self.id));
        if self.running().rows.memories.contains_key(&group) {
            let installed = self.install_saved(group, meta, spool, round, env);
            assert!(installed.is_ok(), "{}: {group} is in memory: {installed:?}", self.id);
            return true;
        }
        // If a crash cuts it off, the rows must not be taken for what they were.
        self.hash_group(group, env);
        let is_cut = self.rng.chance(env.options.faults.temptation * 5) && !env.is_healed;
        let (whole, mut chunks) = (self.chunks(spool), self.chunks(spool));
        let is_read = whole.iter().chain(&chunks).all(Result::is_ok);
        if !is_read {
            env.marks.hit(Mark::SpoolUnreadable);
        }
        if is_cut && !chunks.is_empty() {
            chunks.truncate(self.rng.index(chunks.len()));
            let cut = std::io::Error::other("the power went");
            chunks.push(Err(Error::Storage(Box::new(cut))));
        }
        let running = self.running();
        let is_whole = running.applier.check_snapshot(group, &meta, &mut whole.into_iter(), round);
        let is_whole = is_whole.is_ok_and(|is_whole| is_whole);
        if !is_whole && !is_read {
            self.spools.remove(spool);
            return true;
        }
        assert!(is_whole, "its chunks were checked on arrival");
        let result = running.applier.install(group, meta, spool, &mut chunks.into_iter(), round);
        match result {
            Ok(()) => {
                let is_installed = round
                    .events
                    .iter()
                    .any(|event| matches!(event, Event::SnapshotInstalled { ok: true, .. }));
                let is_here = self.notes.peer(group).is_some();
                if is_installed {
                    env.marks.hit(Mark::SnapshotInstalled);
                } else if is_here && is_read {
                    // Its chunks were checked when they arrived.
                    env.fail(Rule::NoError, format!("{}: whole snapshot refused", self.id));
                }
                self.spools.remove(spool);
                self.tempt(Duration::from_millis(2), env);
                true
            }
            Err(error) => {
                if is_cut {
                    env.marks.hit(Mark::InstallCrashed);
                    self.is_fused = true;
                }
                self.fatal(&format!("install: {error}"), env);
                false
            }
        }
    }

    fn chunks(&self, spool: u64) -> Vec<Result<Bytes, Error>> {
        match self.spools.read(spool) {
            Ok(chunks) => chunks.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        }
    }

    /// What the engine holds is made durable some time later. The earliest moment a sync may cover
    /// is the asking, the latest its end: each is tried half of the time.
    pub(super) fn begin_engine_sync(&mut self, env: &mut Env) {
        let is_early = self.rng.chance(500);
        self.running().is_engine_synced_early = is_early;
        if is_early {
            self.sync_engine(env);
        }
        let time = self.disk_time(env.options.store.engine_sync_mean);
        self.plan(time, Work::EngineSync, env);
    }

    /// The engine sync is done.
    pub(super) fn on_engine_sync(&mut self, env: &mut Env) {
        if !self.running().is_engine_synced_early {
            self.sync_engine(env);
        }
        if !self.has_failed {
            self.tell_shard([Event::EngineSynced], env);
        }
    }

    fn sync_engine(&mut self, env: &mut Env) {
        if env.options.is_mutant(Outside::EngineSyncLies) {
            return;
        }
        if let Err(error) = self.running().rows.store.sync() {
            self.fatal(&format!("engine sync: {error}"), env);
        }
    }

    /// Replicas that stop at the same index must hold the same.
    fn hash_rows(&mut self, env: &mut Env) {
        // A store that could not go on stopped anywhere, perhaps in the middle of an install.
        if self.has_failed {
            return;
        }
        let id = self.id;
        for group in std::mem::take(&mut self.running().applied) {
            let running = self.running();
            let Some(cell) = running.descriptors.get(group) else { continue };
            let compared = running.compared.entry(group).or_default();
            let fresh = cell.state_hashes().into_iter().filter(|state| state.applied > *compared);
            let fresh: Vec<_> = fresh.collect();
            *compared = fresh.last().map_or(*compared, |state| state.applied);
            for state in fresh {
                let judged = env.safety.on_state_hash(id, group, state.applied, state.hash);
                env.judge(judged);
            }
            let applied = cell.applied();
            if applied.0.is_multiple_of(HASH_EVERY_ENTRIES)
                && running.hashed_at.insert(group, applied) != Some(applied)
            {
                self.hash_group(group, env);
            }
        }
    }

    /// Compares the rows of a group with those of others, and of this store before, at this index.
    pub(super) fn hash_group(&mut self, group: RegionId, env: &mut Env) {
        let id = self.id;
        // While rows are replaced they are of no applied position: after a crash in a range delete
        // the worker serves refusals before it goes on with the delete.
        let cell = self.running().descriptors.get(group).filter(|cell| !is_blank(cell));
        if cell.is_none_or(|cell| cell.is_replacing()) {
            return;
        }
        if let Some((index, hash)) = self.state(group) {
            env.trace.mix(hash);
            let judged = env.safety.on_hash(id, group, index, hash);
            env.judge(judged);
        }
    }

    /// The mistake of a worker that loses the last payload of an entry now and then.
    pub(super) fn spoil_apply(&mut self, entries: &mut [Committed], env: &Env) {
        if !env.options.is_mutant(Outside::ApplySkips) || self.id != StoreId(1) {
            return;
        }
        for entry in entries {
            if let CommittedKind::Normal(payloads) = &mut entry.kind
                && self.rng.chance(20)
            {
                *payloads = without_last(payloads);
            }
        }
    }

    /// What callbacks would be told.
    pub(super) fn on_notice(&mut self, group: RegionId, notice: &Notice, env: &mut Env) {
        env.tell(format_args!("{} notes {notice:?} of {group}", self.id));
        match notice {
            Notice::TransferEnded { outcome: TransferOutcome::Done, .. } => {
                env.marks.hit(Mark::TransferDone);
            }
            Notice::ChangeEnded(Err(ChangeFailure::WouldStall { .. })) => {
                env.marks.hit(Mark::ChangeWouldStall);
            }
            Notice::ChangeEnded(Err(_)) => env.marks.hit(Mark::ChangeFailed),
            Notice::Removed => self.on_removed(group, env),
            _ => {}
        }
    }
}

fn without_last(payloads: &Payloads) -> Payloads {
    let kept = payloads.iter().count().saturating_sub(1);
    let mut data = payloads::Builder::default();
    payloads.iter().take(kept).for_each(|payload| data.push(payload.data));
    let tokens = payloads.tokens().iter().take(kept).copied().collect();
    Payloads::new(data.finish(), tokens)
}
