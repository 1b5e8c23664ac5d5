//! `raft`: what the protocol itself costs for an entry, on our crate and, with the feature `peers`,
//! on the crates `raft` (TiKV's) and `openraft`, in alternating rounds.
//!
//! Fairness: three replicas in one process on one thread, nothing but memory: a write is durable at
//! once, a message arrives at once, applying is counting. The same number of proposals is kept
//! under way on the leader; each is a vector of its own that is handed over. Where a peer has a
//! knob, it stands where the peer is fastest: appends of up to 1 MiB, entries of one round in one
//! message. All drop their log behind what everybody has applied. openraft is a library of tasks
//! and channels, the other two are driven by hand: that difference is part of what is compared.

#[cfg(feature = "peers")]
mod open_raft;
mod ours;
#[cfg(feature = "peers")]
mod raft_rs;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args as ClapArgs;

use crate::report::{Row, median_row, print_table, round, write_json};
use crate::samples::Samples;

/// How many entries may be applied before the log is dropped behind them.
const COMPACT_EVERY: u64 = 16_384;
/// Between the heartbeats of a leader; an election timeout is ten of them.
const HEARTBEAT: Duration = Duration::from_millis(100);
/// The replicas.
const REPLICAS: usize = 3;
/// What the library in this workspace is called in the table.
const OURS: &str = "kontiki";

/// Flags of `raft`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Proposals under way at once, one run each
    #[arg(long, value_delimiter = ',', default_value = "1,64,4096")]
    clients: Vec<usize>,
    /// Bytes of a proposal
    #[arg(long, default_value_t = 256)]
    payload: usize,
    /// Measured seconds of each run
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Unmeasured seconds before
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    /// Alternating rounds; figures are medians
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    /// Measure only this system
    #[arg(long)]
    only: Option<String>,
    /// Write the rows here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Three replicas with a leader.
trait Group {
    /// Proposes on the leader.
    async fn propose(&mut self, data: Vec<u8>) -> anyhow::Result<()>;

    /// Lets things happen; tells how many more proposals the leader has applied, in their order.
    async fn turn(&mut self) -> anyhow::Result<usize>;
}

/// What a run is made of.
struct Run<'a> {
    system: &'static str,
    clients: usize,
    args: &'a Args,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(args.rounds > 0, "--rounds is 0: give at least 1");
    anyhow::ensure!(!args.clients.contains(&0), "--clients has a 0: give at least 1");
    let mut systems = vec![OURS];
    if cfg!(feature = "peers") {
        systems.extend(["raft-rs", "openraft"]);
    } else {
        println!("note: without peers; build with --features peers");
    }
    systems.retain(|&system| args.only.as_deref().is_none_or(|only| only == system));
    anyhow::ensure!(!systems.is_empty(), "--only names no system of this build");
    let mut medians = Vec::new();
    for &clients in &args.clients {
        let mut rounds: Vec<Vec<Row>> = systems.iter().map(|_| Vec::new()).collect();
        for round in 1..=args.rounds {
            let mut order: Vec<usize> = (0..systems.len()).collect();
            if round % 2 == 0 {
                order.reverse();
            }
            for at in order {
                let row = one(&Run { system: systems[at], clients, args })?;
                println!(
                    "{:<9} {clients:>5} under way: {:>9.0}/s, {:.2} µs each",
                    row.system,
                    row.ops_per_s,
                    1e6 / row.ops_per_s
                );
                rounds[at].push(row);
            }
        }
        medians.extend(rounds.iter().map(|rows| median_row(rows)));
    }
    print_table(&medians, OURS);
    if let Some(path) = &args.json {
        write_json(&medians, path)?;
    }
    Ok(())
}

/// One run on a group of its own.
fn one(run: &Run<'_>) -> anyhow::Result<Row> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        match run.system {
            #[cfg(feature = "peers")]
            "raft-rs" => measure(run, raft_rs::RaftRs::start()?).await,
            #[cfg(feature = "peers")]
            "openraft" => measure(run, open_raft::OpenRaft::start().await?).await,
            _ => measure(run, ours::Ours::start()?).await,
        }
    })
}

/// The closed loop: what is applied is proposed anew.
async fn measure(run: &Run<'_>, mut group: impl Group) -> anyhow::Result<Row> {
    let warmup = Duration::try_from_secs_f64(run.args.warmup).context("--warmup")?;
    let seconds = Duration::try_from_secs_f64(run.args.seconds).context("--seconds")?;
    let mut under_way = VecDeque::with_capacity(run.clients);
    let mut samples = Samples::default();
    let begin = Instant::now() + warmup;
    let end = begin + seconds;
    let mut now = Instant::now();
    while now < end {
        while under_way.len() < run.clients {
            group.propose(vec![7; run.args.payload]).await?;
            under_way.push_back(now);
        }
        let applied = group.turn().await?;
        now = Instant::now();
        for proposed in under_way.drain(..applied) {
            if now >= begin && now < end {
                samples.record(now - proposed);
            }
        }
    }
    samples.sort();
    Ok(Row {
        system: run.system.to_owned(),
        op: "propose",
        clients: run.clients,
        ops_per_s: round(samples.count() as f64 / seconds.as_secs_f64(), 10.0),
        p50_ms: round(samples.quantile_ms(0.5), 1000.0),
        p99_ms: round(samples.quantile_ms(0.99), 1000.0),
        p999_ms: round(samples.quantile_ms(0.999), 1000.0),
        errors: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every system that this build has commits what is proposed, in a loop that ends.
    #[test]
    fn each_group_applies_what_is_proposed() {
        let args = Args {
            clients: vec![3],
            payload: 16,
            seconds: 0.05,
            warmup: 0.0,
            rounds: 1,
            only: None,
            json: None,
        };
        let systems: &[&str] =
            if cfg!(feature = "peers") { &[OURS, "raft-rs", "openraft"] } else { &[OURS] };
        for &system in systems {
            let row = one(&Run { system, clients: 3, args: &args }).unwrap();
            assert!(row.ops_per_s > 0.0, "{system} applied nothing");
        }
    }
}
