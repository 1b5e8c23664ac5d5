//! dragonboat through the program of its baseline: three processes with its `tan` log, asked over
//! the HTTP port that each has.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Memory, together};
use crate::node::{Load, Loaded, Status};
use crate::process::Process;
use crate::systems::kontiki_stores::free_addresses;
use crate::usage::rss_mb;
use crate::workload::Op;

const NODES: usize = 3;
/// How long the cluster may take until every group has its leader where it shall be.
const READY_WITHIN: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const PLACE_EVERY: Duration = Duration::from_secs(1);

/// See the module; stops with this value.
pub(super) struct Dragonboat {
    groups: u64,
    /// Its processes and their HTTP addresses.
    nodes: Vec<(Process, String)>,
    /// Bytes of all keys and values that were put.
    put_bytes: f64,
}

/// What it says of a run.
#[derive(Deserialize)]
struct Answer {
    ops_per_sec: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    errors: u64,
    first_error: Option<String>,
}

impl Dragonboat {
    /// Starts it in an empty directory, and waits until every group has a leader.
    ///
    /// # Errors
    /// When it cannot be started, or a group has no leader in time.
    pub(super) async fn start(program: &Path, dir: &Path, groups: u64) -> anyhow::Result<Self> {
        let _ = std::fs::remove_dir_all(dir);
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let addresses = free_addresses(2 * NODES)?;
        let (rafts, controls) = addresses.split_at(NODES);
        let mut nodes = Vec::new();
        for (id, control) in (1..).zip(controls) {
            let mut command = Command::new(program);
            command
                .args(["node", "--id", &id.to_string(), "--raft", &rafts.join(",")])
                .args(["--groups", &groups.to_string(), "--logdb", "tan", "--http", control])
                // Times as in our nodes: a heartbeat in 100 ms, an election after a second.
                .args(["--rtt", "100", "--election", "10", "--heartbeat", "1", "--dir"])
                .arg(dir.join(id.to_string()));
            let process = Process::start(&mut command, &dir.join(format!("{id}.log")))?;
            nodes.push((process, control.clone()));
        }
        let mut cluster = Self { groups, nodes, put_bytes: 0.0 };
        let deadline = Instant::now() + READY_WITHIN;
        while !cluster.statuses().await.is_some_and(|all| all.iter().all(|s| s.known == groups)) {
            let ended = cluster.nodes.iter_mut().any(|(process, _)| process.has_ended());
            let dir = dir.display();
            anyhow::ensure!(!ended && Instant::now() < deadline, "no leaders; see {dir}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(cluster)
    }

    /// Moves leaders until each process leads its share.
    ///
    /// # Errors
    /// When they are not in time.
    pub(super) async fn spread(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            for (_, address) in &self.nodes {
                get::<serde_json::Value>(address, "/spread").await?;
            }
            tokio::time::sleep(PLACE_EVERY).await;
            let led: Vec<u64> =
                self.statuses().await.unwrap_or_default().iter().map(|s| s.led).collect();
            let (least, most) = (led.iter().min(), led.iter().max());
            if led.iter().sum::<u64>() == self.groups && most <= least.map(|n| n + 1).as_ref() {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "leaders do not move: {led:?}");
        }
    }

    /// Loads every process that leads something, callers dealt over them.
    ///
    /// # Errors
    /// When one does not answer.
    pub(super) async fn load(&mut self, load: &Load) -> anyhow::Result<Loaded> {
        let statuses = self.statuses().await.context("dragonboat does not answer")?;
        let leaders = statuses.iter().zip(&self.nodes).filter(|(status, _)| status.led > 0);
        let leaders: Vec<String> = leaders.map(|(_, (_, address))| address.clone()).collect();
        let op = if load.op == Op::Get { "read" } else { "put" };
        let path = format!(
            "/load?op={op}&inflight={}&payload={}&groups={}&seconds={:.0}&warmup={:.0}",
            load.callers.div_ceil(leaders.len().max(1)),
            load.payload,
            self.groups,
            load.seconds,
            load.warmup_s
        );
        let mut loads = tokio::task::JoinSet::new();
        for address in leaders {
            let path = path.clone();
            loads.spawn(async move { get::<Answer>(&address, &path).await });
        }
        let mut parts = Vec::new();
        while let Some(answer) = loads.join_next().await {
            let answer = answer??;
            parts.push(Loaded {
                ops_per_s: answer.ops_per_sec,
                p50_ms: answer.p50_ms,
                p99_ms: answer.p99_ms,
                p999_ms: answer.p999_ms,
                errors: answer.errors,
                error: answer.first_error,
            });
        }
        let loaded = together(&parts);
        if load.op == Op::Put {
            let put = loaded.ops_per_s * load.payload as f64 * (load.warmup_s + load.seconds);
            self.put_bytes += put;
        }
        Ok(loaded)
    }

    /// Memory of all processes; it can have no more rows than were put.
    pub(super) fn memory(&self) -> Memory {
        let rss_mb = self.nodes.iter().map(|(process, _)| rss_mb(process.pid())).sum();
        let state_mb = self.put_bytes * NODES as f64 / f64::from(1 << 20);
        Memory { rss_mb, state_mb }
    }

    async fn statuses(&self) -> Option<Vec<Status>> {
        let mut all = Vec::new();
        for (_, address) in &self.nodes {
            all.push(get(address, "/status").await.ok()?);
        }
        Some(all)
    }
}

/// The JSON under a path. HTTP/1.0: the answer ends with the connection.
async fn get<T: DeserializeOwned>(address: &str, path: &str) -> anyhow::Result<T> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("not an answer in HTTP")?;
    let is_ok = head.split(' ').nth(1) == Some("200");
    anyhow::ensure!(is_ok, "dragonboat refuses {path}: {}", body.trim());
    Ok(serde_json::from_str(body)?)
}
