//! `nodehost`: the host library against dragonboat: groups in three processes, callers inside the
//! leaders' processes, a map as state machine, fsync on.
//!
//! A pass is a fresh cluster, and every point of it once; passes of the two systems alternate, and
//! nothing of the other runs meanwhile. dragonboat is measured by its own program, which is not
//! part of this project; it has the same closed loop, payloads and timeouts, and
//! the same keys, though in every group.
//!
//! | file | about |
//! |---|---|
//! | [`cluster`] | three processes of [`crate::node`] |
//! | [`dragonboat`] | three processes of the peer |

pub(crate) mod cluster;
mod dragonboat;

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde::Serialize;

use crate::node::{KEYS, Load, Loaded, Place};
use crate::report::{Row, median_row, print_table, write_json};
use crate::workload::Op;
use cluster::Cluster;
use dragonboat::Dragonboat;

/// Flags of `nodehost`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// dragonboat's program (`dbload`, built from its baseline); without it, only ours is measured
    #[arg(long)]
    dragonboat: Option<PathBuf>,
    /// Callers, one run each
    #[arg(long, value_delimiter = ',', default_value = "1,64,256,1000,4096")]
    clients: Vec<usize>,
    /// Bytes of a key and a value together
    #[arg(long, value_delimiter = ',', default_value = "16,256")]
    payloads: Vec<usize>,
    /// Groups, a pass each; more than one: their leaders are spread over the processes
    #[arg(long, value_delimiter = ',', default_value = "1,48")]
    groups: Vec<u64>,
    /// What is measured; reads take no payload and are measured once
    #[arg(long, value_delimiter = ',', default_value = "put,get")]
    ops: Vec<Op>,
    /// Measured seconds of each run
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Unmeasured seconds before
    #[arg(long, default_value_t = 1)]
    warmup: u32,
    /// Alternating rounds; figures are medians
    #[arg(long, default_value_t = 1)]
    rounds: u64,
    /// Where the logs lie, below it a folder for each system, emptied first
    /// [default: a temporary directory]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Write the rows here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A row of `compare`, and what only these measurements have.
#[derive(Clone, Serialize)]
pub(crate) struct WideRow {
    #[serde(flatten)]
    pub(crate) row: Row,
    pub(crate) payload: usize,
    pub(crate) groups: u64,
    /// At the end of the run.
    #[serde(flatten)]
    pub(crate) memory: Memory,
}

/// Memory of all processes together.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Memory {
    pub(crate) rss_mb: u64,
    /// Of that, keys and values in the maps, which whoever is faster has more of.
    pub(crate) state_mb: f64,
}

/// A cluster under measurement.
enum Contender {
    Ours(Cluster),
    Theirs(Dragonboat),
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(args.rounds > 0, "--rounds is 0: give at least 1");
    anyhow::ensure!(!args.clients.contains(&0), "--clients has a 0: give at least 1");
    let temporary = tempfile::Builder::new().prefix("kontiki-nodehost-").tempdir()?;
    let dir = args.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let mut rows = Vec::new();
    for round in 1..=args.rounds {
        for &groups in &args.groups {
            let mut order = vec![None];
            order.extend(args.dragonboat.as_deref().map(Some));
            if round % 2 == 0 {
                order.reverse();
            }
            for dragonboat in order {
                rows.extend(pass(args, groups, round, dragonboat, &dir).await?);
            }
        }
    }
    let rows = medians(&rows);
    print_tables(&rows);
    if let Some(path) = &args.json {
        write_json(&rows, path)?;
    }
    Ok(())
}

/// Every point once, on a fresh cluster.
async fn pass(
    args: &Args,
    groups: u64,
    round: u64,
    dragonboat: Option<&Path>,
    dir: &Path,
) -> anyhow::Result<Vec<WideRow>> {
    let mut contender = match dragonboat {
        None => Contender::Ours(Cluster::start(&dir.join("kontiki"), 3, groups, 0).await?),
        Some(program) => {
            let dir = dir.join("dragonboat");
            Contender::Theirs(Dragonboat::start(program, &dir, groups).await?)
        }
    };
    if groups > 1 {
        contender.spread().await?;
    }
    let mut rows = Vec::new();
    for &op in &args.ops {
        let payloads = if op == Op::Get { &args.payloads[..1] } else { &args.payloads[..] };
        for &payload in payloads {
            for &callers in &args.clients {
                let (warmup_s, seconds) = (args.warmup.into(), args.seconds.into());
                // Dealt over the groups. dragonboat has as many in every group, and with 48 of them
                // holds fewer rows all the same: in a run by default it comes to a million puts.
                let keys = KEYS.div_ceil(groups);
                let load = Load { op, callers, payload, keys, warmup_s, seconds, round };
                let (loaded, memory) = contender.load(&load).await?;
                let row = row(contender.name(), &load, &loaded);
                let wide = WideRow { row, payload, groups, memory };
                print_line(&wide, loaded.error.as_deref());
                rows.push(wide);
            }
        }
    }
    Ok(rows)
}

