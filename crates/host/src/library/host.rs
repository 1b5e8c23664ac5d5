//! A host: one process, one data directory, one log, any number of nodes.
//!
//! ```text
//! data_dir/store              whose directory this is
//!         /log/               the shared log of all groups
//!         /spool/             snapshots on their way in
//!         /snapshots/<group>/ snapshots of each group
//!         /destroyed/<group>  numbers of replicas that are no more
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use kontiki_codec::store_ident::{self, StoreIdent};
use kontiki_log::Disk;
use kontiki_multiraft::{Durability, EngineSyncConfig, Revival, ShardConfig};
use kontiki_raft::{Config as RaftConfig, Priority};
use kontiki_types::{ClusterId, Membership, PeerId, RegionId, StoreId};

use super::adapter::Adapter;
use super::bounds;
use super::cli;
use super::configuration::{self, Member};
use super::destroy::Destroyed;
use super::error::Error;
use super::lanes::{Lanes, Source};
use super::node::Node;
use super::options::{HostOptions, Network, NodeOptions};
use super::raft_options;
use super::replica::{Replica, Shared};
use super::snapshot::files::SnapshotFiles;
use super::snapshot::keeper::{Keeper, Schedule};
use super::snapshot::throttle::Throttle;
use super::state_machine::StateMachine;
use super::tcp_network::TcpNetwork;
use crate::background::Background;
use crate::disk::RealDisk;
use crate::installer::Installs;
use crate::metrics::{Metrics, Page};
use crate::node_host::{JoiningGroup, NodeHost, Options};
use crate::transport::Transport;

mod ending;

use ending::Held;

/// The name of a group: one number for all its nodes.
pub type GroupId = RegionId;

/// Many Raft groups in one process. Cheap to clone. Ended by [`Host::shutdown`], or when its last
/// handle is dropped, clones and every [`Node`] included: that is the same call. A state machine
/// that holds one keeps the host alive.
#[derive(Clone)]
pub struct Host(pub(super) Arc<Held>);

pub(super) struct Inner {
    pub(super) options: HostOptions,
    pub(super) node_host: NodeHost,
    shared: Arc<Shared>,
    tcp: Option<TcpNetwork>,
    nodes: Mutex<BTreeMap<GroupId, Hosted>>,
    /// Held while a node is made, ended or recovered: one after the other.
    changing: Mutex<()>,
    /// Its threads have ended, or somebody is at it.
    stopped: Once,
    pub(super) destroyed: Destroyed,
    has_failed: AtomicBool,
    cause: Mutex<Option<String>>,
}

/// A node of the host, running or not.
pub(super) struct Hosted {
    replica: Arc<Replica>,
    /// As of the beginning of its log.
    beginning: Membership,
    priorities: BTreeMap<PeerId, i32>,
    election_timeout: Duration,
}

impl Host {
    /// Open the data directory and the log, and start the threads. No group takes part before its
    /// node is created.
    ///
    /// # Errors
    /// [`Error::Invalid`] when an option is beyond its bounds, or the directory belongs to another
    /// store; [`Error::Io`] when it is in use or the disk refuses; [`Error::Network`];
    /// [`Error::Restore`] when the log holds what no log of one store can hold.
    pub fn start(options: HostOptions) -> Result<Self, Error> {
        bounds::check_host(&options)?;
        let disk = RealDisk::open(&options.data_dir.join("log"))?;
        Self::start_on(options, disk)
    }

