//! A cluster in this process: several addresses, one table of truth behind them, and switches for
//! what goes wrong. Each region has a leader, an epoch and sessions, as real ones do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use kontiki_client::{Client, Options};
use kontiki_proto::v1::admin_server::{Admin, AdminServer};
use kontiki_proto::v1::kv_server::{Kv, KvServer};
use kontiki_proto::{MESSAGE_BYTES_MAX, v1};
use kontiki_types::{
    Command, Epoch, KeyRange, Outcome, Peer, PeerId, PeerRole, Refusal, Region, RegionId,
    RequestId, StoreId,
};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

/// What a store does with batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mood {
    Serve,
    /// Takes them and says nothing.
    Silent,
    /// Executes the next one, then breaks the stream without an answer, then serves.
    BreakOnce,
    /// Refuses the next so many, then serves.
    Busy(u32),
}

pub(crate) struct Group {
    pub(crate) region: Region,
    /// 0 while there is none.
    pub(crate) leader: u64,
    sessions: BTreeMap<u64, BTreeMap<u64, Outcome>>,
}

#[derive(Default)]
pub(crate) struct Truth {
    pub(crate) rows: BTreeMap<Bytes, Bytes>,
    pub(crate) groups: Vec<Group>,
    pub(crate) moods: Vec<Mood>,
    addresses: Vec<SocketAddr>,
    /// Store, session, request id of every write that arrived.
    pub(crate) arrived: Vec<(u64, u64, u64)>,
    /// Writes that took effect.
    pub(crate) effect_count: u64,
    /// Requests of each batch.
    pub(crate) batch_sizes: Vec<usize>,
    /// Stores that a batch reached.
    pub(crate) asked: Vec<u64>,
    /// Rows of a page, whatever the client allows.
    pub(crate) page_rows: usize,
    pub(crate) stream_count: usize,
    pub(crate) orders: Vec<String>,
}

pub(crate) struct Fake {
    pub(crate) truth: Arc<Mutex<Truth>>,
}

struct Store {
    id: u64,
    truth: Arc<Mutex<Truth>>,
}

/// A region over a range of full keys of keyspace 0, led by a store.
pub(crate) fn group(id: u64, range: (&str, Option<&str>), leader: u64) -> Group {
    let keyspace = kontiki_client::Keyspace::default();
    let start =
        if range.0.is_empty() { Bytes::new() } else { keyspace.raw_key(range.0.as_bytes()) };
    let end = range.1.map(|end| keyspace.raw_key(end.as_bytes()));
    let peer = |n| Peer { id: PeerId(id * 10 + n), store: StoreId(n), role: PeerRole::Voter };
    let region = Region {
        id: RegionId(id),
        range: KeyRange::new(start, end),
        epoch: Epoch { conf_ver: 1, version: 1 },
        peers: (1..=3).map(peer).collect(),
    };
    Group { region, leader, sessions: BTreeMap::new() }
}

impl Fake {
    /// Three stores with one region, led by the first.
    pub(crate) async fn start() -> Self {
        let truth = Truth {
            groups: vec![group(1, ("", None), 1)],
            page_rows: usize::MAX,
            ..Truth::default()
        };
        let truth = Arc::new(Mutex::new(truth));
        for id in 1..=3 {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            {
                let mut truth = truth.lock().unwrap();
                truth.addresses.push(listener.local_addr().unwrap());
                truth.moods.push(Mood::Serve);
            }
            let store = || Store { id, truth: truth.clone() };
            let kv = KvServer::new(store()).max_decoding_message_size(MESSAGE_BYTES_MAX);
            let server = tonic::transport::Server::builder()
                .add_service(kv)
                .add_service(AdminServer::new(store()));
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            tokio::spawn(server.serve_with_incoming(incoming));
        }
        Self { truth }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap()
    }

    pub(crate) fn address(&self, store: usize) -> String {
        self.lock().addresses[store - 1].to_string()
    }

    pub(crate) async fn client(&self) -> Client {
        self.client_with(Options::default()).await
    }

    pub(crate) async fn client_with(&self, options: Options) -> Client {
        Client::connect([self.address(1), self.address(2)], options).await.unwrap()
    }

