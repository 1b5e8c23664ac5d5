//! The one thread that writes the shared log of this disk.
//!
//! What queued up while a sync ran is the next frame: group commit without timers. Once a frame is
//! durable the writer itself sends the messages that waited for it and only then tells the shard,
//! so a peer does not wait for another thread to wake up.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kontiki_log::{Disk, Log, Record, Stats};
use kontiki_multiraft::{Event, LogTask, Outbound, TaskSeq};
use kontiki_raft::Fetch;
use kontiki_types::{Entry, RegionId};

use crate::fatal::Fatal;
use crate::mailbox::Mailbox;
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::segment_keeper::SegmentKeeper;
use crate::shard_thread::Input;

/// When nothing was logged for this long, the log notes that all of it is durable.
const REST_AFTER: Duration = Duration::from_millis(200);

/// Sizes and counters of the log, refreshed after every sync.
#[derive(Clone)]
pub struct LogStatus {
    stats: Arc<Mutex<Stats>>,
}

impl LogStatus {
    pub(crate) fn new(stats: Stats) -> Self {
        Self { stats: Arc::new(Mutex::new(stats)) }
    }

    /// As of the last sync.
    pub fn stats(&self) -> Stats {
        *self.stats.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn set(&self, stats: Stats) {
        *self.stats.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = stats;
    }
}

/// What reaches the thread.
pub(crate) enum LogInput {
    /// Make this durable.
    Task(LogTask),
    /// Read entries back, once every task before is written.
    Fetch(RegionId, Fetch),
    /// The same for a caller.
    Look(RegionId, Fetch, LookDone),
}

/// Called with entries of the log, or nothing when it does not hold them.
pub(crate) type LookDone = Box<dyn FnOnce(Option<Vec<Entry>>) + Send>;

/// Everything the thread needs.
pub(crate) struct LogWriter<D: Disk> {
    pub(crate) log: Log<D>,
    pub(crate) tasks: Arc<Mailbox<LogInput>>,
    pub(crate) shard: Arc<Mailbox<Input>>,
    pub(crate) outbox: Outbox,
    pub(crate) keeper: SegmentKeeper<D>,
    pub(crate) status: LogStatus,
    pub(crate) fatal: Fatal,
    pub(crate) metrics: Option<Arc<Metrics>>,
}

/// The tasks of one frame, merged.
#[derive(Default)]
struct Merged {
    records: Vec<Record>,
    gated: Vec<Outbound>,
    newest: Option<TaskSeq>,
    must_sync: bool,
    /// A group compacted its log, so that segments may have become free; or one is full.
    collects: bool,
    /// Entries to read back once the records are written; for Raft, or for a caller.
    fetches: Vec<(RegionId, Fetch, Option<LookDone>)>,
}

impl<D: Disk> LogWriter<D> {
    /// Until the mailbox is closed and empty. A failed write or sync is fatal: what depends on it
    /// is never acknowledged.
    pub(crate) fn run(mut self) {
        let mut tasks = Vec::new();
        let mut merged = Merged::default();
        let mut rested = true;
        loop {
            self.keeper.serve(&mut self.log);
            let timeout = if rested { None } else { Some(REST_AFTER) };
            let open = self.tasks.drain(&mut tasks, timeout);
            if !open || self.fatal.is_raised() {
                break;
            }
            let idle = tasks.is_empty();
            let result = if idle {
                self.log.rest()
            } else {
                merged.take_in(&mut tasks);
                self.write(&mut merged)
            };
            rested = idle;
            if let Err(error) = result {
                self.fatal.raise(format!("log: {error}"));
                break;
            }
        }
        self.end();
        self.keeper.stop();
    }

    /// A clean stop: what is written becomes durable, and the log says so. Damage to its end is
    /// then known for damage at the next start and not taken for a torn write.
    fn end(&mut self) {
        if self.fatal.is_raised() {
            return;
        }
        if let Err(error) = self.log.sync().and_then(|()| self.log.rest()) {
            tracing::error!(%error, "the log did not come to rest");
        }
    }

    fn write(&mut self, merged: &mut Merged) -> Result<(), kontiki_log::Error> {
        let began = Instant::now();
        if !merged.records.is_empty() {
            let written = self.log.write(&merged.records)?;
            merged.collects |= written.rotations > 0;
            if let Some(metrics) = self.metrics.as_ref().filter(|_| written.suffixes_cut > 0) {
                metrics.truncate_log_suffix.observe_since(began);
            }
        }
        self.read(&mut merged.fetches)?;
        let appended = merged.entries();
        merged.records.clear();
        if !merged.must_sync {
            // Only hints so far: they become durable, and are reported, with the next task.
            return Ok(());
        }
        self.log.sync()?;
        merged.must_sync = false;
        if let Some(metrics) = &self.metrics {
            metrics.appended(appended.0, appended.1, began);
        }
        let mut events = Vec::new();
        self.outbox.send(&mut merged.gated, &mut events);
        events.extend(merged.newest.take().map(|task| Event::LogSynced { task }));
        self.shard.push(Input::Events(events));
        if std::mem::take(&mut merged.collects) {
            // What is not collected now waits for the next compaction.
            merged.collects = self.collect()?;
        }
        self.status.set(self.log.stats());
        Ok(())
    }