    /// The same with the log on another disk, such as one that fails when a test wants it to.
    ///
    /// # Errors
    /// As [`Host::start`].
    pub fn start_on<D: Disk>(options: HostOptions, disk: D) -> Result<Self, Error> {
        claim(&options)?;
        let tcp = match &options.network {
            Network::Tcp { listen, advertise, stores } => {
                let at = (listen.as_str(), advertise.as_ref());
                Some(TcpNetwork::open(&options, random(), at, stores)?)
            }
            Network::Memory(_) | Network::Custom(_) => None,
        };
        let metrics = options.enable_metrics.then(Arc::<Metrics>::default);
        let transport: Arc<dyn Transport> = match &options.network {
            Network::Memory(network) => network.transport(options.store),
            Network::Custom(transport) => Arc::clone(transport),
            Network::Tcp { .. } => match &tcp {
                Some(tcp) => Arc::<Lanes>::clone(tcp.lanes()),
                None => return Err(Error::Invalid("no network".to_owned())),
            },
        };
        let failing: Arc<OnceLock<Weak<Inner>>> = Arc::default();
        let node_host = {
            let failing = Arc::clone(&failing);
            let mut log = kontiki_log::Config::new(random());
            log.segment_bytes = options.log_segment_bytes;
            log.keep_segments = options.keep_segments();
            let host = host_options(&options, transport, metrics.clone(), move |cause| {
                if let Some(inner) = failing.get().and_then(Weak::upgrade) {
                    Inner::fail(&inner, cause);
                }
            });
            NodeHost::start(host, disk, log, Vec::new())?
        };
        let throttle = options.snapshot_bytes_per_second.map(|rate| Arc::new(Throttle::new(rate)));
        let shared = Arc::new(Shared {
            waiters: Arc::clone(node_host.waiters()),
            inputs: Arc::clone(node_host.inputs()),
            apply: node_host.apply_queues().clone(),
            keeper: Keeper::start()?,
            throttle,
            metrics,
        });
        if let Network::Memory(network) = &options.network {
            network.attach(options.store, node_host.clone());
        }
        let held = Held::new(Inner {
            destroyed: Destroyed::within(&options.data_dir),
            options,
            node_host,
            shared,
            tcp,
            nodes: Mutex::default(),
            changing: Mutex::default(),
            stopped: Once::new(),
            has_failed: AtomicBool::new(false),
            cause: Mutex::default(),
        });
        failing.get_or_init(|| held.weak());
        if let Some(tcp) = &held.tcp {
            let (weak, served) = (Arc::downgrade(&held), AtomicUsize::new(0));
            tcp.serve(
                held.node_host.clone(),
                Box::new(move |socket| {
                    if let Some(held) = weak.upgrade() {
                        cli::server::serve(&Self(held), socket, &served);
                    }
                }),
            )?;
        }
        Ok(Self(held))
    }

    /// The cluster it belongs to.
    pub fn cluster(&self) -> ClusterId {
        self.0.options.cluster
    }

    /// Where a store is reached, as far as this one knows; with TCP, its own address too.
    pub fn address_of(&self, store: StoreId) -> Option<String> {
        let tcp = self.0.tcp.as_ref()?;
        if store == self.store() {
            Some(tcp.address().to_owned())
        } else {
            tcp.lanes().address(store)
        }
    }

    pub(super) fn refuses_operators(&self) -> bool {
        self.0.options.disable_cli
    }

    /// Create this host's node of a group, or bring back one that was shut down: load its newest
    /// snapshot, then take part. The state machine must be empty.
    ///
    /// # Errors
    /// [`Error::Exists`] while it runs; [`Error::Invalid`] when the initial configuration has
    /// another peer for this store or no voter, or an option is beyond its bounds;
    /// [`Error::Snapshot`] and [`Error::Restore`] when snapshot or log cannot be used;
    /// [`Error::Io`] when the disk refuses; [`Error::OnHostThread`] in a callback.
    pub fn create_node(
        &self,
        group: GroupId,
        options: NodeOptions,
        machine: impl StateMachine,
    ) -> Result<Node, Error> {
        self.0.check()?;
        bounds::check_node(&options)?;
        let _changing = self.0.change()?;
        if self.0.replica(group).is_some() {
            return self.bring_back(group, Box::new(machine), Some(&Error::ShutDown));
        }
        let peer = self.peer_of(group, &options)?;
        self.0.destroyed.check(group, peer)?;
        let NodeOptions { initial_conf, snapshot_interval, priorities, .. } = options;
        self.0.learn(Source::User, initial_conf.members());
        let files = SnapshotFiles::open(self.0.snapshot_dir(group))
            .map_err(|error| Error::of_snapshots(&error))?;
        // What the log says goes before what the user says.
        let logged = self.0.node_host.logged_membership(group);
        let beginning = logged.unwrap_or_else(|| initial_conf.to_membership());
        let schedule = Schedule {
            interval: snapshot_interval,
            margin: options.snapshot_log_margin,
            log_bytes: options.snapshot_log_bytes,
        };
        let shared = Arc::clone(&self.0.shared);
        let machine = Box::new(machine);
        let replica =
            Replica::new((group, peer), machine, beginning.clone(), files, schedule, shared)?;
        let meta = replica.meta();
        let joining = JoiningGroup {
            group,
            raft: self.0.raft_config((group, peer), &priorities, self.0.options.election_timeout),
            machine: Box::new(Adapter(Arc::clone(&replica))),
            applied: meta.position,
            membership: meta.membership,
            durability: Durability::Snapshots,
        };
        replica.know_term(self.0.node_host.join(joining)?);
        let election_timeout = self.0.options.election_timeout;
        let hosted =
            Hosted { replica: Arc::clone(&replica), beginning, priorities, election_timeout };
        self.0.lock_nodes().insert(group, hosted);
        Ok(Node::new(self.clone(), replica))
    }