    /// Waits until something is true; the test's own time-out is the limit.
    pub(crate) async fn until(&self, mut is_so: impl FnMut(&Truth) -> bool) {
        let waiting = async {
            while !is_so(&self.lock()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it never became so");
    }
}

impl Truth {
    /// The store asked for a region, told apart from the others.
    fn refusal(&self, store: u64, batch: &v1::Batch) -> Option<v1::error::Kind> {
        use v1::error::Kind;
        let region_id = batch.region_id;
        let Some(group) = self.groups.iter().find(|group| group.region.id.0 == region_id) else {
            return Some(Kind::RegionNotFound(v1::RegionNotFound { region_id }));
        };
        if group.leader != store {
            let leader = group.leader.checked_sub(1).map(|place| v1::Store {
                id: group.leader,
                address: self.addresses[usize::try_from(place).unwrap()].to_string(),
            });
            return Some(Kind::NotLeader(v1::NotLeader { leader, region_id, term: 0 }));
        }
        if batch.epoch != Some(group.region.epoch.into()) {
            let regions = self.groups.iter().map(|group| group.region.clone().into()).collect();
            return Some(Kind::EpochNotMatch(v1::EpochNotMatch { regions }));
        }
        None
    }

    fn serve(&mut self, store: u64, batch: v1::Batch) -> v1::answer::Body {
        use v1::batch::Body;
        self.asked.push(store);
        if let Some(kind) = self.refusal(store, &batch) {
            return v1::answer::Body::Error(v1::Error { kind: Some(kind) });
        }
        match batch.body.unwrap() {
            Body::Writes(writes) => {
                self.batch_sizes.push(writes.writes.len());
                let (client, open) = (writes.client_id, writes.open);
                let apply = |write: v1::Write| {
                    let (id, command) = <(RequestId, Command)>::try_from(write).unwrap();
                    self.arrived.push((store, client, id.0));
                    self.write_once(batch.region_id, client, open, id, command).into()
                };
                let outcomes = writes.writes.into_iter().map(apply).collect();
                v1::answer::Body::Outcomes(v1::WriteOutcomes { outcomes })
            }
            Body::Reads(reads) => {
                self.batch_sizes.push(reads.reads.len());
                let results = reads.reads.into_iter().map(|read| self.read(read)).collect();
                v1::answer::Body::Results(v1::ReadResults { results })
            }
        }
    }

    fn write_once(
        &mut self,
        region: u64,
        client: u64,
        open: bool,
        id: RequestId,
        command: Command,
    ) -> Outcome {
        let group = self.groups.iter_mut().find(|group| group.region.id.0 == region).unwrap();
        if open {
            group.sessions.entry(client).or_default();
        }
        let Some(session) = group.sessions.get(&client) else {
            return Outcome::Refused(Refusal::SessionUnknown);
        };
        if let Some(outcome) = session.get(&id.0) {
            return outcome.clone();
        }
        let outcome = self.execute(command);
        let group = self.groups.iter_mut().find(|group| group.region.id.0 == region).unwrap();
        group.sessions.get_mut(&client).unwrap().insert(id.0, outcome.clone());
        self.effect_count += 1;
        outcome
    }

    fn execute(&mut self, command: Command) -> Outcome {
        match command {
            Command::Put { key, value } => {
                self.rows.insert(key, value);
            }
            Command::Delete { key } => {
                self.rows.remove(&key);
            }
            Command::Batch { changes } => {
                for (key, value) in changes {
                    match value {
                        Some(value) => self.rows.insert(key, value),
                        None => self.rows.remove(&key),
                    };
                }
            }
            Command::DeleteRange { range } => {
                let before = self.rows.len();
                self.rows.retain(|key, _| !range.contains(key));
                return Outcome::Removed((before - self.rows.len()) as u64);
            }
            Command::PutIfAbsent { key, value } => return self.swap(key, None, Some(value)),
            Command::CompareAndPut { key, expect, update } => {
                return self.swap(key, expect.as_ref(), update);
            }
            Command::HashState => panic!("clients do not send it"),
        }
        Outcome::Done
    }

    fn swap(&mut self, key: Bytes, expect: Option<&Bytes>, update: Option<Bytes>) -> Outcome {
        let previous = self.rows.get(&key).cloned();
        let applied = previous.as_ref() == expect;
        match update {
            _ if !applied => {}
            Some(value) => drop(self.rows.insert(key, value)),
            None => drop(self.rows.remove(&key)),
        }
        Outcome::Conditional { applied, previous }
    }

    fn read(&self, read: v1::Read) -> v1::ReadResult {
        use v1::read_result::Result as Found;
        let found = match read.op.unwrap() {
            v1::read::Op::Get(get) => {
                Found::Value(v1::Value { value: self.rows.get(&get.key).cloned() })
            }
            v1::read::Op::Scan(scan) => Found::Rows(self.scan(scan)),
            v1::read::Op::MultiGet(_) => panic!("this client does not send it"),
        };
        v1::ReadResult { result: Some(found) }
    }

    fn scan(&self, scan: v1::Scan) -> v1::Rows {
        let range = KeyRange::from(scan.range.unwrap());
        let mut rows: Vec<_> = self.rows.iter().filter(|(key, _)| range.contains(key)).collect();
        if scan.reverse {
            rows.reverse();
        }
        let limit = if scan.limit == 0 { usize::MAX } else { scan.limit as usize };
        let limit = limit.min(self.page_rows);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let value = |value: &Bytes| if scan.keys_only { Bytes::new() } else { value.clone() };
        let rows = rows.into_iter().map(|(k, v)| v1::Row { key: k.clone(), value: value(v) });
        v1::Rows { rows: rows.collect(), more }
    }

    /// What a store says to a message, according to its mood; nothing: not a word.
    fn respond(
        &mut self,
        store: u64,
        requests: v1::Requests,
    ) -> Option<Result<v1::Responses, Status>> {
        let place = usize::try_from(store - 1).unwrap();
        let mut answers = Vec::new();
        for batch in requests.batches {
            let id = batch.id;
            let body = match self.moods[place] {
                Mood::Serve => self.serve(store, batch),
                Mood::Silent => {
                    self.asked.push(store);
                    return None;
                }
                Mood::BreakOnce => {
                    self.moods[place] = Mood::Serve;
                    self.serve(store, batch);
                    return Some(Err(Status::unavailable("broken on demand")));
                }
                Mood::Busy(times) => {
                    self.moods[place] =
                        times.checked_sub(2).map_or(Mood::Serve, |left| Mood::Busy(left + 1));
                    let busy = v1::Busy { reason: "test".into(), retry_after_ms: 1 };
                    let kind = Some(v1::error::Kind::Busy(busy));
                    v1::answer::Body::Error(v1::Error { kind })
                }
            };
            answers.push(v1::Answer { id, body: Some(body) });
        }
        Some(Ok(v1::Responses { answers }))
    }

    pub(crate) fn stores_asked(&self) -> BTreeSet<u64> {
        self.asked.iter().copied().collect()
    }
}

/// Counts a stream for as long as it lives.
struct Alive(Arc<Mutex<Truth>>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.lock().unwrap().stream_count -= 1;
    }
}

#[tonic::async_trait]
impl Kv for Store {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<v1::Responses, Status>> + Send>>;