    /// Free what nobody needs. True when there is more to free.
    fn collect(&mut self) -> Result<bool, kontiki_log::Error> {
        let began = Instant::now();
        let collected = self.log.collect()?;
        if let Some(metrics) = &self.metrics {
            metrics.truncate_log_prefix.observe_since(began);
        }
        self.keeper.remove(self.log.take_removable());
        if !collected.laggards.is_empty() {
            let groups = collected.laggards;
            self.shard.push(Input::Event(Event::LogCrowded { groups }));
        }
        Ok(collected.more)
    }

    /// Entries that left memory, for followers that lag, slow state machines and callers.
    fn read(
        &mut self,
        fetches: &mut Vec<(RegionId, Fetch, Option<LookDone>)>,
    ) -> Result<(), kontiki_log::Error> {
        let mut events = Vec::new();
        for (group, Fetch { ticket, after, to, bytes_max }, caller) in fetches.drain(..) {
            let entries = self.log.entries(group, after, to, bytes_max)?;
            match caller {
                None => events.push(Event::Fetched { ticket, entries }),
                Some(done) => done(entries),
            }
        }
        if !events.is_empty() {
            self.shard.push(Input::Events(events));
        }
        Ok(())
    }
}

impl Merged {
    /// How many entries, of how many bytes.
    fn entries(&self) -> (u64, u64) {
        let appends = self.records.iter().map(|record| match record {
            Record::Append { entries, .. } => entries.as_slice(),
            _ => &[],
        });
        appends
            .flatten()
            .fold((0, 0), |(count, bytes), entry| (count + 1, bytes + entry.data.len() as u64))
    }

    fn take_in(&mut self, inputs: &mut Vec<LogInput>) {
        for input in inputs.drain(..) {
            let task = match input {
                LogInput::Task(task) => task,
                LogInput::Fetch(group, fetch) => {
                    self.fetches.push((group, fetch, None));
                    continue;
                }
                LogInput::Look(group, fetch, done) => {
                    self.fetches.push((group, fetch, Some(done)));
                    continue;
                }
            };
            self.collects |= task.records.iter().any(|r| matches!(r, Record::Compact { .. }));
            self.records.extend(task.records);
            self.gated.extend(task.gated);
            self.newest = Some(task.seq);
            self.must_sync |= !task.lazy;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kontiki_log::{Config, Group, SimDisk};
    use kontiki_types::{HardState, Index, RegionId, Term};

    use super::*;
    use crate::transport::{Class, SnapshotPipe, Transport};

    struct Nowhere;

    impl Transport for Nowhere {
        fn send(&self, _: kontiki_types::StoreId, _: Class, _: Bytes) -> bool {
            false
        }

        fn open_snapshot(
            &self,
            _: kontiki_types::StoreId,
            _: Bytes,
        ) -> Result<Box<dyn SnapshotPipe>, String> {
            Err("nowhere".to_owned())
        }
    }

    #[test]
    fn after_a_clean_stop_damage_to_the_last_frame_is_known_for_damage() {
        let disk = SimDisk::new();
        let config = Config { segment_bytes: 8192, ready_segments: 1, keep_segments: 2, salt: 7 };
        let (log, _) = Log::open(disk.clone(), config.clone()).expect("opened");
        let tasks = Arc::new(Mailbox::new(4));
        let state = HardState { term: Term(3), vote: None, commit: Index(0) };
        let records = vec![Record::HardState { group: RegionId(1), state }];
        let task = LogTask { seq: TaskSeq(1), records, gated: Vec::new(), lazy: false };
        tasks.push(LogInput::Task(task));
        tasks.close();
        let writer = LogWriter {
            status: LogStatus::new(log.stats()),
            log,
            tasks,
            shard: Arc::new(Mailbox::new(4)),
            outbox: Outbox::new(Arc::new(Nowhere)),
            keeper: SegmentKeeper::start(disk.clone()).expect("started"),
            fatal: Fatal::new(Box::new(drop)),
            metrics: None,
        };
        writer.run();

        // The body of the only frame: page of the header, head of frame and section, a byte in.
        disk.flip("0000000000000001.log", 4096 + 82, 1);
        let (_, found) = Log::open(disk, config).expect("opened");
        let group = found.groups.get(&RegionId(1));
        assert!(matches!(group, Some(Group::Quarantined { .. })), "{found:?}");
    }
}