    /// The node of a group.
    pub fn node(&self, group: GroupId) -> Option<Node> {
        self.0.replica(group).map(|replica| Node::new(self.clone(), replica))
    }

    /// All groups that have a node here, running or not.
    pub fn groups(&self) -> Vec<GroupId> {
        self.0.lock_nodes().keys().copied().collect()
    }

    /// This store.
    pub fn store(&self) -> StoreId {
        self.0.options.store
    }

    /// The threads below, for a transport of the user's own: it hands in what arrives.
    pub fn node_host(&self) -> &NodeHost {
        &self.0.node_host
    }

    /// Why the host has stopped, if it has: a failed write or sync of the log. Shut it down and
    /// start it again, in this process or another, on a disk that works.
    pub fn failure(&self) -> Option<String> {
        self.0.cause.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the host counts; nothing unless it was told to.
    pub fn metrics(&self) -> Option<&Metrics> {
        self.0.shared.metrics.as_deref()
    }

    /// The metrics as a page for Prometheus. Waits for the thread that knows of the replicators, at
    /// most two seconds.
    pub fn metrics_text(&self) -> String {
        let mut page = Page::default();
        if let Some(metrics) = self.metrics() {
            metrics.write(&mut page);
            if let Some(replicators) = self.0.node_host.replicators() {
                replicators.write(&mut page);
            }
        }
        page.into_text()
    }

    /// See [`Node::reset_election_timeout`].
    pub(super) fn set_election_timeout(
        &self,
        group: GroupId,
        timeout: Duration,
    ) -> Result<(), Error> {
        bounds::check_election_timeout(timeout)?;
        if let Some(hosted) = self.0.lock_nodes().get_mut(&group) {
            hosted.election_timeout = timeout;
        }
        self.0.node_host.set_election_timeout(group, timeout);
        Ok(())
    }

    /// See [`Node::set_priority`].
    pub(super) fn set_priority(&self, group: GroupId, peer: PeerId, priority: i32) {
        if let Some(hosted) = self.0.lock_nodes().get_mut(&group) {
            hosted.priorities.insert(peer, priority);
        }
        self.0.node_host.set_priority(group, peer, Priority(priority));
    }

    /// The one in effect.
    pub(super) fn election_timeout(&self, group: GroupId) -> Duration {
        let nodes = self.0.lock_nodes();
        nodes.get(&group).map_or(self.0.options.election_timeout, |node| node.election_timeout)
    }

    /// See [`Node::recover`].
    pub(super) fn recover_node(
        &self,
        group: GroupId,
        machine: Box<dyn StateMachine>,
    ) -> Result<(), Error> {
        self.0.check()?;
        let _changing = self.0.change()?;
        self.bring_back(group, machine, None).map(|_| ())
    }

    /// Bring back a node that has ended; if asked so, only when it ended by this.
    fn bring_back(
        &self,
        group: GroupId,
        machine: Box<dyn StateMachine>,
        ended_by: Option<&Error>,
    ) -> Result<Node, Error> {
        let (replica, beginning, priorities, timeout) = {
            let nodes = self.0.lock_nodes();
            let Hosted { replica, beginning, priorities, election_timeout } =
                nodes.get(&group).ok_or(Error::NoGroup)?;
            (Arc::clone(replica), beginning.clone(), priorities.clone(), *election_timeout)
        };
        match replica.ended() {
            Some(error) if ended_by.is_none_or(|by| *by == error) => {}
            _ => return Err(Error::Exists),
        }
        if !self.0.node_host.halt(group) || !self.0.node_host.remove(group) {
            return Err(Error::TimedOut);
        }
        replica.restart(machine, beginning)?;
        let raft = self.0.raft_config((group, replica.peer), &priorities, timeout);
        let revival = Revival { raft, at: replica.meta() };
        let adapter = Box::new(Adapter(Arc::clone(&replica)));
        let Some(term) = self.0.node_host.revive(group, adapter, revival) else {
            replica.shut_down();
            let what = "nothing of it is halted here, or its log begins after its snapshot";
            return Err(Error::Restore(what.to_owned()));
        };
        replica.know_term(term);
        Ok(Node::new(self.clone(), replica))
    }

    /// Which replica this is; the initial configuration must agree.
    fn peer_of(&self, group: GroupId, options: &NodeOptions) -> Result<PeerId, Error> {
        let store = self.store();
        let peer = options.peer.unwrap_or(PeerId(store.0));
        let conf = &options.initial_conf;
        configuration::check(conf.members())?;
        if !conf.is_empty() && conf.members().all(|member| member.is_learner) {
            return Err(Error::Invalid(format!("nobody of {conf} has a vote")));
        }
        match conf.member(store) {
            _ if group == RegionId(0) => {
                Err(Error::Invalid("a group's number begins at 1".to_owned()))
            }
            _ if peer == PeerId(0) => Err(Error::Invalid("a peer's number begins at 1".to_owned())),
            None if conf.is_empty() => Ok(peer),
            Some(member) if options.peer.is_none_or(|peer| peer == member.peer) => Ok(member.peer),
            _ => Err(Error::Invalid(format!("{peer} on {store} is not a member of {conf}"))),
        }
    }
}

impl Inner {
    /// Refuse when nothing works any more.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.has_failed.load(Ordering::Relaxed) {
            let cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(cause.map_or(Error::ShutDown, |cause| Error::Host { cause }));
        }
        Ok(())
    }

    fn raft_config(
        &self,
        (group, peer): (GroupId, PeerId),
        priorities: &BTreeMap<PeerId, i32>,
        timeout: Duration,
    ) -> RaftConfig {
        let seed = random() ^ group.0;
        raft_options::config(&self.options, (peer, seed), priorities, timeout)
    }

    /// These members live at these addresses, somebody says.
    pub(super) fn learn<'a>(&self, source: Source, members: impl IntoIterator<Item = &'a Member>) {
        if let Some(tcp) = &self.tcp {
            let known = members.into_iter().map(|member| (member.store, member.address.clone()));
            tcp.lanes().learn(source, known);
        }
    }

    pub(super) fn replica(&self, group: GroupId) -> Option<Arc<Replica>> {
        self.lock_nodes().get(&group).map(|hosted| Arc::clone(&hosted.replica))
    }

    fn replicas(&self) -> Vec<Arc<Replica>> {
        self.lock_nodes().values().map(|hosted| Arc::clone(&hosted.replica)).collect()
    }

    pub(super) fn snapshot_dir(&self, group: GroupId) -> PathBuf {
        self.options.data_dir.join("snapshots").join(group.0.to_string())
    }

    pub(super) fn lock_nodes(&self) -> MutexGuard<'_, BTreeMap<GroupId, Hosted>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn host_options(
    options: &HostOptions,
    transport: Arc<dyn Transport>,
    metrics: Option<Arc<Metrics>>,
    on_fatal: impl FnOnce(String) + Send + 'static,
) -> Options {
    let shard = ShardConfig {
        engine_sync: EngineSyncConfig::never(),
        retain_bytes: options.retain_log_bytes,
        cache_bytes_all: options.log_cache_bytes_all,
        store_timeout: options.election_timeout * 2,
        ..ShardConfig::default()
    };
    Options {
        shard,
        heartbeat_interval: options.heartbeat_interval,
        election_timeout: options.election_timeout,
        seed: random(),
        spool_dir: options.data_dir.join("spool"),
        transport,
        sync_engine: Box::new(|| Ok(())),
        background: Background::new(),
        on_notice: Arc::new(|_, _| {}),
        on_fatal: Box::new(on_fatal),
        apply_workers: options.apply_workers,
        installs: Installs::Apart,
        metrics,
    }
}

/// Write whose directory this is, or compare.
fn claim(options: &HostOptions) -> Result<(), Error> {
    bounds::check_host(options)?;
    fs::create_dir_all(&options.data_dir)?;
    let ident = StoreIdent { cluster: options.cluster, store: options.store };
    let path = options.data_dir.join("store");
    if path.exists() {
        let found = store_ident::from_bytes(Bytes::from(fs::read(&path)?))
            .map_err(|error| Error::Invalid(format!("{}: {error}", path.display())))?;
        if found != ident {
            let StoreIdent { cluster, store } = found;
            return Err(Error::Invalid(format!(
                "{} belongs to {store} of {cluster}, this is {} of {}",
                options.data_dir.display(),
                ident.store,
                ident.cluster
            )));
        }
        return Ok(());
    }
    write_durably(&path, &store_ident::to_bytes(ident))?;
    fs::create_dir_all(options.data_dir.join("snapshots"))?;
    fs::File::open(&options.data_dir)?.sync_all()?;
    Ok(())
}

/// A file that is there as a whole or not at all.
pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let temporary = path.with_extension("tmp");
    let mut file = fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(parent) => fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// A number unlikely to be drawn twice.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
