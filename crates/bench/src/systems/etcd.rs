//! Plain unary calls to a running etcd, spread over its members as etcd's own tools do.
//!
//! Fairness: as many connections as etcd's load generators use, each pinned to a member. Client 0
//! talks to the leader, so a single client pays for no forwarding between members.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tonic::transport::{Channel, Endpoint};

use super::{Deal, PRELOADERS};
use crate::closed_loop::{Client, REQUEST_MAX, Target};
use crate::workload::{Workload, key, rng};

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
use pb::maintenance_client::MaintenanceClient;

/// Connections, dealt round-robin over members and clients.
const CONNECTIONS: usize = 16;
/// How long a cluster may take until every member serves.
const HEALTHY_WITHIN: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Connections to a cluster.
pub(crate) struct System {
    channels: Vec<Channel>,
    members: usize,
    /// Index of the member that leads.
    leader: usize,
}

impl System {
    /// Connects, and waits until every member answers a linearizable read.
    ///
    /// # Errors
    /// When one does not in time.
    pub(crate) async fn connect(endpoints: &[String]) -> anyhow::Result<Self> {
        anyhow::ensure!(!endpoints.is_empty(), "no endpoint given");
        let mut channels = Vec::with_capacity(CONNECTIONS);
        for endpoint in endpoints.iter().cycle().take(CONNECTIONS.max(endpoints.len())) {
            let endpoint = Endpoint::from_shared(format!("http://{endpoint}"))?;
            channels.push(endpoint.tcp_nodelay(true).timeout(REQUEST_MAX).connect_lazy());
        }
        let mut system = Self { channels, members: endpoints.len(), leader: 0 };
        for (channel, endpoint) in system.channels.iter().zip(endpoints) {
            let healthy = tokio::time::timeout(HEALTHY_WITHIN, serves(channel)).await;
            anyhow::ensure!(healthy.is_ok(), "etcd at {endpoint} does not serve");
        }
        system.find_leader().await;
        Ok(system)
    }

    /// Looks who leads; without an answer, nothing changes.
    pub(crate) async fn find_leader(&mut self) {
        for member in 0..self.members {
            let mut client = MaintenanceClient::new(self.channels[member].clone());
            if let Ok(status) = client.status(pb::StatusRequest {}).await {
                let status = status.into_inner();
                if status.header.is_some_and(|header| header.member_id == status.leader) {
                    self.leader = member;
                }
            }
        }
    }

    pub(crate) async fn preload(&self, workload: &Workload) -> anyhow::Result<()> {
        let deal = Arc::new(Deal::new(workload.keys));
        let mut tasks = Vec::with_capacity(PRELOADERS);
        for worker in 0..PRELOADERS {
            let (mut client, deal) = (self.client(worker), Arc::clone(&deal));
            let (values, mut rng) = (workload.values.clone(), rng(0, worker as u64));
            tasks.push(tokio::spawn(async move {
                while let Some(numbers) = deal.next() {
                    let put = |number| pb::RequestOp {
                        request: Some(pb::request_op::Request::RequestPut(pb::PutRequest {
                            key: key(number),
                            value: values.draw(&mut rng),
                        })),
                    };
                    client.txn(pb::TxnRequest { success: numbers.map(put).collect() }).await?;
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

/// Returns once a linearizable read is answered, which takes a leader and a quorum.
async fn serves(channel: &Channel) {
    let mut client = KvClient::new(channel.clone());
    let read = pb::RangeRequest { key: Bytes::from_static(b"x"), serializable: false };
    while client.range(read.clone()).await.is_err() {
        tokio::time::sleep(ASK_EVERY).await;
    }
}

impl Target for System {
    type Client = KvClient<Channel>;

    fn client(&self, n: usize) -> Self::Client {
        let at = (self.leader + n) % self.channels.len();
        KvClient::new(self.channels[at].clone())
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