    async fn stream(
        &self,
        request: Request<Streaming<v1::Requests>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let (id, truth) = (self.id, self.truth.clone());
        truth.lock().unwrap().stream_count += 1;
        let alive = Alive(truth.clone());
        let mut is_broken = false;
        let answers = request.into_inner().filter_map(move |requests| {
            let _alive = &alive;
            truth.lock().unwrap().respond(id, requests.ok()?)
        });
        let answers = answers.take_while(move |answer| {
            let go_on = !is_broken;
            is_broken |= answer.is_err();
            go_on
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

#[tonic::async_trait]
impl Admin for Store {
    async fn routes(
        &self,
        _: Request<v1::RoutesRequest>,
    ) -> Result<Response<v1::RoutesResponse>, Status> {
        let truth = self.truth.lock().unwrap();
        let stores = (1..).zip(&truth.addresses);
        let route = |group: &Group| v1::RegionRoute {
            region: Some(group.region.clone().into()),
            leader_store_id: group.leader,
            term: 0,
        };
        Ok(Response::new(v1::RoutesResponse {
            cluster_id: 7,
            stores: stores.map(|(id, a)| v1::Store { id, address: a.to_string() }).collect(),
            regions: truth.groups.iter().map(route).collect(),
        }))
    }

    async fn status(
        &self,
        _: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        Ok(Response::new(v1::StatusResponse { store_id: self.id, ..Default::default() }))
    }

    async fn transfer_leader(
        &self,
        request: Request<v1::TransferLeaderRequest>,
    ) -> Result<Response<v1::TransferLeaderResponse>, Status> {
        let request = request.into_inner();
        let mut truth = self.truth.lock().unwrap();
        let group = truth.groups.iter_mut().find(|g| g.region.id.0 == request.region_id);
        let group = group.ok_or_else(|| Status::not_found("no such region"))?;
        if group.leader != self.id {
            return Err(Status::failed_precondition("not the leader"));
        }
        group.leader = request.to_store_id;
        Ok(Response::new(v1::TransferLeaderResponse {}))
    }

    async fn hash_state(
        &self,
        request: Request<v1::HashStateRequest>,
    ) -> Result<Response<v1::HashStateResponse>, Status> {
        let mut truth = self.truth.lock().unwrap();
        let order = format!("hash r{} at s{}", request.into_inner().region_id, self.id);
        truth.orders.push(order);
        Ok(Response::new(v1::HashStateResponse { index: 42 }))
    }

    async fn bootstrap_info(
        &self,
        _: Request<v1::BootstrapInfoRequest>,
    ) -> Result<Response<v1::BootstrapInfoResponse>, Status> {
        Ok(Response::new(v1::BootstrapInfoResponse {
            cluster_id: 7,
            store_id: self.id,
            bootstrapped: true,
            version: "test".into(),
        }))
    }
}
