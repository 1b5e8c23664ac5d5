//! Three etcd members on loopback, with etcd's defaults, and plain unary calls to them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use tonic::transport::{Channel, Endpoint};

use super::load::{Client, Target, Workload, key, value};
use crate::process::Process;

/// The messages of `proto/etcd.proto`.
#[allow(
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    unused_qualifications,
    reason = "generated code"
)]
mod pb {
    tonic::include_proto!("etcdserverpb");
}

use pb::kv_client::KvClient;

const CLIENT_PORT: u16 = 23_790;
const PEER_PORT: u16 = 23_800;
/// Connections, dealt round-robin over members and clients, as etcd's own benchmark does.
const CONNECTIONS: usize = 16;
const TXN_PUTS: u64 = 100;
const PRELOADERS: u64 = 16;

/// A cluster; stops with this value.
pub(crate) struct Cluster {
    binary: PathBuf,
    dir: PathBuf,
    members: Vec<Process>,
    channels: Vec<Channel>,
}

impl Cluster {
    pub(crate) async fn start(binary: &Path, dir: &Path) -> anyhow::Result<Self> {
        let _ = std::fs::remove_dir_all(dir);
        std::fs::create_dir_all(dir)?;
        let mut cluster = Self {
            binary: binary.to_owned(),
            dir: dir.to_owned(),
            members: Vec::new(),
            channels: Vec::new(),
        };
        cluster.launch("new").await?;
        Ok(cluster)
    }

    /// Stop all members and start them on the data they have.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        self.channels.clear();
        for member in &mut self.members {
            member.stop();
        }
        self.members.clear();
        self.launch("existing").await
    }

    async fn launch(&mut self, state: &str) -> anyhow::Result<()> {
        let peer = |n: u16| format!("http://127.0.0.1:{}", PEER_PORT + n);
        let list: Vec<String> = (0..3).map(|n| format!("m{n}={}", peer(n))).collect();
        for n in 0..3 {
            let url = format!("http://127.0.0.1:{}", CLIENT_PORT + n);
            let mut command = Command::new(&self.binary);
            command
                .args(["--name", &format!("m{n}")])
                .arg("--data-dir")
                .arg(self.dir.join(n.to_string()))
                .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
                .args(["--listen-peer-urls", &peer(n)])
                .args(["--initial-advertise-peer-urls", &peer(n)])
                .args(["--initial-cluster", &list.join(",")])
                .args(["--initial-cluster-state", state])
                .args(["--initial-cluster-token", "kontiki-bench"]);
            let log = self.dir.join(format!("{n}.log"));
            let started = Process::start(&mut command, &log);
            self.members.push(started.context("is etcd-server installed? or give --etcd PATH")?);
        }
        for n in 0..CONNECTIONS {
            let port = CLIENT_PORT + u16::try_from(n % 3)?;
            let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?;
            self.channels.push(endpoint.tcp_nodelay(true).connect_lazy());
        }
        self.await_healthy().await
    }

    async fn await_healthy(&mut self) -> anyhow::Result<()> {
        for _ in 0..300 {
            let mut healthy = 0;
            for channel in self.channels.iter().take(3) {
                // A linearizable read needs a leader and a quorum.
                let request =
                    pb::RangeRequest { key: Bytes::from_static(b"x"), serializable: false };
                let mut client = KvClient::new(channel.clone());
                let call = tokio::time::timeout(Duration::from_secs(1), client.range(request));
                healthy += usize::from(matches!(call.await, Ok(Ok(_))));
            }
            if healthy == 3 {
                return Ok(());
            }
            if self.members.iter_mut().any(Process::has_ended) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("etcd does not serve; see the logs in {}", self.dir.display())
    }

    pub(crate) async fn preload(&self, workload: &Workload) -> anyhow::Result<()> {
        let value = value(workload.value_size, 1);
        let mut tasks = Vec::new();
        for worker in 0..PRELOADERS {
            let n = usize::try_from(worker)?;
            let mut client = KvClient::new(self.channels[n % CONNECTIONS].clone());
            let (keys, value) = (workload.keys, value.clone());
            tasks.push(tokio::spawn(async move {
                let mut first = worker * TXN_PUTS;
                while first < keys {
                    let put = |number| pb::RequestOp {
                        request: Some(pb::request_op::Request::RequestPut(pb::PutRequest {
                            key: key(number),
                            value: value.clone(),
                        })),
                    };
                    let success = (first..keys.min(first + TXN_PUTS)).map(put).collect();
                    client.txn(pb::TxnRequest { success }).await?;
                    first += PRELOADERS * TXN_PUTS;
                }
                Ok::<(), tonic::Status>(())
            }));
        }
        for task in tasks {
            task.await??;
        }
        Ok(())
    }
}

impl Target for Cluster {
    type Client = KvClient<Channel>;

    fn client(&self, n: usize) -> Self::Client {
        KvClient::new(self.channels[n % self.channels.len()].clone())
    }
}

impl Client for KvClient<Channel> {
    async fn put(&mut self, key: Bytes, value: Bytes) -> anyhow::Result<()> {
        KvClient::put(self, pb::PutRequest { key, value }).await?;
        Ok(())
    }

    async fn get(&mut self, key: Bytes) -> anyhow::Result<()> {
        let response = self.range(pb::RangeRequest { key, serializable: false }).await?;
        anyhow::ensure!(response.get_ref().kvs.len() == 1, "a preloaded key is missing");
        Ok(())
    }
}
