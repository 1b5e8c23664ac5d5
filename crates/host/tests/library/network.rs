//! Hosts over TCP, administered from outside: JRaft's CliServiceTest and RouteTableTest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kontiki_host::library::{
    CliOptions, CliService, Configuration, Error, Host, HostOptions, Member, Network, NodeOptions,
    ReadMode, RouteTable,
};
use kontiki_host::{Class, NodeHost, SnapshotPipe, Transport};
use kontiki_types::{ClusterId, PeerId, RegionId, StoreId};
use tempfile::TempDir;

use crate::cluster::PATIENCE;
use crate::machine::{Calls, Words};

pub(crate) const GROUP: RegionId = RegionId(5);

pub(crate) struct Net {
    pub(crate) hosts: BTreeMap<u64, Host>,
    pub(crate) conf: Configuration,
    probe: crate::machine::Probe,
    _calls: Calls,
    pub(crate) dirs: BTreeMap<u64, TempDir>,
}

impl Net {
    pub(crate) fn start(groups: u64) -> Self {
        let held: Vec<_> =
            (0..3).map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("bound")).collect();
        let members = (1..).zip(&held).map(|(n, listener)| {
            Member::new(StoreId(n), listener.local_addr().expect("bound").to_string())
        });
        let conf = Configuration::new(members);
        drop(held);
        let (probe, calls) = Calls::new();
        let mut net =
            Self { hosts: BTreeMap::new(), conf, probe, _calls: calls, dirs: BTreeMap::new() };
        for member in net.conf.clone().members() {
            net.host(member.store.0, &member.address);
            for group in (0..groups).map(|n| RegionId(GROUP.0 + n)) {
                let options = NodeOptions::new(net.conf.clone());
                net.node(member.store.0, group, options);
            }
        }
        net
    }

    /// A host in the directory of this store, empty if there is none.
    pub(crate) fn host(&mut self, store: u64, listen: &str) {
        let dir = self.dirs.entry(store).or_insert_with(|| tempfile::tempdir().expect("made"));
        let host = Self::start_in(dir, store, listen);
        self.hosts.insert(store, host);
    }

    pub(crate) fn start_in(dir: &TempDir, store: u64, listen: &str) -> Host {
        let mut options = HostOptions::new(StoreId(store), dir.path(), Network::tcp(listen))
            .with_election_timeout(Duration::from_millis(400));
        options.log_segment_bytes = 16 * 1024 * 1024;
        Host::start(options).expect("started")
    }

    /// A host of a newcomer with a node that waits to be added.
    pub(crate) fn join(&mut self, store: u64) -> Member {
        self.host(store, "127.0.0.1:0");
        self.node(store, GROUP, NodeOptions::joining());
        let address = self.hosts[&store].address_of(StoreId(store)).expect("its own");
        Member::new(StoreId(store), address)
    }

    /// Wait until the store holds everything acknowledged before.
    pub(crate) fn catches_up(&self, store: u64) {
        let node = self.hosts[&store].node(GROUP).expect("there");
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = node.read_index_handle(ReadMode::Index).wait_timeout(PATIENCE) {
            assert!(Instant::now() < deadline, "{store} cannot read: {error}");
            std::thread::yield_now();
        }
    }

    pub(crate) fn node(&self, store: u64, group: RegionId, options: NodeOptions) {
        let machine = Words { store: StoreId(store), probe: self.probe.fresh() };
        self.hosts[&store].create_node(group, options, machine).expect("created");
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for host in self.hosts.values() {
            host.shutdown();
        }
    }
}

pub(crate) fn cli() -> CliService {
    CliService::new(CliOptions { patience: PATIENCE, ..CliOptions::default() })
}

#[test]
fn an_operator_moves_leaders_adds_promotes_and_removes() {
    let mut net = Net::start(1);
    let (cli, conf) = (cli(), net.conf.clone());
    let leader = cli.get_leader(GROUP, &conf).expect("there is one");
    assert_eq!(conf.member(leader.store), Some(&leader));
    assert_eq!(cli.get_peers(GROUP, &conf).expect("told").len(), 3);

    let mut table = RouteTable::new();
    assert_eq!(table.refresh_leader(&cli, GROUP), Err(Error::NoGroup));
    table.update_configuration(GROUP, conf.clone());
    assert_eq!(table.refresh_leader(&cli, GROUP).expect("refreshed"), leader);

    let next = conf.members().find(|m| m.store != leader.store).expect("three").clone();
    cli.transfer_leader(GROUP, &conf, Some(next.store)).expect("moved");
    assert_eq!(cli.get_leader(GROUP, &conf).expect("there is one"), next);
    assert_eq!(table.select_leader(GROUP), Some(&leader), "until it is refreshed");
    table.refresh_leader(&cli, GROUP).expect("refreshed");
    assert_eq!(table.select_leader(GROUP), Some(&next));

    let node = net.hosts[&next.store.0].node(GROUP).expect("there");
    node.propose("a").wait_timeout(PATIENCE).expect("applied");
    cli.snapshot(GROUP, &next).expect("saved");
    assert_eq!(cli.get_alive(GROUP, &conf).expect("told").len(), 3);

    let fourth = net.join(4);
    cli.add_peer(GROUP, &conf, &fourth.clone().learner()).expect("added");
    assert_eq!(cli.get_learners(GROUP, &conf).expect("told").len(), 1);
    cli.promote(GROUP, &conf, PeerId(4)).expect("promoted");
    table.refresh_configuration(&cli, GROUP).expect("refreshed");
    let known = table.configuration(GROUP).expect("known");
    assert_eq!(known.member(StoreId(4)), Some(&fourth));
    let away = cli.remove_peer(GROUP, known, leader.peer);
    away.expect("removed");
    assert_eq!(cli.get_peers(GROUP, known).expect("told").len(), 3);
    // The newcomer knows where the others are: it can lead them.
    cli.transfer_leader(GROUP, known, Some(StoreId(4))).expect("moved");
    let node = net.hosts[&4].node(GROUP).expect("there");
    node.propose("b").wait_timeout(PATIENCE).expect("applied");
}

