//! Three nodes of the crate `openraft`, in memory, on the tasks of one thread.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::io::Cursor;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use openraft::error::{InstallSnapshotError, RPCError, RaftError, Unreachable};
use openraft::impls::OneshotResponder;
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::responder::Responder;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::storage::{LogFlushed, LogState, RaftLogStorage, RaftStateMachine, Snapshot};
use openraft::{
    BasicNode, Config, Entry, EntryPayload, LogId, OptionalSend, Raft, RaftLogReader,
    RaftSnapshotBuilder, SnapshotMeta, SnapshotPolicy, StorageError, StoredMembership, Vote,
};

use super::{COMPACT_EVERY, Group, HEARTBEAT, REPLICAS};

openraft::declare_raft_types!(
    /// What this library is told of our types.
    pub(super) Types: D = Proposal, R = ()
);

/// How long an election may take.
const ELECTED_WITHIN: Duration = Duration::from_secs(10);
/// Entries of 256 bytes in the 1 MiB that the others put into one message.
const APPEND_ENTRIES_MAX: u64 = 4096;

/// What is proposed.
#[derive(Clone, Debug)]
pub(super) struct Proposal(#[expect(dead_code, reason = "carried, never looked at")] bytes::Bytes);

type Peers = Arc<Mutex<BTreeMap<u64, Raft<Types>>>>;
type Receiver = <OneshotResponder<Types> as Responder<Types>>::Receiver;

/// See the module.
pub(super) struct OpenRaft {
    peers: Peers,
    leader: Raft<Types>,
    under_way: VecDeque<Receiver>,
}

impl OpenRaft {
    /// # Errors
    /// When nobody is elected.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let heartbeat = u64::try_from(HEARTBEAT.as_millis()).expect("short");
        let config = Config {
            heartbeat_interval: heartbeat,
            election_timeout_min: heartbeat * 10,
            election_timeout_max: heartbeat * 20,
            max_payload_entries: APPEND_ENTRIES_MAX,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(COMPACT_EVERY),
            ..Config::default()
        };
        let config = Arc::new(config.validate()?);
        let peers = Peers::default();
        for id in 1..=REPLICAS as u64 {
            let network = Network { peers: Arc::clone(&peers), to: id };
            let (log, machine) = (Log::default(), Machine::default());
            let raft = Raft::new(id, Arc::clone(&config), network, log, machine).await?;
            lock(&peers).insert(id, raft);
        }
        let leader = lock(&peers).get(&1).context("no node 1")?.clone();
        leader.initialize((1..=REPLICAS as u64).collect::<BTreeSet<u64>>()).await?;
        leader.wait(Some(ELECTED_WITHIN)).current_leader(1, "the first node leads").await?;
        Ok(Self { peers, leader, under_way: VecDeque::new() })
    }
}

impl Drop for OpenRaft {
    fn drop(&mut self) {
        // Nodes hold the map that holds the nodes.
        lock(&self.peers).clear();
    }
}

impl Group for OpenRaft {
    async fn propose(&mut self, data: Vec<u8>) -> anyhow::Result<()> {
        let proposal = Proposal(data.into());
        self.under_way.push_back(self.leader.client_write_ff(proposal).await?);
        Ok(())
    }

