//! `compare`: the same closed loop on Kontiki and on a peer, three members each, fsync on, on the
//! same disk, side by side in one run.
//!
//! | file | about |
//! |---|---|
//! | [`contender`] | a cluster that this program loads itself |
//! | [`rounds`] | etcd: both clusters run all the time, every point alternates |
//! | [`passes`] | RheaKV: its own harness loads it, so whole passes alternate |
//!
//! What makes each of them fair is told there, and for users in `docs/bench.md`.

mod contender;
mod passes;
mod rounds;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};

use crate::report::{print_table, write_json};
use crate::systems::Kind;
use crate::usage::print_figures;
use crate::workload::{Op, Values, Workload};

/// Flags of `compare`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The peer
    peer: Peer,
    /// Closed-loop clients, one run each
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256,1000")]
    clients: Vec<usize>,
    /// Measured seconds of each run
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// Unmeasured seconds before
    #[arg(long, default_value_t = 2.0)]
    warmup: f64,
    /// Alternating rounds; figures are medians
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// Distinct keys, all preloaded
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// Bytes of a value
    #[arg(long, default_value_t = 256)]
    value_size: usize,
    /// What is measured
    #[arg(long, value_delimiter = ',', default_value = "put,get")]
    ops: Vec<Op>,
    /// The etcd binary
    #[arg(long, default_value = "etcd")]
    etcd: PathBuf,
    /// The folder of RheaKV's built harness: rheakv-baseline.jar and lib, there or in `target`
    #[arg(long, required_if_eq("peer", "rheakv"))]
    rheakv: Option<PathBuf>,
    /// The kontiki binary [default: the one beside this program, built by `cargo run`]
    #[arg(long)]
    kontiki: Option<PathBuf>,
    /// Where both clusters keep their data, below it a folder of each name, emptied first
    /// [default: a temporary directory]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Measure only this side
    #[arg(long)]
    only: Option<Side>,
    /// Also print what an operation cost: CPU, context switches, calls, disk
    #[arg(long, short)]
    verbose: bool,
    /// Also print that for every process and thread of the last round of each point
    #[arg(long)]
    threads: bool,
    /// Write the rows here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// etcd, three members
    Etcd,
    /// RheaKV, three stores of its Java harness
    Rheakv,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    /// This project
    Kontiki,
    /// The other one
    Peer,
}

/// What all runs of a comparison share.
struct Plan<'a> {
    args: &'a Args,
    workload: Workload,
    dir: PathBuf,
}

impl Plan<'_> {
    fn includes(&self, side: Side) -> bool {
        self.args.only.is_none_or(|only| only == side)
    }
}

/// One cell of the table: an operation at a number of clients.
#[derive(Clone, Copy)]
struct Point {
    op: Op,
    clients: usize,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(args.rounds > 0, "--rounds is 0: give at least 1");
    anyhow::ensure!(!args.clients.contains(&0), "--clients has a 0: give at least 1");
    if cfg!(debug_assertions) {
        println!("note: this is a debug build; figures mean nothing");
    }
    let temporary = tempfile::Builder::new().prefix("kontiki-bench-").tempdir()?;
    let workload = Workload {
        keys: args.keys,
        values: Values::new(args.value_size),
        warmup: Duration::try_from_secs_f64(args.warmup).context("--warmup")?,
        seconds: Duration::try_from_secs_f64(args.seconds).context("--seconds")?,
    };
    let dir = args.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let plan = Plan { args, workload, dir };
    let rows = match args.peer {
        Peer::Etcd => {
            let points = rounds::run(&plan).await?;
            if args.verbose {
                print_figures(&points);
            }
            points.into_iter().map(|(row, _)| row).collect()
        }
        Peer::Rheakv => passes::run(&plan).await?,
    };
    print_table(&rows, Kind::Kontiki.name());
    if let Some(path) = &args.json {
        write_json(&rows, path)?;
    }
    Ok(())
}