#[test]
fn an_operator_exchanges_all_members_at_once() {
    let mut net = Net::start(1);
    let (cli, conf) = (cli(), net.conf.clone());
    let leader = cli.get_leader(GROUP, &conf).expect("there is one");
    let fourth = net.join(4);
    let mut to = conf.clone();
    to.remove(leader.store);
    to.add(fourth);
    // The newcomer comes, and the leader itself goes.
    cli.change_peers(GROUP, &conf, &to).expect("changed");
    let members = cli.get_peers(GROUP, &to).expect("told");
    assert_eq!(Configuration::new(members), to);
    // Until somebody else leads, the others name the one that goes.
    let deadline = Instant::now() + PATIENCE;
    let next = loop {
        let next = cli.get_leader(GROUP, &to).expect("there is one");
        if next.store != leader.store {
            break next;
        }
        assert!(Instant::now() < deadline, "{next} leads on");
        std::thread::yield_now();
    };
    assert_eq!(to.member(next.store), Some(&next));
    let node = net.hosts[&next.store.0].node(GROUP).expect("there");
    node.propose("a").wait_timeout(PATIENCE).expect("applied");
    net.catches_up(4);
    cli.change_peers(GROUP, &to, &Configuration::default()).expect_err("nobody would be left");
    assert_eq!(Configuration::new(cli.get_peers(GROUP, &to).expect("told")), to);
}

#[test]
fn an_operator_exchanges_all_learners_at_once() {
    let mut net = Net::start(1);
    let (cli, conf) = (cli(), net.conf.clone());
    let (fourth, fifth) = (net.join(4).learner(), net.join(5).learner());
    for learners in [vec![fourth.clone()], vec![fifth.clone()], vec![fifth, fourth], vec![]] {
        cli.reset_learners(GROUP, &conf, &learners).expect("exchanged");
        let told = cli.get_learners(GROUP, &conf).expect("told");
        assert_eq!(Configuration::new(told), Configuration::new(learners.clone()));
        assert_eq!(Configuration::new(cli.get_peers(GROUP, &conf).expect("told")), conf);
        for learner in learners {
            net.catches_up(learner.store.0);
        }
    }
}

#[test]
fn an_operator_resets_what_remains_of_a_lost_majority() {
    let mut net = Net::start(1);
    let (cli, conf) = (cli(), net.conf.clone());
    let leader = cli.get_leader(GROUP, &conf).expect("there is one");
    let node = net.hosts[&leader.store.0].node(GROUP).expect("there");
    node.propose("a").wait_timeout(PATIENCE).expect("applied");
    let remains = conf.members().find(|m| m.store != leader.store).expect("three").clone();
    net.catches_up(remains.store.0);
    for lost in conf.members().filter(|member| **member != remains) {
        net.hosts.remove(&lost.store.0).expect("it is there").shutdown();
    }
    let node = net.hosts[&remains.store.0].node(GROUP).expect("there");
    node.read_index_handle(ReadMode::Index).wait_timeout(PATIENCE).expect_err("alone it cannot");
    // Whoever still answers says what is wrong, not those who do not.
    let patience = Duration::from_secs(1);
    let impatient = CliService::new(CliOptions { patience, ..CliOptions::default() });
    let nobody = Err(Error::NotLeader { leader: None });
    assert_eq!(impatient.get_leader(GROUP, &conf), nobody);

    let stranger = Configuration::new([Member::new(StoreId(9), "127.0.0.1:1")]);
    cli.reset_peers(GROUP, &remains, &stranger).expect_err("it is not one of them");
    let alone = Configuration::new([remains.clone()]);
    cli.reset_peers(GROUP, &remains, &alone).expect("reset");
    assert_eq!(cli.get_leader(GROUP, &alone).expect("there is one"), remains);
    assert_eq!(cli.get_peers(GROUP, &alone).expect("told"), [remains]);
    let reply = node.propose("b").wait_timeout(PATIENCE).expect("applied");
    assert_eq!(reply, "2", "what it held before is there");
}

