//! What one synced write costs: the bare disk, pre-written and growing, against the log on top.
//!
//! Run by hand: `cargo run --release -p kontiki-host --example log_rate [DIRECTORY]`. The cases
//! take turns in short rounds, because a shared disk has good and bad seconds; compare medians of
//! one run only. Segments are prepared beside the measured writes, as in production.

#![expect(clippy::print_stdout, reason = "an example that prints a table")]

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kontiki_host::disk::{RealDisk, RealFile};
use kontiki_log::{
    Config, Disk, File, Log, Prepared, Record, SegmentRequest, prepare_segment, remove_segments,
};
use kontiki_types::{Entry, EntryKind, Index, Membership, Position, RegionId, SnapshotMeta, Term};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const ROUNDS: usize = 12;
const WRITES: u64 = 150;
const FILE_BYTES: u64 = 64 * 1024 * 1024;

fn main() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let dir = std::env::args().nth(1).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    println!("{:>7}  {:<28} {:>8} {:>8}", "bytes", "case", "p50 ms", "p99 ms");
    for bytes in [4096, 65_536] {
        let mut cases = [
            ("bare, growing file", Case::bare(&dir.join("growing"), 0)?, Vec::new()),
            ("bare, pre-written file", Case::bare(&dir.join("written"), FILE_BYTES)?, Vec::new()),
            ("log", Case::log(&dir.join(format!("log-{bytes}")))?, Vec::new()),
        ];
        let data = Bytes::from(vec![7; bytes]);
        for _ in 0..ROUNDS {
            for (_, case, times) in &mut cases {
                for _ in 0..WRITES {
                    times.push(case.write(&data)?);
                }
            }
        }
        for (name, case, mut times) in cases {
            times.sort();
            let at = |per_mille: usize| times[times.len() * per_mille / 1000].as_secs_f64() * 1e3;
            println!("{bytes:>7}  {name:<28} {:>8.3} {:>8.3}{}", at(500), at(990), case.remark());
        }
    }
    Ok(())
}

/// Something that makes bytes durable.
enum Case {
    Bare { file: RealFile, offset: u64, written: u64 },
    Log { log: Box<Log<RealDisk>>, index: u64, keeper: Keeper },
}

impl Case {
    /// A file of this many bytes of zeroes; none: it grows.
    fn bare(dir: &Path, written: u64) -> Result<Self> {
        let mut file = RealDisk::open(dir)?.create("file")?;
        let zeroes = vec![0; 1024 * 1024];
        for at in (0..written).step_by(zeroes.len()) {
            file.write_at(at, &zeroes)?;
        }
        file.sync()?;
        Ok(Self::Bare { file, offset: 0, written })
    }

    fn log(dir: &Path) -> Result<Self> {
        let disk = RealDisk::open(dir)?;
        let (log, _) = Log::open(disk.clone(), Config::new(7))?;
        Ok(Self::Log { log: Box::new(log), index: 0, keeper: Keeper::start(disk)? })
    }

    /// One synced write, and how long it took.
    fn write(&mut self, data: &Bytes) -> Result<Duration> {
        match self {
            Self::Bare { file, offset, written } => {
                let began = Instant::now();
                file.write_at(*offset, data)?;
                file.sync()?;
                let took = began.elapsed();
                *offset += data.len() as u64;
                if *written > 0 && *offset + data.len() as u64 > *written {
                    *offset = 0;
                }
                Ok(took)
            }
            Self::Log { log, index, keeper } => {
                keeper.serve(log);
                *index += 1;
                let records = records(*index, data);
                let began = Instant::now();
                log.write(&records)?;
                log.sync()?;
                let took = began.elapsed();
                log.collect()?;
                Ok(took)
            }
        }
    }

    fn remark(&self) -> String {
        match self {
            Self::Bare { .. } => String::new(),
            Self::Log { log, .. } => {
                let stats = log.stats();
                format!("  {} rotations, {} waited", stats.rotations, stats.prepared_inline)
            }
        }
    }
}

/// An entry, and the compaction of what came long before, so that segments are recycled.
fn records(index: u64, data: &Bytes) -> Vec<Record> {
    let at = |index| Position::new(Term(1), Index(index));
    let entry = Entry { position: at(index), kind: EntryKind::Normal, data: data.clone() };
    let mut records = vec![Record::Append { group: RegionId(1), entries: vec![entry] }];
    if index.is_multiple_of(100) {
        let to = SnapshotMeta { position: at(index), membership: Membership::of_voters(3) };
        records.push(Record::Compact { group: RegionId(1), to });
    }
    records
}

/// Prepares segments on a thread of its own.
struct Keeper {
    disk: RealDisk,
    orders: SyncSender<SegmentRequest>,
    made: Receiver<Option<Prepared<RealFile>>>,
}

impl Keeper {
    fn start(disk: RealDisk) -> Result<Self> {
        let (orders, inbox) = sync_channel::<SegmentRequest>(1);
        let (outbox, made) = sync_channel(1);
        let thread_disk = disk.clone();
        std::thread::Builder::new().name("segments".to_owned()).spawn(move || {
            while let Ok(order) = inbox.recv() {
                if outbox.send(prepare_segment(&thread_disk, &order).ok()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { disk, orders, made })
    }

    fn serve(&self, log: &mut Log<RealDisk>) {
        while let Ok(made) = self.made.try_recv() {
            match made {
                Some(prepared) => log.add_ready(prepared),
                None => log.prepare_failed(),
            }
        }
        if let Some(order) = log.segment_request() {
            let _ = self.orders.send(order);
        }
        // What cannot be removed now is removed at the next open.
        let _ = remove_segments(&self.disk, &log.take_removable());
    }
}