    /// Waits for the oldest, and finds which of the others are answered as well.
    async fn turn(&mut self) -> anyhow::Result<usize> {
        let Some(oldest) = self.under_way.pop_front() else { return Ok(0) };
        oldest.await??;
        let mut applied = 1;
        while let Some(next) = self.under_way.front_mut() {
            let Ok(result) = next.try_recv() else { break };
            result?;
            self.under_way.pop_front();
            applied += 1;
        }
        Ok(applied)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands messages to the other node itself.
struct Network {
    peers: Peers,
    to: u64,
}

impl Network {
    fn peer(&self) -> Result<Raft<Types>, Unreachable> {
        let gone = || Unreachable::new(&std::io::Error::other("the group has ended"));
        lock(&self.peers).get(&self.to).cloned().ok_or_else(gone)
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Self;

    async fn new_client(&mut self, target: u64, _node: &BasicNode) -> Self {
        Self { peers: Arc::clone(&self.peers), to: target }
    }
}

type RpcError<E = openraft::error::Infallible> = RPCError<u64, BasicNode, RaftError<u64, E>>;

fn failed<E: std::error::Error + 'static>(error: &RaftError<u64, E>) -> Unreachable {
    Unreachable::new(&std::io::Error::other(error.to_string()))
}

impl RaftNetwork<Types> for Network {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RpcError> {
        let answer = self.peer()?.append_entries(request).await;
        answer.map_err(|error| failed(&error).into())
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Types>,
        _option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, RpcError<InstallSnapshotError>> {
        let answer = self.peer()?.install_snapshot(request).await;
        answer.map_err(|error| failed(&error).into())
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Result<VoteResponse<u64>, RpcError> {
        self.peer()?.vote(request).await.map_err(|error| failed(&error).into())
    }
}

/// The log in memory: durable at once.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    /// Consecutive; the first follows what was purged.
    list: VecDeque<Entry<Types>>,
    purged: Option<LogId<u64>>,
    vote: Option<Vote<u64>>,
}

impl Entries {
    fn first_index(&self) -> u64 {
        self.purged.map_or(0, |id| id.index + 1)
    }

    /// The place of this index in the list, or of the nearest one that it has.
    fn place(&self, index: u64) -> usize {
        let offset = usize::try_from(index.saturating_sub(self.first_index()));
        offset.unwrap_or(usize::MAX).min(self.list.len())
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry<Types>>, StorageError<u64>> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let entries = lock(&self.0);
        let from = match range.start_bound() {
            Included(&index) => entries.place(index),
            Excluded(&index) => entries.place(index + 1),
            Unbounded => 0,
        };
        let to = match range.end_bound() {
            Included(&index) => entries.place(index + 1),
            Excluded(&index) => entries.place(index),
            Unbounded => entries.list.len(),
        };
        Ok(entries.list.range(from..to.max(from)).cloned().collect())
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError<u64>> {
        let entries = lock(&self.0);
        let last = entries.list.back().map(|entry| entry.log_id).or(entries.purged);
        Ok(LogState { last_purged_log_id: entries.purged, last_log_id: last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), StorageError<u64>> {
        lock(&self.0).vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, StorageError<u64>> {
        Ok(lock(&self.0).vote)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Types>,
    ) -> Result<(), StorageError<u64>>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        lock(&self.0).list.extend(entries);
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId<u64>) -> Result<(), StorageError<u64>> {
        let mut entries = lock(&self.0);
        let keep = entries.place(from.index);
        entries.list.truncate(keep);
        Ok(())
    }

    async fn purge(&mut self, to: LogId<u64>) -> Result<(), StorageError<u64>> {
        let mut entries = lock(&self.0);
        let gone = entries.place(to.index + 1);
        entries.list.drain(..gone);
        entries.purged = Some(to);
        Ok(())
    }
}

/// Applying is remembering where we are.
#[derive(Clone, Default)]
struct Machine {
    applied: Option<LogId<u64>>,
    membership: StoredMembership<u64, BasicNode>,
}

impl Machine {
    fn image(&self) -> Snapshot<Types> {
        let meta = SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
            snapshot_id: format!("{:?}", self.applied),
        };
        Snapshot { meta, snapshot: Box::new(Cursor::new(Vec::new())) }
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError<u64>> {
        Ok(self.image())
    }
}

type Applied = (Option<LogId<u64>>, StoredMembership<u64, BasicNode>);

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<Applied, StorageError<u64>> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError<u64>>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut answers = Vec::new();
        for entry in entries {
            self.applied = Some(entry.log_id);
            if let EntryPayload::Membership(membership) = entry.payload {
                self.membership = StoredMembership::new(Some(entry.log_id), membership);
            }
            answers.push(());
        }
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(
        &mut self,
    ) -> Result<Box<Cursor<Vec<u8>>>, StorageError<u64>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, BasicNode>,
        _snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<u64>> {
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError<u64>> {
        Ok(self.applied.map(|_| self.image()))
    }
}
