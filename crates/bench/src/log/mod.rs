//! `log`: frames of entries and one sync each, on our log and, with the feature `raft-engine`, on
//! the crate of that name, in alternating rounds on the same disk.
//!
//! Fairness: one writer, one group, every write followed by a sync; entries are built outside the
//! measured time, encoded and checksummed inside; nothing is compressed. Our log is used as a store
//! uses it, with another thread that prepares segments. The peer comes twice: as it is by default,
//! where a sync also extends the file, and with files filled beforehand.

mod ours;
#[cfg(feature = "raft-engine")]
mod theirs;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args as ClapArgs;
use serde::Serialize;

use crate::report::{median, write_json};
use crate::samples::Samples;
use crate::workload::{Values, rng};

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
    /// Alternating rounds; the last lines are medians
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// Where the logs lie [default: a temporary directory]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Write the medians here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    system: &'static str,
    entries: u64,
    writes_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
}

/// A log under test.
trait Target {
    /// Entries in its own words.
    type Batch;

    /// Consecutive entries, the first of this index.
    fn prepare(&self, first: u64, data: Vec<Bytes>) -> Self::Batch;

    /// Makes them durable.
    fn append(&mut self, batch: Self::Batch) -> anyhow::Result<()>;
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(args.rounds > 0 && args.writes > 0, "give at least 1 round and 1 write");
    anyhow::ensure!(!args.entries.contains(&0), "--entries has a 0: give at least 1");
    let temporary = tempfile::Builder::new().prefix("kontiki-bench-log-").tempdir()?;
    let dir = args.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let mut medians = Vec::new();
    print_head();
    for &entries in &args.entries {
        let mut rounds: Vec<Vec<Row>> = Vec::new();
        for round in 1..=args.rounds {
            let rows = one_round(&dir.join("bench-log"), entries, round, args)?;
            rows.iter().for_each(print);
            rounds.push(rows);
        }
        for system in 0..rounds[0].len() {
            let same: Vec<&Row> = rounds.iter().map(|rows| &rows[system]).collect();
            medians.push(median_row(&same));
        }
    }
    println!("\nmedians");
    print_head();
    medians.iter().for_each(print);
    if let Some(path) = &args.json {
        write_json(&medians, path)?;
    }
    Ok(())
}

/// Every log once, each in an empty directory that is gone afterwards; odd rounds begin with ours.
fn one_round(place: &Path, entries: u64, round: u64, args: &Args) -> anyhow::Result<Vec<Row>> {
    let fresh = || {
        let _ = std::fs::remove_dir_all(place);
        // What the one before left in memory is not for the next one to write back.
        rustix::fs::sync();
        std::fs::create_dir_all(place)
    };
    let ours = || {
        fresh()?;
        measure("kontiki", &mut ours::Ours::open(place)?, entries, round, args)
    };
    #[cfg(feature = "raft-engine")]
    let theirs = |fill| {
        fresh()?;
        let bytes = args.writes * entries * (args.entry_size as u64 + 64);
        let mut theirs = theirs::Theirs::open(place, fill, bytes)?;
        measure(fill.name(), &mut theirs, entries, round, args)
    };
    #[cfg(feature = "raft-engine")]
    let rows = if round % 2 == 1 {
        vec![ours()?, theirs(theirs::Fill::Never)?, theirs(theirs::Fill::Before)?]
    } else {
        let filled = theirs(theirs::Fill::Before)?;
        let plain = theirs(theirs::Fill::Never)?;
        vec![ours()?, plain, filled]
    };
    #[cfg(not(feature = "raft-engine"))]
    let rows = vec![ours()?];
    let _ = std::fs::remove_dir_all(place);
    Ok(rows)
}

fn measure<T: Target>(
    system: &'static str,
    target: &mut T,
    entries: u64,
    round: u64,
    args: &Args,
) -> anyhow::Result<Row> {
    let (values, mut rng) = (Values::new(args.entry_size), rng(round, 0));
    let mut samples = Samples::default();
    let mut total = Duration::ZERO;
    for write in 0..args.writes {
        let data = (0..entries).map(|_| values.draw(&mut rng)).collect();
        let batch = target.prepare(1 + write * entries, data);
        let began = Instant::now();
        target.append(batch)?;
        let took = began.elapsed();
        samples.record(took);
        total += took;
    }
    samples.sort();
    Ok(Row {
        system,
        entries,
        writes_per_s: args.writes as f64 / total.as_secs_f64(),
        p50_ms: samples.quantile_ms(0.5),
        p99_ms: samples.quantile_ms(0.99),
        p999_ms: samples.quantile_ms(0.999),
    })
}

fn median_row(rounds: &[&Row]) -> Row {
    let mid = |figure: fn(&Row) -> f64| median(rounds.iter().map(|row| figure(row)));
    Row {
        writes_per_s: mid(|row| row.writes_per_s),
        p50_ms: mid(|row| row.p50_ms),
        p99_ms: mid(|row| row.p99_ms),
        p999_ms: mid(|row| row.p999_ms),
        ..rounds[0].clone()
    }
}

fn print_head() {
    println!(
        "{:<19} {:>8} {:>10} {:>8} {:>8} {:>8}",
        "system", "entries", "writes/s", "p50 ms", "p99 ms", "p99.9"
    );
}

fn print(row: &Row) {
    println!(
        "{:<19} {:>8} {:>10.0} {:>8.3} {:>8.3} {:>8.3}",
        row.system, row.entries, row.writes_per_s, row.p50_ms, row.p99_ms, row.p999_ms
    );
}
