//! The log writer: what queued up while a sync ran is the next frame.
//!
//! As in production, one frame and one sync for all tasks that wait, then the messages that waited
//! for it, then word to the shard. Segments are made ready and removed apart from it.

use std::collections::VecDeque;
use std::time::Duration;

use kontiki_log::{
    Error, Log, Prepared, Record, SegmentRequest, SimDisk, prepare_segment, remove_segments,
};
use kontiki_multiraft::{Event, LogTask, Outbound, TaskSeq};
use kontiki_raft::Fetch;
use kontiki_types::RegionId;

use crate::env::{Env, Work};
use crate::marks::Mark;
use crate::mutant::Outside;
use crate::violation::Rule;

use super::Machine;

/// When nothing was logged for this long, the log notes that all of it is durable.
const REST_AFTER: Duration = Duration::from_millis(200);
/// Writes that are remembered; far more than can wait for one sync.
const WRITES_KEPT: usize = 64;
/// Mean time of the preparation of a segment.
const SEGMENT_MEAN: Duration = Duration::from_millis(5);

type File = <SimDisk as kontiki_log::Disk>::File;

/// The log and what waits for it.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub(super) struct Writer {
    pub(super) log: Log<SimDisk>,
    /// Tasks that wait for the writer.
    pub(super) queued: Vec<LogTask>,
    /// Entries that are to be read back once the tasks before are written.
    pub(super) fetches: Vec<(RegionId, Fetch)>,
    /// Messages that wait for the next sync.
    gated: Vec<Outbound>,
    /// The newest task written and not reported.
    newest: Option<TaskSeq>,
    must_sync: bool,
    pub(super) is_syncing: bool,
    collects: bool,
    /// Writes since the last rest: an idle log rests once.
    is_restless: bool,
    is_rest_planned: bool,
    preparing: Option<SegmentRequest>,
    prepared: Vec<Prepared<File>>,
    removable: Vec<String>,
    /// The newest writes.
    written: VecDeque<Written>,
    /// Records held back by a mutant.
    late: Vec<Record>,
}

impl Writer {
    pub(super) fn new(log: Log<SimDisk>) -> Self {
        Self {
            log,
            queued: Vec::new(),
            fetches: Vec::new(),
            gated: Vec::new(),
            newest: None,
            must_sync: false,
            is_syncing: false,
            collects: false,
            is_restless: false,
            is_rest_planned: false,
            preparing: None,
            prepared: Vec::new(),
            removable: Vec::new(),
            written: VecDeque::new(),
            late: Vec::new(),
        }
    }
}

/// A write of this life, as the log stood after it.
struct Written {
    /// Its last frame.
    frame: u64,
    /// The newest frame that it says to be durable.
    noted: u64,
    /// Where it ends: file and offset.
    end: (String, u64),
}

impl Writer {
    /// Up to where a frame that is durable says that everything is: file and offset.
    fn noted(&self) -> Option<(String, u64)> {
        let durable = self.log.stats().synced_frame;
        let newest = self.written.iter().rfind(|written| written.frame <= durable)?;
        let last = self.written.iter().rfind(|written| written.frame <= newest.noted)?;
        Some(last.end.clone())
    }
}

impl Machine {
    /// Takes in the task of a turn.
    pub(super) fn queue_log(&mut self, mut task: LogTask, env: &mut Env) {
        if env.options.is_mutant(Outside::HardStateLate) {
            self.delay_hard_states(&mut task.records);
        }
        if env.options.is_mutant(Outside::GatedSentEarly) {
            self.send(std::mem::take(&mut task.gated), env);
        }
        if task.records.iter().any(|record| matches!(record, Record::Compact { .. })) {
            env.marks.hit(Mark::LogCompacted);
        }
        match env.safety.on_task(self.id, task.seq, &task.records) {
            Ok(true) => env.marks.hit(Mark::TailReplaced),
            Ok(false) => {}
            Err(violation) => env.fail(violation.rule, violation.what),
        }
        self.running().writer.queued.push(task);
    }

