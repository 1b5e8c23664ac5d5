//! Questions and orders of operators, and of clients that look for their way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kontiki_codec::command;
use kontiki_multiraft::{GroupStatus, Refused};
use kontiki_proto::v1;
use kontiki_proto::v1::admin_server::Admin;
use kontiki_store::RegionCell;
use kontiki_types::{Command, RegionId, StoreId};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use crate::node::Node;

/// How long an order may take to be committed.
const ORDER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a state hash may take to be computed.
const HASH_TIMEOUT: Duration = Duration::from_mins(1);
/// Between two looks at it.
const HASH_POLL: Duration = Duration::from_millis(5);

/// See the module.
pub(crate) struct AdminService {
    pub(crate) node: Arc<Node>,
}

impl AdminService {
    fn region(&self, id: u64) -> Result<Arc<RegionCell>, Status> {
        let missing = || Status::not_found(format!("region {id} is not on this store"));
        self.node.regions.get(RegionId(id)).ok_or_else(missing)
    }

    fn route(&self, cell: &RegionCell) -> v1::RegionRoute {
        let region = cell.region();
        let leader = self.node.leaders.leader(region.id);
        let store = leader.and_then(|id| region.peers.iter().find(|peer| peer.id == id));
        v1::RegionRoute {
            leader_store_id: store.map_or(0, |peer| peer.store.0),
            term: self.node.leaders.term(region.id),
            region: Some(v1::Region::from((*region).clone())),
        }
    }

    fn refused(&self, refused: Refused) -> Status {
        match refused {
            Refused::NotLeader { leader } => {
                let address = leader.and_then(|(_, store)| self.node.stores.get(&store));
                Status::failed_precondition(match address {
                    Some(address) => format!("not the leader: ask {address}"),
                    None => "not the leader, and none is known: try again".to_owned(),
                })
            }
            Refused::Busy | Refused::Transferring | Refused::LeadershipLost => {
                Status::unavailable(format!("not now ({refused:?}): try again"))
            }
            Refused::BadTarget(_) => {
                Status::invalid_argument("the target store has no voter that could lead now")
            }
            Refused::Quarantined => {
                Status::failed_precondition("the replica on this store is quarantined")
            }
            other => Status::not_found(format!("{other:?}")),
        }
    }
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn routes(
        &self,
        _request: Request<v1::RoutesRequest>,
    ) -> Result<Response<v1::RoutesResponse>, Status> {
        let stores = self.node.stores.iter();
        Ok(Response::new(v1::RoutesResponse {
            cluster_id: self.node.identity.cluster.0,
            stores: stores.map(|(id, a)| v1::Store { id: id.0, address: a.clone() }).collect(),
            regions: self.node.regions.all().iter().map(|cell| self.route(cell)).collect(),
        }))
    }

