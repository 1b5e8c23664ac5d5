//! `compare etcd`: the same closed loop on Kontiki and on etcd, three members each, fsync on, on
//! the same disk, in alternating rounds.
//!
//! Fairness: both clusters run all the time and idle while the other is loaded; both get the same
//! keys and values; etcd's requests are spread over its members as its own tools do; its members
//! are restarted after the preload, because right after one its reads are several times slower.

mod etcd;
mod kontiki;
pub(crate) mod load;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};

use crate::report::{Row, median, print_table, write_json};
use load::{Op, Workload};

/// Flags of `compare`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The peer
    peer: Peer,
    /// Closed-loop clients, one run each
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256,1000")]
    clients: Vec<usize>,
    /// Measured seconds of each run
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Unmeasured seconds before
    #[arg(long, default_value_t = 1)]
    warmup: u64,
    /// Alternating rounds; figures are medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Distinct keys, all preloaded
    #[arg(long, default_value_t = 1_000_000)]
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
    /// The kontiki binary; default: the one beside this program
    #[arg(long)]
    kontiki: Option<PathBuf>,
    /// Where both clusters keep their data; default: a temporary directory
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Measure only Kontiki
    #[arg(long)]
    alone: bool,
    /// Write the rows here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Peer {
    /// etcd, three members
    Etcd,
}

/// A cluster under load.
enum System {
    Etcd(etcd::Cluster),
    Kontiki(kontiki::Cluster),
}

impl System {
    fn name(&self) -> &'static str {
        match self {
            Self::Etcd(_) => "etcd",
            Self::Kontiki(_) => "kontiki",
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let Peer::Etcd = args.peer;
    let temporary = tempfile::Builder::new().prefix("kontiki-bench-").tempdir()?;
    let dir = args.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let workload = Workload {
        keys: args.keys,
        value_size: args.value_size,
        warmup: Duration::from_secs(args.warmup),
        seconds: Duration::from_secs(args.seconds),
    };
    runtime.block_on(async {
        let mut systems = Vec::new();
        if !args.alone {
            let mut cluster = etcd::Cluster::start(&args.etcd, &dir.join("etcd")).await?;
            println!("etcd is up; preloading {} keys", args.keys);
            cluster.preload(&workload).await.context("preload etcd")?;
            cluster.restart().await?;
            systems.push(System::Etcd(cluster));
        }
        let cluster =
            kontiki::Cluster::start(args.kontiki.as_deref(), &dir.join("kontiki")).await?;
        println!("kontiki is up; preloading {} keys", args.keys);
        cluster.preload(&workload).await.context("preload kontiki")?;
        systems.push(System::Kontiki(cluster));

        let mut rows = Vec::new();
        for &op in &args.ops {
            for &clients in &args.clients {
                rows.extend(measure(&systems, op, clients, args.rounds, &workload).await);
            }
        }
        print_table(&rows, "kontiki");
        if let Some(path) = &args.json {
            write_json(&rows, path)?;
        }
        Ok(())
    })
}

async fn measure(
    systems: &[System],
    op: Op,
    clients: usize,
    rounds: usize,
    workload: &Workload,
) -> Vec<Row> {
    let mut measured: Vec<Vec<Row>> = systems.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (system, rows) in systems.iter().zip(&mut measured) {
            let row = match system {
                System::Etcd(cluster) => {
                    load::run(cluster, system.name(), op, clients, workload).await
                }
                System::Kontiki(cluster) => {
                    load::run(cluster, system.name(), op, clients, workload).await
                }
            };
            println!(
                "{:<8} {:<4} {:>5} clients: {:>8.0}/s, p99 {:.2} ms",
                row.system, row.op, row.clients, row.ops_per_s, row.p99_ms
            );
            rows.push(row);
        }
    }
    measured.iter().map(|rounds| median(rounds)).collect()
}