impl Contender {
    fn name(&self) -> &'static str {
        match self {
            Self::Ours(_) => "kontiki",
            Self::Theirs(_) => "dragonboat",
        }
    }

    async fn spread(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Ours(cluster) => cluster.place(Place::Spread).await,
            Self::Theirs(dragonboat) => dragonboat.spread().await,
        }
    }

    async fn load(&mut self, load: &Load) -> anyhow::Result<(Loaded, Memory)> {
        match self {
            Self::Ours(cluster) => Ok((cluster.load(load).await?, cluster.memory().await?)),
            Self::Theirs(dragonboat) => Ok((dragonboat.load(load).await?, dragonboat.memory())),
        }
    }
}

/// The row of a run.
pub(crate) fn row(system: &str, load: &Load, loaded: &Loaded) -> Row {
    Row {
        system: system.to_owned(),
        op: load.op.name(),
        clients: load.callers,
        ops_per_s: loaded.ops_per_s,
        p50_ms: loaded.p50_ms,
        p99_ms: loaded.p99_ms,
        p999_ms: loaded.p999_ms,
        errors: loaded.errors,
    }
}

/// The answers of processes that were loaded at once, as one: rates add up, and the slowest
/// percentile stands for all.
pub(crate) fn together(parts: &[Loaded]) -> Loaded {
    let worst = |of: fn(&Loaded) -> f64| parts.iter().map(of).fold(0.0, f64::max);
    Loaded {
        ops_per_s: parts.iter().map(|part| part.ops_per_s).sum(),
        p50_ms: worst(|part| part.p50_ms),
        p99_ms: worst(|part| part.p99_ms),
        p999_ms: worst(|part| part.p999_ms),
        errors: parts.iter().map(|part| part.errors).sum(),
        error: parts.iter().find_map(|part| part.error.clone()),
    }
}

pub(crate) fn print_line(wide: &WideRow, error: Option<&str>) {
    let error = error.map(|error| format!(", first of them: {error}")).unwrap_or_default();
    let WideRow { row, payload, groups, memory: Memory { rss_mb, state_mb } } = wide;
    println!(
        "{:<10} {:<3} {payload:>3} bytes, {groups:>4} groups, {:>4} callers: {:>7.0}/s, p50 {:.2} \
         p99 {:.2} ms, {rss_mb} MB ({state_mb:.0} of rows), {} errors{error}",
        row.system, row.op, row.clients, row.ops_per_s, row.p50_ms, row.p99_ms, row.errors
    );
}

/// A table for each number of groups and payload.
fn print_tables(rows: &[WideRow]) {
    let mut shown = Vec::new();
    for row in rows {
        let kind = (row.groups, row.payload);
        if shown.contains(&kind) {
            continue;
        }
        shown.push(kind);
        println!("\n{} groups, {} bytes", row.groups, row.payload);
        let of_kind = rows.iter().filter(|row| (row.groups, row.payload) == kind);
        let rows: Vec<Row> = of_kind.map(|wide| wide.row.clone()).collect();
        print_table(&rows, "kontiki");
    }
}

/// The medians over the rounds, in the order in which points first came.
pub(crate) fn medians(rows: &[WideRow]) -> Vec<WideRow> {
    let point = |wide: &WideRow| {
        let row = &wide.row;
        (wide.groups, row.op, wide.payload, row.clients, row.system.clone())
    };
    let mut medians: Vec<WideRow> = Vec::new();
    for wide in rows {
        if medians.iter().any(|median| point(median) == point(wide)) {
            continue;
        }
        let same: Vec<&WideRow> = rows.iter().filter(|other| point(other) == point(wide)).collect();
        let rounds: Vec<Row> = same.iter().map(|wide| wide.row.clone()).collect();
        let most = same.iter().map(|wide| wide.memory).max_by_key(|memory| memory.rss_mb);
        let memory = most.unwrap_or(wide.memory);
        medians.push(WideRow { row: median_row(&rounds), memory, ..wide.clone() });
    }
    medians
}
