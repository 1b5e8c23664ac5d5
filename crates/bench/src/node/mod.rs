//! `node`: one process of a measurement of the host library: Raft groups with a map as state
//! machine, and the callers that load those that it leads. Started by [`crate::nodehost`] and
//! [`crate::groups`], never by people.
//!
//! It listens for one connection of its parent and answers [`Request`]s, one line of JSON each;
//! when that connection ends, so does the process.
//!
//! | file | about |
//! |---|---|
//! | [`machine`], [`rows`] | the map |
//! | [`slow_disk`] | a disk that takes its time to sync |
//! | [`transport`] | frames over plain TCP |
//! | [`callers`] | the closed loop of callers in this process |

mod callers;
mod machine;
mod rows;
mod slow_disk;
mod transport;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args as ClapArgs;
use kontiki_host::disk::RealDisk;
use kontiki_host::tcp::Tcp;
use kontiki_host::{Background, HostedGroup, NodeHost, Options};
use kontiki_multiraft::ShardConfig;
use kontiki_types::{Membership, PeerId, Position, RegionId, StoreId};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::workload::Op;
use callers::Callers;
use machine::Machine;
use slow_disk::SlowDisk;

/// Between the heartbeats of a leader.
const HEARTBEAT: Duration = Duration::from_millis(100);
/// Shortest time without a leader before an election: the same as dragonboat's in its baseline.
const ELECTION: Duration = Duration::from_secs(1);
/// Distinct keys: as many as in dragonboat's baseline.
pub(crate) const KEYS: u64 = 1_000_000;
/// Threads that apply: the library's default.
const APPLY_WORKERS: usize = 2;

/// Flags of `node`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Which one this is, from 1
    #[arg(long)]
    id: u64,
    /// Where every node listens for the others
    #[arg(long, value_delimiter = ',')]
    nodes: Vec<String>,
    /// Where this one listens for its parent
    #[arg(long)]
    control: String,
    /// How many groups
    #[arg(long)]
    groups: u64,
    /// Where its log lies
    #[arg(long)]
    dir: PathBuf,
    /// Least milliseconds of a sync of its log
    #[arg(long, default_value_t = 0)]
    sync_ms: u64,
}

/// What a parent asks.
#[derive(Serialize, Deserialize)]
pub(crate) enum Request {
    /// How many groups have a leader, and how many are led here.
    Status,
    /// Hand over groups led here, so that each node leads its share, or node 1 leads all.
    Place(Place),
    /// Load groups that are led here.
    Load(Load),
}

/// Who shall lead.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// Each node an equal share.
    Spread,
    /// The first node all.
    Gather,
}

/// A run of callers.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) op: Op,
    pub(crate) callers: usize,
    /// Bytes of a key and a value together.
    pub(crate) payload: usize,
    /// Distinct keys in each group.
    pub(crate) keys: u64,
    pub(crate) warmup_s: f64,
    pub(crate) seconds: f64,
    /// Other rounds take other keys.
    pub(crate) round: u64,
}

/// An answer to [`Request::Status`] and [`Request::Place`].
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Groups whose leader is known.
    pub(crate) known: u64,
    /// Groups that are led here.
    pub(crate) led: u64,
    /// Bytes of all keys and values here; dragonboat does not tell.
    #[serde(default)]
    pub(crate) state_bytes: u64,
}

/// An answer to [`Request::Load`].
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) ops_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) errors: u64,
    pub(crate) error: Option<String>,
}

/// The node that this store is in any group.
fn home(group: RegionId, place: Place, nodes: u64) -> StoreId {
    match place {
        Place::Spread => StoreId(group.0 % nodes + 1),
        Place::Gather => StoreId(1),
    }
}