#[test]
fn leaders_are_spread_over_the_stores() {
    let net = Net::start(6);
    let groups: Vec<RegionId> = (0..6).map(|n| RegionId(GROUP.0 + n)).collect();
    let leaders = cli().rebalance(&groups, &net.conf).expect("spread");
    let mut counts = BTreeMap::new();
    for store in leaders.values() {
        *counts.entry(*store).or_insert(0) += 1;
    }
    assert!(counts.values().all(|count| *count <= 2), "{counts:?}");
}

#[test]
fn operators_of_another_cluster_and_of_closed_stores_are_refused() {
    let dir = tempfile::tempdir().expect("made");
    let mut options = HostOptions::new(StoreId(1), dir.path(), Network::tcp("127.0.0.1:0"));
    options.disable_cli = true;
    let host = Host::start(options).expect("started");
    let address = host.address_of(StoreId(1)).expect("its own");
    let conf = Configuration::new([Member::new(StoreId(1), address)]);
    // That is final: the patience is not used up.
    let (began, patience) = (Instant::now(), PATIENCE);
    let refused = cli().get_leader(GROUP, &conf).expect_err("closed");
    assert_eq!(refused.code(), Error::CliDisabled.code(), "{refused}");
    let other = CliOptions { cluster: ClusterId(9), patience, ..CliOptions::default() };
    let refused = CliService::new(other).get_leader(GROUP, &conf).expect_err("another cluster");
    assert!(refused.to_string().contains("this is cluster 1, not 9"), "{refused}");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    host.shutdown();
}

/// A network of a user's own that holds its lock while it hands frames over.
struct Locked {
    hosts: Arc<Mutex<BTreeMap<StoreId, NodeHost>>>,
    from: StoreId,
}

impl Transport for Locked {
    fn send(&self, to: StoreId, _: Class, frame: Bytes) -> bool {
        let hosts = self.hosts.lock().expect("no panic");
        hosts.get(&to).is_some_and(|host| host.receive(self.from, frame).is_ok())
    }

    fn open_snapshot(&self, _: StoreId, _: Bytes) -> Result<Box<dyn SnapshotPipe>, String> {
        Err("not here".to_owned())
    }
}

#[test]
fn a_transport_may_hold_a_lock_while_it_hands_over() {
    let shared = Arc::<Mutex<BTreeMap<StoreId, NodeHost>>>::default();
    let (probe, calls) = Calls::new();
    let (mut hosts, mut dirs) = (BTreeMap::new(), Vec::new());
    for store in (1..=3).map(StoreId) {
        let dir = tempfile::tempdir().expect("made");
        let network = Locked { hosts: Arc::clone(&shared), from: store };
        let mut options = HostOptions::new(store, dir.path(), Network::Custom(Arc::new(network)))
            .with_election_timeout(Duration::from_millis(400));
        options.log_segment_bytes = 16 * 1024 * 1024;
        let host = Host::start(options).expect("started");
        shared.lock().expect("no panic").insert(store, host.node_host().clone());
        hosts.insert(store, host);
        dirs.push(dir);
    }
    let conf = Configuration::new((1..=3).map(|n| Member::new(StoreId(n), "")));
    for (&store, host) in &hosts {
        let machine = Words { store, probe: probe.fresh() };
        host.create_node(GROUP, NodeOptions::new(conf.clone()), machine).expect("created");
    }
    let leader = hosts[&calls.leader()].node(GROUP).expect("it was created");
    for word in ["one", "two", "three"] {
        leader.propose(word).wait_timeout(PATIENCE).expect("replicated");
    }
    shared.lock().expect("no panic").clear();
    for host in hosts.values() {
        host.shutdown();
    }
}

/// Numbers are the user's: once only those up to 4,096 were heard.
#[test]
fn stores_of_any_number_reach_each_other() {
    let (probe, _calls) = Calls::new();
    let stores = [StoreId(4096), StoreId(4097), StoreId(u64::MAX)];
    let mut hosts = Vec::new();
    let mut members = Vec::new();
    let dirs: Vec<TempDir> = stores.iter().map(|_| tempfile::tempdir().expect("made")).collect();
    for (store, dir) in stores.into_iter().zip(&dirs) {
        let options = HostOptions::new(store, dir.path(), Network::tcp("127.0.0.1:0"))
            .with_election_timeout(Duration::from_millis(400));
        let host = Host::start(options).expect("started");
        members.push(Member::new(store, host.address_of(store).expect("its own")));
        hosts.push(host);
    }
    let conf = Configuration::new(members);
    for host in &hosts {
        let machine = Words { store: host.store(), probe: probe.fresh() };
        host.create_node(GROUP, NodeOptions::new(conf.clone()), machine).expect("created");
    }
    let leader = cli().get_leader(GROUP, &conf).expect("there is one");
    let leads = hosts.iter().find(|host| host.store() == leader.store).expect("one of them");
    let node = leads.node(GROUP).expect("there");
    node.propose("a").wait_timeout(PATIENCE).expect("applied");
    let deadline = Instant::now() + PATIENCE;
    while node.list_alive().expect("it leads").len() < 3 {
        assert!(Instant::now() < deadline, "{}", node.describe());
        std::thread::yield_now();
    }
    hosts.iter().for_each(Host::shutdown);
}
