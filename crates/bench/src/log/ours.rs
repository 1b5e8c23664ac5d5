//! Our log on a real disk, served by a second thread that prepares segments, as in a store.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::Context;
use bytes::Bytes;
use kontiki_host::disk::RealDisk;
use kontiki_log::{Config, Disk, Error, Log, Prepared, Record, SegmentRequest, prepare_segment};
use kontiki_types::{Entry, EntryKind, Index, Position, RegionId, Term};

use super::Target;

/// The log asks for one segment at a time.
const ORDERS_MAX: usize = 1;

type Segment = Result<Prepared<<RealDisk as Disk>::File>, Error>;

pub(super) struct Ours {
    log: Log<RealDisk>,
    /// None once it is to end.
    orders: Option<SyncSender<SegmentRequest>>,
    segments: Receiver<Segment>,
    keeper: Option<JoinHandle<()>>,
}

impl Ours {
    /// Opens it in an empty directory, with its pool of segments filled, as it is in a store that
    /// has run for some seconds.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Self> {
        let disk = RealDisk::open(dir)?;
        let (log, _) = Log::open(disk.clone(), Config::new(7))?;
        let (orders, inbox) = sync_channel::<SegmentRequest>(ORDERS_MAX);
        let (outbox, segments) = sync_channel(ORDERS_MAX);
        let keeper = std::thread::Builder::new().name("segments".to_owned()).spawn(move || {
            for request in inbox {
                if outbox.send(prepare_segment(&disk, &request)).is_err() {
                    return;
                }
            }
        })?;
        let mut ours = Self { log, orders: Some(orders), segments, keeper: Some(keeper) };
        // The pool is not ordered before something is written.
        ours.append(ours.prepare(0, vec![Bytes::new()]))?;
        while ours.log.stats().ready < kontiki_log::limits::READY_SEGMENTS_DEFAULT {
            let segment = ours.segments.recv().context("the segment thread ended")?;
            ours.log.add_ready(segment?);
            ours.order();
        }
        Ok(ours)
    }

    /// Orders the next segment if one is wanted.
    fn order(&mut self) {
        if let Some(request) = self.log.segment_request()
            && let Some(orders) = &self.orders
        {
            orders.send(request).expect("the segment thread lives as long as the log");
        }
    }
}

impl Target for Ours {
    type Batch = Record;

    fn prepare(&self, first: u64, data: Vec<Bytes>) -> Record {
        // One more than asked for: index 1 was written when the log was opened.
        let entry = |(index, data)| Entry {
            position: Position::new(Term(1), Index(index)),
            kind: EntryKind::Normal,
            data,
        };
        Record::Append { group: RegionId(1), entries: (first + 1..).zip(data).map(entry).collect() }
    }

    fn append(&mut self, batch: Record) -> anyhow::Result<()> {
        self.log.write(&[batch])?;
        self.log.sync()?;
        if let Ok(segment) = self.segments.try_recv() {
            self.log.add_ready(segment?);
        }
        self.order();
        Ok(())
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.orders = None;
        // A segment that nobody takes must not keep the thread.
        while self.segments.recv().is_ok() {}
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}
