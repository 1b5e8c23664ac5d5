//! What a host and a node are told at birth. Defaults are JRaft's where they fit; the guide has the
//! table, with the reason for each that differs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kontiki_multiraft::ShardConfig;
use kontiki_types::{ClusterId, PeerId, StoreId, limits};

use super::configuration::Configuration;
use super::memory_network::MemoryNetwork;
use super::raft_options::RaftOptions;
use crate::transport::Transport;

/// Default of [`HostOptions::election_timeout`].
pub const ELECTION_TIMEOUT: Duration = Duration::from_secs(1);
/// Heartbeats in one election timeout, as in JRaft.
pub const ELECTION_HEARTBEAT_FACTOR: u32 = 10;

/// Settings of a host: one process with one data directory.
#[derive(Clone)]
pub struct HostOptions {
    /// Where everything lies; made if missing.
    pub data_dir: PathBuf,
    /// Stores of another cluster are refused. Default 1.
    pub cluster: ClusterId,
    /// This host's id; never 0, never reused, never changed.
    pub store: StoreId,
    /// How stores reach each other.
    pub network: Network,
    /// Shortest time without a leader before an election, 10 ms to a day. JRaft's default, 1 s.
    pub election_timeout: Duration,
    /// Time between heartbeats: at least 1 ms, less than the election timeout. JRaft's default, a
    /// tenth of it.
    pub heartbeat_interval: Duration,
    /// A group in which nothing happened for so many election timeouts falls asleep and costs
    /// nothing, until something happens; none: never. Default 10 (JRaft has no such thing).
    pub hibernate_after: Option<u32>,
    /// Sizes, windows and margins of replication, and how far clocks are trusted.
    pub raft: RaftOptions,
    /// Threads that run state machines, up to 1,024. Default 2: one that is slow does not hold up
    /// every group.
    pub apply_workers: usize,
    /// So many bytes of a group's log stay when a snapshot covers it, so that a follower that was
    /// away for a moment needs no snapshot. Default 1 MiB.
    pub retain_log_bytes: usize,
    /// Bytes of each group's newest entries that stay in memory; what a slow follower or state
    /// machine needs besides is read back from the log. What is about to be sent or applied stays
    /// beyond it, up to 64 MiB. A group that sleeps keeps none. Default 8 MiB, one task of the
    /// largest kind.
    pub log_cache_bytes: usize,
    /// And of all groups together; what is about to be sent or applied, up to sixteen times as
    /// much. At least 512 KiB. Default 4 MiB.
    pub log_cache_bytes_all: usize,
    /// Most bytes a second that snapshots may take of disk and network together; none: as fast as
    /// they can. At least 16 KiB. Default none, as in JRaft.
    pub snapshot_bytes_per_second: Option<u64>,
    /// Refuse administration over the network. Default false, as in JRaft.
    pub disable_cli: bool,
    /// Count. Default true (JRaft: false): it costs a few atomic additions a batch.
    pub enable_metrics: bool,
    /// Bytes of a log segment, a multiple of 4,096: at least 16 MiB, for the largest task must fit,
    /// at most 1 GiB. Default 64 MiB.
    pub log_segment_bytes: u64,
    /// When the log of all groups together is longer than this, groups that keep much of its oldest
    /// part take snapshots; with ten thousand large state machines, give more. At least two
    /// segments. Default 1 GiB (JRaft: no bound).
    pub log_bytes_all: u64,
}

impl HostOptions {
    /// The defaults for this store in this directory.
    pub fn new(store: StoreId, data_dir: impl Into<PathBuf>, network: Network) -> Self {
        Self {
            data_dir: data_dir.into(),
            cluster: ClusterId(1),
            store,
            network,
            election_timeout: ELECTION_TIMEOUT,
            heartbeat_interval: ELECTION_TIMEOUT / ELECTION_HEARTBEAT_FACTOR,
            hibernate_after: Some(10),
            raft: RaftOptions::default(),
            apply_workers: 2,
            retain_log_bytes: 1024 * 1024,
            log_cache_bytes: limits::ENTRY_BYTES_MAX,
            log_cache_bytes_all: ShardConfig::default().cache_bytes_all,
            snapshot_bytes_per_second: None,
            disable_cli: false,
            enable_metrics: true,
            log_segment_bytes: kontiki_log::limits::SEGMENT_BYTES_DEFAULT,
            log_bytes_all: 1024 * 1024 * 1024,
        }
    }

    /// Segments that the log may keep.
    pub(crate) fn keep_segments(&self) -> usize {
        usize::try_from(self.log_bytes_all / self.log_segment_bytes).unwrap_or(usize::MAX)
    }

    /// Set the election timeout, and the heartbeat interval to a tenth of it.
    #[must_use]
    pub fn with_election_timeout(mut self, timeout: Duration) -> Self {
        self.election_timeout = timeout;
        self.heartbeat_interval = timeout / ELECTION_HEARTBEAT_FACTOR;
        self
    }
}

/// How stores reach each other.
#[derive(Clone)]
pub enum Network {
    /// TCP: listen here, under the addresses of the others.
    Tcp {
        /// `host:port` to listen on; port 0 takes a free one.
        listen: String,
        /// What others are told to connect to; none: where it listens.
        advertise: Option<String>,
        /// Where other stores are. More become known from the configurations of groups, and from
        /// what other stores say.
        stores: BTreeMap<StoreId, String>,
    },
    /// Queues within the process, for tests.
    Memory(MemoryNetwork),
    /// The user's own way; what arrives is given to `Host::node_host`.
    Custom(Arc<dyn Transport>),
}

impl Network {
    /// TCP on this address.
    pub fn tcp(listen: impl Into<String>) -> Self {
        Self::Tcp { listen: listen.into(), advertise: None, stores: BTreeMap::new() }
    }
}

/// Settings of one node: one replica of one group.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The members of a group that begins. Used when the log knows nothing of the group, and then
    /// it must be the same on all of them; left empty, the node waits to be added by a leader.
    pub initial_conf: Configuration,
    /// This replica. Default: the store's own number. A replica that lost its data must come back
    /// under a number that was never used.
    pub peer: Option<PeerId>,
    /// How much each replica is wanted as leader: greater ones stand first, 0 never leads, and one
    /// that is not named stands as chance has it. The same on every node. Default: nobody is named,
    /// as in JRaft (-1).
    pub priorities: BTreeMap<PeerId, i32>,
    /// Time between snapshots, if anything was applied; none: only when asked. JRaft's default,
    /// one hour; the first time is drawn between half of it and all of it. At least 1 ms.
    pub snapshot_interval: Option<Duration>,
    /// Least number of entries between two snapshots that nobody asked for. JRaft's default, 0.
    pub snapshot_log_margin: u64,
    /// Take a snapshot when this many bytes were applied since the last, whatever the time: a
    /// restart applies them again. At least 1. Default 64 MiB (JRaft: no bound).
    pub snapshot_log_bytes: usize,
}

impl NodeOptions {
    /// The defaults, for a group that begins with these members.
    pub fn new(initial_conf: Configuration) -> Self {
        Self {
            initial_conf,
            peer: None,
            priorities: BTreeMap::new(),
            snapshot_interval: Some(Duration::from_hours(1)),
            snapshot_log_margin: 0,
            snapshot_log_bytes: 64 * 1024 * 1024,
        }
    }

    /// The defaults, for a replica that waits to be added to a group.
    pub fn joining() -> Self {
        Self::new(Configuration::default())
    }
}
