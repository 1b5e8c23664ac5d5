//! Hosts on one memory network, each with a directory of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use kontiki_host::library::{
    Configuration, Error, GroupId, Host, HostOptions, Member, MemoryNetwork, Network, Node,
    NodeOptions,
};
use kontiki_log::SimDisk;
use kontiki_types::StoreId;
use tempfile::TempDir;

use crate::machine::{Calls, Probe, Words};

/// The group most tests use.
pub(crate) const GROUP: GroupId = kontiki_types::RegionId(7);

/// No answer takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Cluster {
    pub(crate) network: MemoryNetwork,
    pub(crate) hosts: BTreeMap<StoreId, Host>,
    pub(crate) probes: BTreeMap<StoreId, Probe>,
    pub(crate) calls: Calls,
    probe: Probe,
    dirs: BTreeMap<StoreId, TempDir>,
    pub(crate) tune: fn(&mut NodeOptions),
    tune_host: fn(&mut HostOptions),
    /// Disks that fail when a test wants it, under the logs of these stores.
    pub(crate) disks: BTreeMap<StoreId, SimDisk>,
}

impl Cluster {
    /// So many hosts, no group yet.
    pub(crate) fn hosts(count: u64) -> Self {
        Self::tuned_hosts(count, |_| {})
    }

    /// The same with other options.
    pub(crate) fn tuned_hosts(count: u64, tune_host: fn(&mut HostOptions)) -> Self {
        let (probe, calls) = Calls::new();
        let mut cluster = Self {
            network: MemoryNetwork::new(),
            hosts: BTreeMap::new(),
            probes: BTreeMap::new(),
            calls,
            probe,
            dirs: BTreeMap::new(),
            tune: |_| {},
            tune_host,
            disks: BTreeMap::new(),
        };
        for store in (1..=count).map(StoreId) {
            cluster.start(store);
        }
        cluster
    }

    /// So many hosts with a node each, and a leader.
    pub(crate) fn with_leader(count: u64) -> (Self, StoreId) {
        let mut cluster = Self::hosts(count);
        let leader = cluster.elect();
        (cluster, leader)
    }

    /// A node on each host, and a leader.
    pub(crate) fn elect(&mut self) -> StoreId {
        for store in self.stores() {
            self.create(store).expect("created");
        }
        self.calls.leader()
    }

    pub(crate) fn stores(&self) -> Vec<StoreId> {
        self.hosts.keys().copied().collect()
    }

    pub(crate) fn options(&mut self, store: StoreId) -> HostOptions {
        let dir = self.dirs.entry(store).or_insert_with(|| tempfile::tempdir().expect("made"));
        let network = Network::Memory(self.network.clone());
        let mut options = HostOptions::new(store, dir.path(), network)
            .with_election_timeout(Duration::from_millis(200));
        options.retain_log_bytes = 0;
        options.log_segment_bytes = 16 * 1024 * 1024;
        (self.tune_host)(&mut options);
        options
    }

    pub(crate) fn start(&mut self, store: StoreId) {
        let options = self.options(store);
        let host = match self.disks.get(&store) {
            Some(disk) => Host::start_on(options, disk.clone()),
            None => Host::start(options),
        };
        self.hosts.insert(store, host.expect("started"));
    }

    /// The machine of a store, empty.
    pub(crate) fn machine(&mut self, store: StoreId) -> Words {
        let probe = self.probe.fresh();
        self.probes.insert(store, probe.clone());
        Words { store, probe }
    }

    /// A machine for another group.
    pub(crate) fn other_machine(&self, store: StoreId) -> Words {
        Words { store, probe: self.probe.fresh() }
    }

    /// The node of the group on this store.
    pub(crate) fn create(&mut self, store: StoreId) -> Result<Node, Error> {
        let members = self.hosts.keys().map(|&store| Member::new(store, ""));
        let mut options = NodeOptions::new(Configuration::new(members));
        (self.tune)(&mut options);
        let machine = self.machine(store);
        self.hosts[&store].create_node(GROUP, options, machine)
    }

    pub(crate) fn node(&self, store: StoreId) -> Node {
        self.hosts[&store].node(GROUP).expect("it was created")
    }

    /// Propose, and wait for the reply.
    pub(crate) fn say(&self, store: StoreId, word: &str) -> Result<String, Error> {
        let reply = self.node(store).propose(word.to_owned()).wait_timeout(PATIENCE)?;
        Ok(String::from_utf8(reply.to_vec()).expect("a number"))
    }

    /// Read linearizably on this store.
    pub(crate) fn words(&self, store: StoreId) -> Result<Vec<String>, Error> {
        let read = self.node(store).read_index_handle(kontiki_host::library::ReadMode::Index);
        read.wait_timeout(PATIENCE)?;
        Ok(self.probes[&store].words())
    }

    /// The same, again while the store does not know its leader.
    pub(crate) fn words_in_time(&self, store: StoreId) -> Vec<String> {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            match self.words(store) {
                Ok(words) => return words,
                Err(error) if error.is_retryable() => {
                    assert!(std::time::Instant::now() < deadline, "{store}: {error}");
                    std::thread::yield_now();
                }
                Err(error) => panic!("{store}: {error}"),
            }
        }
    }

    pub(crate) fn others(&self, store: StoreId) -> Vec<StoreId> {
        self.stores().into_iter().filter(|other| *other != store).collect()
    }

    /// What a store keeps of the group in this folder of its data directory.
    pub(crate) fn kept(&self, store: StoreId, folder: &str) -> std::path::PathBuf {
        self.dirs[&store].path().join(folder).join(GROUP.0.to_string())
    }

    /// Its directory is gone; the host was stopped before.
    pub(crate) fn lose(&mut self, store: StoreId) {
        self.dirs.remove(&store).expect("it had one");
    }

    /// End a host as a crash would, as far as its threads allow.
    pub(crate) fn stop(&mut self, store: StoreId) {
        if let Some(host) = self.hosts.remove(&store) {
            host.shutdown();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for host in self.hosts.values() {
            host.shutdown();
        }
    }
}
