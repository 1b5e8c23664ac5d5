//! Snapshots that a store keeps of its groups in memory: when they are made, what they are for.
//!
//! One is made once enough was applied, or when the log needs the room. It counts as soon as it is
//! durable and noted, not before: only then the log below it may go. One that arrives from another
//! store becomes the newest before the state machine sees it. A follower that needs one is sent
//! the newest.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use kontiki_multiraft::{Error, Event, OpenSnapshot, Round, SnapshotSource};
use kontiki_types::{RegionId, SnapshotMeta};

use crate::env::{Env, Work};
use crate::fault::{Fault, before_calm};
use crate::marks::Mark;
use crate::mutant::Outside;

use super::Machine;
use super::reply::is_blank;
use super::spool::SpoolWriter;

/// Installs during which the replica is shut down, where replicas are, per mille.
const SHUT_DOWN_IN_INSTALL: u64 = 100;

/// A snapshot on disk; to note one takes effect durably, at once.
pub(super) struct Saved {
    pub(super) meta: SnapshotMeta,
    pub(super) spool: u64,
}

/// One that is being written.
pub(super) struct Saving {
    number: u64,
    meta: SnapshotMeta,
    writer: SpoolWriter,
}

/// One that is sent.
struct Stored {
    meta: SnapshotMeta,
    chunks: VecDeque<Bytes>,
}

impl SnapshotSource for Stored {
    fn meta(&mut self) -> Result<SnapshotMeta, Error> {
        Ok(self.meta.clone())
    }

    fn next_chunk(&mut self) -> Result<Option<Bytes>, Error> {
        Ok(self.chunks.pop_front())
    }
}

impl Machine {
    /// Begins to save the groups that want it.
    pub(super) fn save_what_is_due(&mut self, env: &mut Env) {
        let Some(options) = env.options.habits.saves else { return };
        let running = self.running();
        let mut due = Vec::new();
        for (&group, memory) in &running.rows.memories {
            let cell = running.descriptors.get(group).filter(|cell| !is_blank(cell));
            let applied = cell.map_or(memory.saved, |cell| cell.applied());
            if memory.saving.is_some() || applied == memory.saved {
                continue;
            }
            let is_crowded = memory.take_crowded();
            if is_crowded {
                env.marks.hit(Mark::SaveForced);
            }
            if is_crowded || applied >= memory.saved + options.every_entries {
                due.push(group);
            }
        }
        for group in due {
            if let Err(error) = self.begin_save(group, env) {
                return self.fatal(&format!("save: {error}"), env);
            }
        }
    }

    fn begin_save(&mut self, group: RegionId, env: &mut Env) -> Result<(), Error> {
        // What is saved is what others hold there.
        self.hash_group(group, env);
        let running = self.running();
        // One that failed is out, and so is what it held.
        let Some(mut machine) = running.applier.lend(group) else { return Ok(()) };
        let source = machine.snapshot();
        running.applier.add(group, machine);
        let mut source = source?;
        let (number, meta) = (env.unique(), source.meta()?);
        let mut writer = self.spools.create().map_err(storage)?;
        while let Some(chunk) = source.next_chunk()? {
            writer.push(&chunk).map_err(storage)?;
        }
        if env.options.is_mutant(Outside::SaveReportedEarly) {
            let index = meta.position.index;
            self.tell_shard([Event::Snapshotted { group, index }], env);
        }
        let time = before_calm(env.now, self.disk_time(env.options.store.engine_sync_mean));
        self.plan(time, Work::Save { group, number }, env);
        if let Some(memory) = self.running().rows.memories.get_mut(&group) {
            memory.saved = meta.position.index;
            memory.saving = Some(Saving { number, meta, writer });
        }
        self.tempt(time, env);
        Ok(())
    }

    /// A snapshot is written and synced.
    pub(super) fn on_save(&mut self, group: RegionId, number: u64, env: &mut Env) {
        let Some(memory) = self.running().rows.memories.get_mut(&group) else { return };
        let Some(saving) = memory.saving.take_if(|saving| saving.number == number) else { return };
        let index = saving.meta.position.index;
        match saving.writer.finish() {
            Ok(spool) => {
                env.tell(format_args!("{} has saved {group} at {index}", self.id));
                let saved = Saved { meta: saving.meta, spool };
                let is_newest = self.note_saved(group, saved);
                env.marks.hit(if is_newest { Mark::Saved } else { Mark::SaveOvertaken });
                // As in the library: the newest that there is.
                let index = self.saves[&group].meta.position.index;
                self.tell_shard([Event::Snapshotted { group, index }], env);
            }
            Err(error) => self.fatal(&format!("save: {error}"), env),
        }
    }

