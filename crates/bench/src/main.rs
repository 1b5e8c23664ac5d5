//! `kontiki-bench`: load on Kontiki and its parts, side by side with peers, as ratios.
//!
//! Everything it starts runs on loopback, in a directory of its own, and is stopped by pid.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "this program's output is its purpose")]

mod compare;
mod engine;
mod histogram;
mod log;
mod process;
mod report;

use clap::{Parser, Subcommand};

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
    /// Our log against the crate raft-engine, both with fdatasync
    Log(log::Args),
    /// Batches of puts and gets on the storage engines
    Engine(engine::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Compare(args) => compare::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Engine(args) => engine::run(&args),
    }
}