    /// The mistake of writing hard states with the task after theirs.
    fn delay_hard_states(&mut self, records: &mut Vec<Record>) {
        let is_late = |record: &mut Record| matches!(record, Record::HardState { .. });
        let late: Vec<_> = records.extract_if(.., is_late).collect();
        records.extend(std::mem::replace(&mut self.running().writer.late, late));
    }

    /// Writes what waits, unless a sync is under way.
    pub(super) fn write_log(&mut self, env: &mut Env) {
        self.serve_segments(env);
        if self.running().writer.is_syncing {
            return;
        }
        self.write_queued(env);
        self.read_log(env);
    }

    fn write_queued(&mut self, env: &mut Env) {
        let writer = &mut self.running().writer;
        if writer.queued.is_empty() {
            return;
        }
        if writer.queued.len() > 1 {
            env.marks.hit(Mark::GroupCommit);
        }
        let mut records = Vec::new();
        for task in std::mem::take(&mut writer.queued) {
            records.extend(task.records);
            writer.gated.extend(task.gated);
            writer.newest = Some(task.seq);
            writer.must_sync |= !task.lazy;
        }
        writer.collects |= records.iter().any(|r| matches!(r, Record::Compact { .. }));
        writer.is_restless = true;
        let newest = writer.newest.expect("a task was queued");
        let noted = writer.log.stats().synced_frame;
        match writer.log.write(&records) {
            Ok(stats) => {
                writer.collects |= stats.rotations > 0;
                let (frame, end) = (writer.log.stats().last_frame, writer.log.position());
                writer.written.push_back(Written { frame, noted, end });
                if writer.written.len() > WRITES_KEPT {
                    writer.written.pop_front();
                }
                env.safety.on_written(self.id, newest, stats.frames);
            }
            Err(error) => {
                env.safety.on_write_failed(self.id, newest);
                return self.fatal(&format!("log write: {error}"), env);
            }
        }
        if self.running().writer.must_sync {
            self.running().writer.is_syncing = true;
            let time = self.disk_time(env.options.store.sync_mean);
            self.plan(time, Work::LogSync, env);
            self.tempt(time, env);
        }
    }

    /// Reads back what was asked for.
    fn read_log(&mut self, env: &mut Env) {
        let writer = &mut self.running().writer;
        let mut events = Vec::new();
        for (group, Fetch { ticket, after, to, bytes_max }) in std::mem::take(&mut writer.fetches) {
            match writer.log.entries(group, after, to, bytes_max) {
                Ok(entries) => events.push(Event::Fetched { ticket, entries }),
                Err(error) => {
                    env.marks.hit(Mark::FetchUnreadable);
                    return self.fatal(&format!("log read: {error}"), env);
                }
            }
        }
        if events.iter().any(|event| matches!(event, Event::Fetched { entries: Some(_), .. })) {
            env.marks.hit(Mark::EntriesFetched);
        }
        self.tell_shard(events, env);
    }

    /// The sync under way is done.
    pub(super) fn on_log_sync(&mut self, env: &mut Env) {
        if env.options.is_mutant(Outside::SyncLies) {
            // Nothing is durable, and nobody knows.
        } else {
            if let Err(error) = self.running().writer.log.sync()
                && !env.options.is_mutant(Outside::SyncErrorIgnored)
            {
                return self.fatal(&format!("log sync: {error}"), env);
            }
            let judged = env.safety.on_synced(self.id);
            env.judge(judged);
            let noted = self.running().writer.noted();
            self.noted = noted.or(self.noted.take());
        }
        let writer = &mut self.running().writer;
        (writer.is_syncing, writer.must_sync) = (false, false);
        let gated = std::mem::take(&mut writer.gated);
        let newest = writer.newest.take();
        if !gated.is_empty() {
            env.marks.hit(Mark::GatedMessage);
        }
        self.send(gated, env);
        self.tell_shard(newest.map(|task| Event::LogSynced { task }), env);
        if env.options.is_mutant(Outside::ReplyBeforeCommit) {
            self.reply_early(env);
        }
        self.collect_log(env);
        self.write_log(env);
        self.plan_rest(env);
    }