    /// True when it is the newest.
    fn note_saved(&mut self, group: RegionId, saved: Saved) -> bool {
        let index = saved.meta.position.index;
        let is_late = |newest: &Saved| newest.meta.position.index >= index;
        let is_newest = !self.saves.get(&group).is_some_and(is_late);
        let out = if is_newest { self.saves.insert(group, saved) } else { Some(saved) };
        if let Some(out) = out {
            self.spools.remove(out.spool);
        }
        is_newest
    }

    /// Its power goes: what is being written was for nothing.
    pub(super) fn mark_saves_cut(&self, env: &mut Env) {
        let mut memories = self.running.iter().flat_map(|running| running.rows.memories.values());
        if memories.any(|memory| memory.saving.is_some()) {
            env.marks.hit(Mark::SaveCutOff);
        }
    }

    /// Its replica goes.
    pub(super) fn drop_saved(&mut self, group: RegionId) {
        let memory = self.running().rows.memories.remove(&group);
        if let Some(saving) = memory.and_then(|memory| memory.saving) {
            saving.writer.discard();
        }
        if let Some(saved) = self.saves.remove(&group) {
            self.spools.remove(saved.spool);
        }
    }

    /// What a follower gets: the newest that is saved, or the state as it is if there is none.
    pub(super) fn send_saved(&mut self, mut snapshot: OpenSnapshot, env: &mut Env) {
        if let Some(saved) = self.saves.get(&snapshot.group) {
            let Ok(chunks) = self.spools.read(saved.spool) else {
                env.marks.hit(Mark::SpoolUnreadable);
                return self.report_sent(&snapshot, false, env);
            };
            let meta = saved.meta.clone();
            snapshot.source = Box::new(Stored { meta, chunks: chunks.into() });
        }
        self.begin_stream(snapshot, env);
    }

    /// One of another store, for a group in memory: on disk first, then in the state machine.
    pub(super) fn install_saved(
        &mut self,
        group: RegionId,
        meta: SnapshotMeta,
        spool: u64,
        round: &mut Round,
        env: &mut Env,
    ) -> Result<(), Error> {
        let chunks = self.spools.read(spool);
        if chunks.is_err() {
            env.marks.hit(Mark::SpoolUnreadable);
            self.spools.remove(spool);
        }
        let Some(mut machine) = self.running().applier.lend(group) else {
            // It has failed, or it rests.
            self.spools.remove(spool);
            return Ok(());
        };
        let saved = Saved { meta: meta.clone(), spool };
        let result = chunks.and_then(|chunks| {
            if !self.note_saved(group, saved) {
                return Err(Error::Snapshot("a newer one is here already".to_owned()));
            }
            self.tempt(Duration::from_millis(2), env);
            machine.install(&meta, spool, &mut chunks.into_iter().map(Ok))
        });
        let running = self.running();
        if let Some(memory) = running.rows.memories.get_mut(&group).filter(|_| result.is_ok()) {
            memory.saved = meta.position.index;
        }
        running.applier.give_back(group, machine, meta, result, round)?;
        let may_shut_down = !env.is_healed && env.options.faults.hat.contains(&Fault::ShutDown);
        if may_shut_down && self.rng.chance(SHUT_DOWN_IN_INSTALL) {
            // While it loaded, in production; the shard hears of the end of the install later.
            env.marks.hit(Mark::ShutDownInInstall);
            self.halt(group, true, env);
            self.turn(env);
        }
        match round.events.last() {
            Some(Event::SnapshotInstalled { ok: true, .. }) => {
                env.marks.hit(Mark::SnapshotInstalled);
            }
            Some(Event::Halt { .. }) => env.marks.hit(Mark::LoadFailed),
            _ => {}
        }
        Ok(())
    }
}

fn storage(error: std::io::Error) -> Error {
    Error::Storage(Box::new(error))
}
