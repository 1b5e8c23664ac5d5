//! Hosts that nobody holds any more, and those that somebody still does.

use std::sync::mpsc::sync_channel;

use kontiki_host::library::{
    Configuration, Error, Host, HostOptions, Member, MemoryNetwork, Network, NodeOptions, Task,
};
use kontiki_types::StoreId;
use tempfile::TempDir;

use crate::cluster::{Cluster, GROUP, PATIENCE};
use crate::machine::{Call, Calls, Words};

const STORE: StoreId = StoreId(1);

fn options(dir: &TempDir, network: Network) -> HostOptions {
    let mut options = HostOptions::new(STORE, dir.path(), network);
    options.log_segment_bytes = 16 * 1024 * 1024;
    options
}

fn alone() -> NodeOptions {
    NodeOptions::new(Configuration::new([Member::new(STORE, "")]))
}

#[test]
fn a_host_that_nobody_holds_any_more_is_shut_down() {
    for network in [Network::Memory(MemoryNetwork::new()), Network::tcp("127.0.0.1:0")] {
        let dir = tempfile::tempdir().expect("made");
        let (probe, calls) = Calls::new();
        let host = Host::start(options(&dir, network.clone())).expect("started");
        let words = Words { store: STORE, probe: probe.clone() };
        let node = host.create_node(GROUP, alone(), words).expect("created");
        calls.leader();
        drop(host);
        node.propose("a").wait_timeout(PATIENCE).expect("a node is a handle too");
        assert!(!calls.all().contains(&(STORE, Call::Shutdown)));
        drop(node);
        assert_eq!(calls.all().last(), Some(&(STORE, Call::Shutdown)));

        let host = Host::start(options(&dir, network)).expect("the directory is free");
        let words = Words { store: STORE, probe: probe.fresh() };
        host.create_node(GROUP, alone(), words).expect("created");
        calls.leader();
    }
}

#[test]
fn the_last_handle_may_go_on_a_thread_of_the_host() {
    let dir = tempfile::tempdir().expect("made");
    let (probe, calls) = Calls::new();
    let network = Network::Memory(MemoryNetwork::new());
    let host = Host::start(options(&dir, network.clone())).expect("started");
    let node = host.create_node(GROUP, alone(), Words { store: STORE, probe }).expect("created");
    calls.leader();
    let (alone_with_it, only_one) = sync_channel(1);
    let last = node.clone();
    let task = Task::new("a").with_done(move |_| {
        only_one.recv_timeout(PATIENCE).expect("the others go");
        drop(last);
    });
    node.apply(task);
    drop((host, node));
    alone_with_it.send(()).expect("it waits");
    calls.wait(|_, call| *call == Call::Shutdown);
    // The state machine is told last of all.
    drop(Host::start(options(&dir, network)).expect("the directory is free"));
}

#[test]
fn a_directory_in_use_is_refused_and_this_process_is_not_thought_innocent() {
    let dir = tempfile::tempdir().expect("made");
    let network = Network::Memory(MemoryNetwork::new());
    let _host = Host::start(options(&dir, network.clone())).expect("started");
    let Err(Error::Io(error)) = Host::start(options(&dir, network)) else { panic!("started") };
    assert!(error.contains("another process, or by a host of this one"), "{error}");
}

#[test]
fn a_host_that_has_ended_leaves_its_successor_on_the_network() {
    let (mut cluster, leader) = Cluster::with_leader(3);
    let store = cluster.others(leader)[0];
    let old = cluster.hosts[&store].clone();
    cluster.stop(store);
    cluster.start(store);
    old.shutdown();
    drop(old);
    cluster.create(store).expect("created");
    cluster.say(leader, "a").expect("applied");
    assert_eq!(cluster.words_in_time(store), ["a"]);
}