    async fn status(
        &self,
        _request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let host = self.node.host.clone();
        let look = tokio::task::spawn_blocking(move || host.statuses());
        let groups = look.await.ok().flatten();
        let groups = groups.ok_or_else(|| Status::unavailable("the store is too busy to say"))?;
        let engine = self.node.engine.stats();
        let log = self.node.host.log_status().stats();
        let store = self.node.identity.store;
        Ok(Response::new(v1::StatusResponse {
            cluster_id: self.node.identity.cluster.0,
            store_id: store.0,
            address: self.node.stores.get(&store).cloned().unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: u64::try_from(self.node.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            replicas: groups.iter().filter_map(|group| self.replica(group)).collect(),
            engine: Some(v1::EngineStatus {
                name: engine.name.to_owned(),
                disk_bytes: engine.disk_bytes,
                memory_bytes: engine.memory_bytes,
                row_count: 0,
            }),
            log: Some(v1::LogStatus {
                segment_count: log.segments as u64,
                bytes: log.segments as u64 * self.node.segment_bytes,
                sync_count: log.syncs,
                sync_p50_us: 0,
                sync_p99_us: 0,
            }),
            counters: counters(&log),
        }))
    }

    async fn transfer_leader(
        &self,
        request: Request<v1::TransferLeaderRequest>,
    ) -> Result<Response<v1::TransferLeaderResponse>, Status> {
        let order = request.into_inner();
        let cell = self.region(order.region_id)?;
        let to = match order.to_store_id {
            0 => self.another_voter(&cell)?,
            id => StoreId(id),
        };
        let (done, outcome) = oneshot::channel();
        let done = Box::new(move |result| drop(done.send(result)));
        self.node.host.transfer(cell.id(), to, done);
        within(outcome).await?.map_err(|refused| self.refused(refused))?;
        Ok(Response::new(v1::TransferLeaderResponse {}))
    }

    async fn hash_state(
        &self,
        request: Request<v1::HashStateRequest>,
    ) -> Result<Response<v1::HashStateResponse>, Status> {
        let cell = self.region(request.into_inner().region_id)?;
        let newest = || cell.state_hashes().last().map_or(0, |hash| hash.applied.0);
        let before = newest();
        let batch = self.node.orders.batch(cell.region().epoch, Command::HashState);
        let (done, outcome) = oneshot::channel();
        let done = Box::new(move |result| drop(done.send(result)));
        self.node.host.propose(cell.id(), command::to_bytes(&batch), None, done);
        within(outcome).await?.map_err(|refused| self.refused(refused))?;
        let computed = async {
            while newest() <= before {
                tokio::time::sleep(HASH_POLL).await;
            }
            newest()
        };
        let index = tokio::time::timeout(HASH_TIMEOUT, computed).await;
        let index = index.map_err(|_| Status::deadline_exceeded("the hash takes too long"))?;
        Ok(Response::new(v1::HashStateResponse { index }))
    }

    async fn bootstrap_info(
        &self,
        _request: Request<v1::BootstrapInfoRequest>,
    ) -> Result<Response<v1::BootstrapInfoResponse>, Status> {
        Ok(Response::new(v1::BootstrapInfoResponse {
            cluster_id: self.node.identity.cluster.0,
            store_id: self.node.identity.store.0,
            bootstrapped: true,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }
}

impl AdminService {
    fn replica(&self, group: &GroupStatus) -> Option<v1::ReplicaStatus> {
        let cell = self.node.regions.get(group.group)?;
        let hash = cell.state_hashes().last().copied();
        let role = match group.role {
            "leader" => v1::Role::Leader,
            "candidate" => v1::Role::Candidate,
            "pre-candidate" => v1::Role::PreCandidate,
            "learner" => v1::Role::Learner,
            "quarantined" => v1::Role::Quarantined,
            _ => v1::Role::Follower,
        };
        Some(v1::ReplicaStatus {
            region: Some(v1::Region::from((*cell.region()).clone())),
            peer_id: group.peer.0,
            role: role.into(),
            term: group.term.0,
            leader_store_id: group.leader.map_or(0, |(_, store)| store.0),
            first_index: group.first.0,
            last_index: group.last.index.0,
            commit_index: group.commit.0,
            applied_index: group.applied.0,
            log_bytes: group.log_bytes as u64,
            state_hash: hash.map(|h| v1::StateHash { index: h.applied.0, hash: h.hash }),
            quarantine: group.quarantine.clone().unwrap_or_default(),
        })
    }

    fn another_voter(&self, cell: &RegionCell) -> Result<StoreId, Status> {
        let region = cell.region();
        let own = self.node.identity.store;
        let other = region.peers.iter().find(|p| p.store != own && p.role.votes_incoming());
        let other = other.map(|peer| peer.store);
        other.ok_or_else(|| Status::failed_precondition("the region has no other voter"))
    }
}

async fn within<T>(outcome: oneshot::Receiver<T>) -> Result<T, Status> {
    match tokio::time::timeout(ORDER_TIMEOUT, outcome).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(_)) => Err(Status::unavailable("the store is stopping")),
        Err(_) => Err(Status::deadline_exceeded("not committed in time: is there a quorum?")),
    }
}

fn counters(log: &kontiki_log::Stats) -> BTreeMap<String, u64> {
    let counters = [
        ("log_frames", log.frames),
        ("log_bytes", log.bytes),
        ("log_syncs", log.syncs),
        ("log_rotations", log.rotations),
        ("log_prepared_inline", log.prepared_inline),
        ("log_rewritten_bytes", log.rewritten_bytes),
    ];
    counters.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}
