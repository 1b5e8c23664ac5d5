//! Processes of [`crate::node`], started by this very program, and the connection to each.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use super::{Memory, together};
use crate::node::{Load, Loaded, Place, Request, Status};
use crate::process::Process;
use crate::systems::kontiki_stores::free_addresses;
use crate::usage::rss_mb;

/// How long the cluster may take until every group has its leader where it shall be.
const READY_WITHIN: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Between two orders to hand leadership over: the ones before need time to take effect.
const PLACE_EVERY: Duration = Duration::from_millis(500);

/// Freed memory is kept for so many milliseconds, as in `kontiki serve`.
const PURGE_DELAY: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "1000");

/// See the module; stops with this value.
pub(crate) struct Cluster {
    groups: u64,
    nodes: Vec<Node>,
}

struct Node {
    process: Process,
    control: BufStream<TcpStream>,
}

impl Cluster {
    /// Starts this many nodes in an empty directory, and waits until every group has a leader. A
    /// sync of a log takes at least `sync_ms` milliseconds.
    ///
    /// # Errors
    /// When a node ends, or a group has no leader in time.
    pub(crate) async fn start(
        dir: &Path,
        nodes: usize,
        groups: u64,
        sync_ms: u64,
    ) -> anyhow::Result<Self> {
        let _ = std::fs::remove_dir_all(dir);
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let addresses = free_addresses(2 * nodes)?;
        let (nodes, controls) = addresses.split_at(nodes);
        let mut processes = Vec::new();
        for (id, control) in (1..).zip(controls) {
            let mut command = Command::new(std::env::current_exe()?);
            command
                .args(["node", "--id", &id.to_string(), "--nodes", &nodes.join(",")])
                .args(["--control", control, "--groups", &groups.to_string()])
                .args(["--sync-ms", &sync_ms.to_string(), "--dir"])
                .arg(dir.join(id.to_string()))
                .env(PURGE_DELAY.0, PURGE_DELAY.1);
            let log = dir.join(format!("{id}.log"));
            processes.push((Process::start(&mut command, &log)?, control));
        }
        let mut cluster = Self { groups, nodes: Vec::new() };
        for (mut process, control) in processes {
            let connected = connect(&mut process, control).await;
            let control = connected.with_context(|| format!("its log is in {}", dir.display()))?;
            cluster.nodes.push(Node { process, control });
        }
        cluster.until(|all| all.iter().all(|status| status.known == groups)).await?;
        Ok(cluster)
    }

    /// Moves leaders until they are where they shall be.
    ///
    /// # Errors
    /// When they are not in time.
    pub(crate) async fn place(&mut self, place: Place) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        let share = self.groups / self.nodes.len() as u64;
        loop {
            let mut led = Vec::new();
            for node in &mut self.nodes {
                led.push(node.ask::<Status>(&Request::Place(place)).await?.led);
            }
            let all = led.iter().sum::<u64>() == self.groups;
            let placed = match place {
                Place::Spread => led.iter().all(|&led| led >= share && led <= share + 1),
                Place::Gather => led[0] == self.groups,
            };
            if all && placed {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "leaders do not move: {led:?}");
            tokio::time::sleep(PLACE_EVERY).await;
        }
    }

    /// Loads every node that leads something, callers dealt over them.
    ///
    /// # Errors
    /// When a node ends.
    pub(crate) async fn load(&mut self, load: &Load) -> anyhow::Result<Loaded> {
        let mut leaders = Vec::new();
        for node in &mut self.nodes {
            if node.ask::<Status>(&Request::Status).await?.led > 0 {
                leaders.push(node);
            }
        }
        let callers = load.callers.div_ceil(leaders.len().max(1));
        let request = Request::Load(Load { callers, ..*load });
        // Each connection is busy with its own answer: all are written first, then all are read.
        for node in &mut leaders {
            node.say(&request).await?;
        }
        let mut parts = Vec::new();
        for node in &mut leaders {
            parts.push(node.hear::<Loaded>().await?);
        }
        Ok(together(&parts))
    }

    /// Memory of all processes.
    ///
    /// # Errors
    /// When a node ends.
    pub(crate) async fn memory(&mut self) -> anyhow::Result<Memory> {
        let mut state_bytes = 0;
        for node in &mut self.nodes {
            state_bytes += node.ask::<Status>(&Request::Status).await?.state_bytes;
        }
        let rss_mb = self.nodes.iter().map(|node| rss_mb(node.process.pid())).sum();
        let state_mb = state_bytes as f64 / f64::from(1 << 20);
        Ok(Memory { rss_mb, state_mb })
    }

    async fn until(&mut self, ready: impl Fn(&[Status]) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let mut all = Vec::new();
            for node in &mut self.nodes {
                all.push(node.ask(&Request::Status).await?);
            }
            if ready(&all) {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "some groups have no leader");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Node {
    async fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> anyhow::Result<T> {
        self.say(request).await?;
        self.hear().await
    }

    async fn say(&mut self, request: &Request) -> anyhow::Result<()> {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        self.control.write_all(line.as_bytes()).await?;
        Ok(self.control.flush().await?)
    }

    async fn hear<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        let length = self.control.read_line(&mut line).await?;
        anyhow::ensure!(length > 0, "a node has ended");
        Ok(serde_json::from_str(&line)?)
    }
}

async fn connect(process: &mut Process, address: &str) -> anyhow::Result<BufStream<TcpStream>> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        if let Ok(stream) = TcpStream::connect(address).await {
            stream.set_nodelay(true)?;
            return Ok(BufStream::new(stream));
        }
        let ended = process.has_ended();
        anyhow::ensure!(!ended && Instant::now() < deadline, "a node does not start");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
