//! `log`: frames of entries and one sync each, on our log and, with the feature `raft-engine`, on
//! the crate of that name, alternating on the same disk.

use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use clap::Args as ClapArgs;
use kontiki_host::disk::RealDisk;
use kontiki_log::{Log, Record};
use kontiki_types::{Entry, EntryKind, Index, Position, RegionId, Term};
use serde::Serialize;

use crate::compare::load::value;
use crate::histogram::Latencies;
use crate::report::write_json;

/// Flags of `log`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Entries in one synced write, one run each
    #[arg(long, value_delimiter = ',', default_value = "1,16,128")]
    entries: Vec<u64>,
    /// Bytes of an entry
    #[arg(long, default_value_t = 280)]
    entry_size: usize,
    /// Synced writes of each run
    #[arg(long, default_value_t = 3000)]
    writes: u64,
    /// Alternating rounds; every round is printed
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the logs lie; default: a temporary directory
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Write the rows here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Row {
    system: &'static str,
    entries: u64,
    writes_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// A log under test: append these entries durably.
trait Target {
    fn append(&mut self, first: u64, count: u64, data: &Bytes) -> anyhow::Result<()>;
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let temporary = tempfile::Builder::new().prefix("kontiki-bench-log-").tempdir()?;
    let dir = args.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let mut rows = Vec::new();
    println!(
        "{:<12} {:>8} {:>10} {:>8} {:>8}",
        "system", "entries", "writes/s", "p50 ms", "p99 ms"
    );
    for &entries in &args.entries {
        for round in 0..args.rounds {
            let place = dir.join(format!("{entries}-{round}"));
            let mut ours = Ours::open(&place.join("kontiki"))?;
            rows.push(measure("kontiki", &mut ours, entries, args)?);
            #[cfg(feature = "raft-engine")]
            {
                let mut theirs = theirs::Theirs::open(&place.join("raft-engine"))?;
                rows.push(measure("raft-engine", &mut theirs, entries, args)?);
            }
            let _ = std::fs::remove_dir_all(&place);
        }
    }
    if let Some(path) = &args.json {
        write_json(&rows, path)?;
    }
    Ok(())
}

fn measure(
    system: &'static str,
    target: &mut dyn Target,
    entries: u64,
    args: &Args,
) -> anyhow::Result<Row> {
    let data = value(args.entry_size, 7);
    let mut latencies = Latencies::new();
    let started = Instant::now();
    for write in 0..args.writes {
        let began = Instant::now();
        target.append(1 + write * entries, entries, &data)?;
        latencies.record(began.elapsed());
    }
    let row = Row {
        system,
        entries,
        writes_per_s: args.writes as f64 / started.elapsed().as_secs_f64(),
        p50_ms: latencies.quantile_ms(0.5),
        p99_ms: latencies.quantile_ms(0.99),
    };
    println!(
        "{:<12} {:>8} {:>10.0} {:>8.3} {:>8.3}",
        row.system, row.entries, row.writes_per_s, row.p50_ms, row.p99_ms
    );
    Ok(row)
}

struct Ours(Log<RealDisk>);

impl Ours {
    fn open(dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let (log, _) = Log::open(RealDisk::open(dir)?, kontiki_log::Config::new(7))?;
        Ok(Self(log))
    }
}

impl Target for Ours {
    fn append(&mut self, first: u64, count: u64, data: &Bytes) -> anyhow::Result<()> {
        let entries = (first..first + count).map(|index| Entry {
            position: Position::new(Term(1), Index(index)),
            kind: EntryKind::Normal,
            data: data.clone(),
        });
        let record = Record::Append { group: RegionId(1), entries: entries.collect() };
        self.0.write(&[record])?;
        self.0.sync()?;
        Ok(())
    }
}
