//! `load`: one run on a cluster that runs already, for profiling, for other binaries and other
//! disks, and for checking this load generator against others on the same cluster.
//!
//! The clusters of `compare` are not involved: nothing is started, stopped or restarted.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args as ClapArgs;

use crate::closed_loop::Run;
use crate::systems::{Kind, System};
use crate::usage::{Figures, Watch, Watched, print_figures, print_threads};
use crate::workload::{Op, Values, Workload};

/// Flags of `load`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// What runs there
    #[arg(long, default_value = "kontiki")]
    system: Kind,
    /// Its stores or members, host:port
    #[arg(long, value_delimiter = ',', required = true)]
    endpoints: Vec<String>,
    /// Put every key once, and do nothing else
    #[arg(long)]
    preload: bool,
    /// What is measured
    #[arg(long, default_value = "put")]
    op: Op,
    /// Closed-loop clients
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Measured seconds
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// Unmeasured seconds before
    #[arg(long, default_value_t = 2.0)]
    warmup: f64,
    /// Distinct keys
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// Bytes of a value
    #[arg(long, default_value_t = 256)]
    value_size: usize,
    /// Another round takes other keys
    #[arg(long, default_value_t = 1)]
    round: u64,
    /// Processes of its servers, whose CPU time and more is printed
    #[arg(long, value_delimiter = ',')]
    pids: Vec<u32>,
    /// A directory on the disk of the servers, whose flushes are counted
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Also print what every process and thread used
    #[arg(long)]
    threads: bool,
    /// Print the row as one line of JSON and nothing else
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(args.clients > 0, "--clients is 0: give at least 1");
    let workload = Workload {
        keys: args.keys,
        values: Values::new(args.value_size),
        warmup: Duration::try_from_secs_f64(args.warmup).context("--warmup")?,
        seconds: Duration::try_from_secs_f64(args.seconds).context("--seconds")?,
    };
    let mut system = System::connect(args.system, &args.endpoints).await?;
    if args.preload {
        return system.preload(&workload).await.context("preload");
    }
    let server = |&pid: &u32| Watched::server(format!("pid {pid}"), pid);
    let mut processes: Vec<Watched> = args.pids.iter().map(server).collect();
    processes.push(Watched::this_program());
    let watch = Watch { processes, data: args.data_dir.clone() };
    let run = Run {
        system: args.system.name(),
        op: args.op,
        clients: args.clients,
        round: args.round,
        workload: &workload,
        watch: &watch,
    };
    let outcome = system.run(run).await;
    if args.json {
        println!("{}", serde_json::to_string(&outcome.row)?);
        return Ok(());
    }
    outcome.print_line();
    if !args.pids.is_empty() {
        let figures = Figures::of(&outcome.used);
        print_figures(&[(outcome.row.clone(), figures)]);
    }
    if args.threads {
        print_threads(&outcome.row, &outcome.used);
    }
    Ok(())
}
