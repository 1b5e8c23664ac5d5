//! `kontiki-bench`: load on Kontiki and its parts, side by side with peers, as ratios.
//!
//! Everything it starts runs on loopback, in a directory of its own, and is stopped by pid, also
//! when this program is interrupted. How to read and repeat its figures: `docs/bench.md`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "this program's output is its purpose")]

mod closed_loop;
mod compare;
mod engine;
mod failover;
mod groups;
mod load;
mod log;
mod node;
mod nodehost;
mod process;
mod raft;
mod report;
mod samples;
mod systems;
mod usage;
mod workload;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Load, side by side with peers", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A whole cluster against another system's, in alternating rounds
    Compare(compare::Args),
    /// One run on a cluster that runs already
    Load(load::Args),
    /// Our log against the crate raft-engine, both with fdatasync
    Log(log::Args),
    /// The host library, callers inside the leader's process, against dragonboat
    Nodehost(nodehost::Args),
    /// Many groups that write at once, against one
    Groups(groups::Args),
    /// One process of the two above
    #[command(hide = true)]
    Node(node::Args),
    /// What the protocol costs for an entry, against the crates raft and openraft
    Raft(raft::Args),
    /// How long nobody is acknowledged when the leader dies or hands over
    Failover(failover::Args),
    /// Batches of puts and gets on the storage engines
    Engine(engine::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Compare(args) => until_interrupted(compare::run(&args)),
        Command::Load(args) => until_interrupted(load::run(&args)),
        Command::Failover(args) => until_interrupted(failover::run(&args)),
        Command::Nodehost(args) => until_interrupted(nodehost::run(&args)),
        Command::Groups(args) => until_interrupted(groups::run(&args)),
        Command::Node(args) => until_interrupted(node::run(&args)),
        Command::Raft(args) => raft::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Engine(args) => engine::run(&args),
    }
}

/// Runs it on threads for all cores; SIGINT and SIGTERM drop it, and so stop what it started.
fn until_interrupted(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = work => result,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("terminated"),
        }
    })
}