struct Node {
    id: StoreId,
    nodes: u64,
    host: NodeHost,
    machines: BTreeMap<RegionId, Machine>,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let control = TcpListener::bind(&args.control).await.context("listen for the parent")?;
    let node = Node::start(args)?;
    let (stream, _) = control.accept().await?;
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        let mut answer = match serde_json::from_str(&line).context("a request")? {
            Request::Status => serde_json::to_string(&node.status()?)?,
            Request::Place(place) => {
                node.place(place)?;
                serde_json::to_string(&node.status()?)?
            }
            Request::Load(load) => serde_json::to_string(&node.load(&load).await?)?,
        };
        answer.push('\n');
        write.write_all(answer.as_bytes()).await?;
    }
    node.host.stop();
    Ok(())
}

impl Node {
    fn start(args: &Args) -> anyhow::Result<Self> {
        let count = args.nodes.len() as u64;
        let id = StoreId(args.id);
        let machines: BTreeMap<RegionId, Machine> =
            (1..=args.groups).map(|group| (RegionId(group), Machine::default())).collect();
        let hosted = |(&group, machine): (&RegionId, &Machine)| HostedGroup {
            group,
            peer: PeerId(args.id),
            machine: Box::new(machine.clone()),
            applied: Position::ZERO,
            membership: Membership::of_voters(count),
            pending_install: None,
            succession: None,
        };
        let disk = RealDisk::open(&args.dir.join("log"))?;
        let disk = SlowDisk { disk, sync_min: Duration::from_millis(args.sync_ms) };
        let log = kontiki_log::Config::new(args.id);
        let transport = Arc::new(transport::start(id, &args.nodes)?);
        let groups = machines.iter().map(hosted).collect();
        let options = options(&args.dir, args.id, Arc::clone(&transport));
        let host = NodeHost::start(options, disk, log, groups)?;
        transport::listen(id, &args.nodes, &host)?;
        Ok(Self { id, nodes: count, host, machines })
    }

    fn status(&self) -> anyhow::Result<Status> {
        let groups = self.host.statuses().context("the host does not say how it stands")?;
        let led = groups.iter().filter(|group| self.leads(group.leader)).count();
        let known = groups.iter().filter(|group| group.leader.is_some()).count();
        let state_bytes = self.machines.values().map(Machine::bytes).sum();
        Ok(Status { known: known as u64, led: led as u64, state_bytes })
    }

    fn leads(&self, leader: Option<(PeerId, StoreId)>) -> bool {
        leader.is_some_and(|(_, store)| store == self.id)
    }

    fn led(&self) -> anyhow::Result<Vec<RegionId>> {
        let groups = self.host.statuses().context("the host does not say how it stands")?;
        let led = groups.iter().filter(|group| self.leads(group.leader));
        Ok(led.map(|group| group.group).collect())
    }

    fn place(&self, place: Place) -> anyhow::Result<()> {
        for group in self.led()? {
            let to = home(group, place, self.nodes);
            if to != self.id {
                // A refusal is tried again by the parent.
                self.host.transfer(group, to, Box::new(|_| ()));
            }
        }
        Ok(())
    }

    async fn load(&self, load: &Load) -> anyhow::Result<Loaded> {
        let led = self.led()?;
        anyhow::ensure!(!led.is_empty(), "no group is led here");
        let groups = led.into_iter().map(|group| (group, self.machines[&group].clone())).collect();
        let callers = Callers { host: self.host.clone(), groups };
        callers.run(load).await
    }
}

fn options(dir: &Path, seed: u64, transport: Arc<Tcp>) -> Options {
    // A follower that is alive gets what it needs from the log: nothing here sends snapshots.
    let shard = ShardConfig { retain_bytes_max: usize::MAX, ..ShardConfig::default() };
    Options {
        shard,
        heartbeat_interval: HEARTBEAT,
        election_timeout: ELECTION,
        seed,
        spool_dir: dir.join("spool"),
        transport,
        // As if a snapshot were taken each time: the log is dropped behind what is applied.
        sync_engine: Box::new(|| Ok(())),
        background: Background::new(),
        on_notice: Arc::new(|_, _| ()),
        on_fatal: Box::new(|_| std::process::exit(1)),
        apply_workers: APPLY_WORKERS,
        installs: kontiki_host::Installs::InOrder,
        metrics: None,
    }
}
