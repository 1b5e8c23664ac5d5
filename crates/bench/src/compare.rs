//! `compare`: the same closed loop on Kontiki and on a peer, three members each, fsync on, on the
//! same disk, in alternating rounds.
//!
//! Fairness (all of it is told in `docs/bench.md`): both clusters run all the time, and a run
//! begins only when both idle and dirty pages are written back, so that neither pays for what the
//! other left behind; the order turns around every round; keys, values and time limits are the
//! same; etcd's members are restarted before every operation's runs, because right after loads of
//! writes its reads are several times slower.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};

use crate::closed_loop::Run;
use crate::report::{Row, median_row, print_table, write_json};
use crate::systems::{Kind, System, etcd_cluster, kontiki_cluster};
use crate::usage::{Figures, Watch, Watched, print_figures, print_threads, settle};
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
    /// The kontiki binary [default: the one beside this program, built by `cargo run`]
    #[arg(long)]
    kontiki: Option<PathBuf>,
    /// Where both clusters keep their data, below it `etcd` and `kontiki`, emptied first
    /// [default: a temporary directory]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Measure only this system
    #[arg(long)]
    only: Option<Kind>,
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

#[derive(Clone, Copy, ValueEnum)]
enum Peer {
    /// etcd, three members
    Etcd,
}

/// The processes of a cluster.
enum Cluster {
    Etcd(etcd_cluster::Cluster),
    Kontiki(kontiki_cluster::Cluster),
}

/// A cluster and the connection to it.
struct Contender {
    kind: Kind,
    cluster: Cluster,
    system: System,
}

/// One cell of the table: an operation at a number of clients.
#[derive(Clone, Copy)]
struct Point {
    op: Op,
    clients: usize,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let Peer::Etcd = args.peer;
    anyhow::ensure!(args.rounds > 0, "--rounds is 0: give at least 1");
    anyhow::ensure!(!args.clients.contains(&0), "--clients has a 0: give at least 1");
    if cfg!(debug_assertions) {
        println!("note: this is a debug build; figures mean nothing");
    }
    let temporary = tempfile::Builder::new().prefix("kontiki-bench-").tempdir()?;
    let dir = args.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let workload = Workload {
        keys: args.keys,
        values: Values::new(args.value_size),
        warmup: Duration::try_from_secs_f64(args.warmup).context("--warmup")?,
        seconds: Duration::try_from_secs_f64(args.seconds).context("--seconds")?,
    };
    let mut contenders = Vec::new();
    for kind in [Kind::Kontiki, Kind::Etcd] {
        if args.only.is_none_or(|only| only == kind) {
            contenders.push(Contender::start(kind, args, &dir, &workload).await?);
        }
    }
    let mut points = Vec::new();
    for &op in &args.ops {
        for contender in &mut contenders {
            contender.refresh().await?;
        }
        for &clients in &args.clients {
            let point = Point { op, clients };
            points.extend(measure(&mut contenders, point, args, &workload, &dir).await?);
        }
    }
    let rows: Vec<Row> = points.iter().map(|(row, _)| row.clone()).collect();
    print_table(&rows, Kind::Kontiki.name());
    if args.verbose {
        print_figures(&points);
    }
    if let Some(path) = &args.json {
        write_json(&rows, path)?;
    }
    Ok(())
}

/// All rounds of one point, and the medians of each contender.
async fn measure(
    contenders: &mut [Contender],
    point: Point,
    args: &Args,
    workload: &Workload,
    dir: &Path,
) -> anyhow::Result<Vec<(Row, Figures)>> {
    let Point { op, clients } = point;
    let mut measured: Vec<(Vec<Row>, Vec<Figures>)> =
        contenders.iter().map(|_| Default::default()).collect();
    for round in 1..=args.rounds {
        let servers: Vec<Watched> = contenders.iter().flat_map(Contender::watched).collect();
        let all = Watch { processes: servers, data: None };
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 0 {
            order.reverse();
        }
        for at in order {
            if let Some(cores) = settle(&all).await {
                println!("note: the servers do not idle, they use {cores:.2} cores");
            }
            let contender = &mut contenders[at];
            let mut processes = contender.watched();
            processes.push(Watched::this_program());
            let watch = Watch { processes, data: Some(dir.to_owned()) };
            let system = contender.kind.name();
            let run = Run { system, op, clients, round, workload, watch: &watch };
            let outcome = contender.system.run(run).await;
            contender.check(&watch)?;
            outcome.print_line();
            if args.threads && round == args.rounds {
                print_threads(&outcome.row, &outcome.used);
            }
            measured[at].1.push(Figures::of(&outcome.used));
            measured[at].0.push(outcome.row);
        }
    }
    let medians =
        measured.iter().map(|(rows, figures)| (median_row(rows), Figures::median(figures)));
    Ok(medians.collect())
}

impl Contender {
    async fn start(
        kind: Kind,
        args: &Args,
        dir: &Path,
        workload: &Workload,
    ) -> anyhow::Result<Self> {
        let name = kind.name();
        let dir = dir.join(name);
        let cluster = match kind {
            Kind::Etcd => Cluster::Etcd(etcd_cluster::Cluster::start(&args.etcd, &dir)?),
            Kind::Kontiki => {
                let binary = args.kontiki.as_deref();
                Cluster::Kontiki(kontiki_cluster::Cluster::start(binary, &dir).await?)
            }
        };
        let system = cluster.connect().await?;
        println!("{name} is up; preloading {} keys", workload.keys);
        system.preload(workload).await.with_context(|| format!("preload {name}"))?;
        Ok(Self { kind, cluster, system })
    }

    /// Brings it into the state in which reads and writes are measured.
    async fn refresh(&mut self) -> anyhow::Result<()> {
        if let Cluster::Etcd(cluster) = &mut self.cluster {
            cluster.restart()?;
            self.system = self.cluster.connect().await?;
        }
        Ok(())
    }

    fn watched(&self) -> Vec<Watched> {
        match &self.cluster {
            Cluster::Etcd(cluster) => cluster.watched(),
            Cluster::Kontiki(cluster) => cluster.watched(),
        }
    }

    /// Refuses figures of a cluster that lost a member meanwhile.
    fn check(&self, watch: &Watch) -> anyhow::Result<()> {
        let dir = match &self.cluster {
            Cluster::Etcd(cluster) => cluster.dir(),
            Cluster::Kontiki(cluster) => cluster.dir(),
        };
        for one in &watch.processes {
            let (name, label) = (self.kind.name(), &one.label);
            anyhow::ensure!(one.runs(), "{label} of {name} died; see {}", dir.display());
        }
        Ok(())
    }
}

impl Cluster {
    async fn connect(&self) -> anyhow::Result<System> {
        let (kind, endpoints, dir) = match self {
            Self::Etcd(cluster) => (Kind::Etcd, etcd_cluster::Cluster::endpoints(), cluster.dir()),
            Self::Kontiki(cluster) => (Kind::Kontiki, cluster.endpoints(), cluster.dir()),
        };
        let connected = System::connect(kind, &endpoints).await;
        connected.with_context(|| format!("its logs are in {}", dir.display()))
    }
}