    fn plan_rest(&mut self, env: &mut Env) {
        if !std::mem::replace(&mut self.running().writer.is_rest_planned, true) {
            self.plan(REST_AFTER, Work::LogRest, env);
        }
    }

    /// Nothing was logged for a while, perhaps.
    pub(super) fn on_log_rest(&mut self, env: &mut Env) {
        let writer = &mut self.running().writer;
        writer.is_rest_planned = false;
        if !writer.is_restless {
            return;
        }
        if writer.is_syncing || !writer.queued.is_empty() {
            return self.plan_rest(env);
        }
        writer.is_restless = false;
        if let Err(error) = writer.log.rest() {
            self.fatal(&format!("log rest: {error}"), env);
        }
    }

    fn collect_log(&mut self, env: &mut Env) {
        let writer = &mut self.running().writer;
        if !std::mem::take(&mut writer.collects) {
            return;
        }
        match writer.log.collect() {
            Ok(collected) => {
                writer.collects = collected.more;
                let names = writer.log.take_removable();
                writer.removable.extend(names);
                if collected.retired > 0 {
                    env.marks.hit(Mark::SegmentRetired);
                }
                if collected.rewritten_bytes > 0 {
                    env.marks.hit(Mark::LeftoversRewritten);
                }
                if !collected.laggards.is_empty() {
                    env.marks.hit(Mark::LogCrowded);
                    let groups = collected.laggards;
                    self.tell_shard([Event::LogCrowded { groups }], env);
                }
            }
            Err(error) => {
                if matches!(error, Error::Io { operation: "read", .. }) {
                    env.marks.hit(Mark::LeftoversUnreadable);
                }
                self.fatal(&format!("log collect: {error}"), env);
            }
        }
    }

    /// Gives the log what is ready and takes its next order.
    fn serve_segments(&mut self, env: &mut Env) {
        let writer = &mut self.running().writer;
        for prepared in std::mem::take(&mut writer.prepared) {
            writer.log.add_ready(prepared);
            env.marks.hit(Mark::SegmentPrepared);
        }
        let mut is_work = !writer.removable.is_empty();
        if writer.preparing.is_none() {
            writer.preparing = writer.log.segment_request();
            is_work |= writer.preparing.is_some();
        }
        if is_work {
            let time = self.disk_time(SEGMENT_MEAN);
            self.plan(time, Work::Segment, env);
        }
    }

    /// A segment is made ready; freed ones go.
    pub(super) fn on_segment(&mut self, env: &mut Env) {
        let disk = self.log_disk.clone();
        let writer = &mut self.running().writer;
        let removed = remove_segments(&disk, &std::mem::take(&mut writer.removable));
        let request = writer.preparing.take();
        let prepared = request.map(|request| prepare_segment(&disk, &request));
        match prepared {
            Some(Ok(prepared)) => writer.prepared.push(prepared),
            Some(Err(error)) => return self.fatal(&format!("log segment: {error}"), env),
            None => {}
        }
        if let Err(error) = removed {
            self.fatal(&format!("log segments to remove: {error}"), env);
        }
    }

    /// Whether frames are written and not synced, for marks.
    pub(super) fn check_owed(&self, env: &mut Env) {
        let frames = env.safety.unsynced_count(self.id);
        let is_syncing = self.running.as_ref().is_some_and(|running| running.writer.is_syncing);
        if is_syncing {
            env.marks.hit(Mark::CrashInSync);
            if frames == 0 {
                env.fail(Rule::NoPanic, "a sync without a write".to_owned());
            }
        }
    }
}
