//! What JRaft's NodeTest and CliServiceTest show and no other test here does. Which of ours stands
//! for which of theirs is in `docs/acceptance/`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kontiki_host::library::{
    Configuration, Entries, Error, Host, MachineError, Member, Node, NodeOptions, ReadMode,
    StateMachine, Successor,
};
use kontiki_types::{Index, PeerId, StoreId};

use crate::cluster::{Cluster, GROUP, PATIENCE};
use crate::machine::{Call, Probe};

fn member(store: u64) -> Member {
    Member::new(StoreId(store), "")
}

fn conf(members: impl IntoIterator<Item = Member>) -> Configuration {
    Configuration::new(members)
}

/// A host with a node that waits to be added.
fn join(cluster: &mut Cluster, store: u64) {
    let store = StoreId(store);
    if !cluster.hosts.contains_key(&store) {
        cluster.start(store);
    }
    let machine = cluster.machine(store);
    let node = cluster.hosts[&store].create_node(GROUP, NodeOptions::joining(), machine);
    node.expect("created");
}

fn restart(cluster: &mut Cluster, store: StoreId) {
    cluster.start(store);
    cluster.create(store).expect("created");
}

#[test]
fn learners_of_the_first_configuration_follow_and_are_exchanged_as_a_set() {
    let mut cluster = Cluster::hosts(3);
    let first = conf([member(1), member(2).learner(), member(3).learner()]);
    for store in cluster.stores() {
        let machine = cluster.machine(store);
        let node =
            cluster.hosts[&store].create_node(GROUP, NodeOptions::new(first.clone()), machine);
        node.expect("created");
    }
    assert_eq!(cluster.calls.leader(), StoreId(1));
    cluster.say(StoreId(1), "a").expect("applied");
    for store in cluster.stores() {
        assert_eq!(cluster.words_in_time(store), ["a"], "{store}");
    }
    join(&mut cluster, 4);
    let node = cluster.node(StoreId(1));
    let second = [member(2).learner(), member(4).learner()];
    node.reset_learners(&second).wait_timeout(PATIENCE).expect("exchanged");
    let learners = node.list_learners().expect("listed");
    assert_eq!(learners.iter().map(|peer| peer.id.0).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(cluster.words_in_time(StoreId(4)), ["a"]);
}

#[test]
fn a_leader_and_a_follower_that_were_away_come_back_and_catch_up() {
    let (mut cluster, leader) = Cluster::with_leader(3);
    cluster.say(leader, "a").expect("applied");
    cluster.stop(leader);
    let next = cluster.calls.leader();
    cluster.say(next, "b").expect("applied");
    restart(&mut cluster, leader);
    assert_eq!(cluster.words_in_time(leader), ["a", "b"]);
    cluster.stop(leader);
    for n in 0..30 {
        cluster.say(next, &format!("w{n}")).expect("two of three are there");
    }
    restart(&mut cluster, leader);
    assert_eq!(cluster.words_in_time(leader), cluster.words_in_time(next));
    assert_eq!(cluster.words_in_time(leader).len(), 32);
}

#[test]
fn a_leader_removes_itself_and_another_leads() {
    let (cluster, leader) = Cluster::with_leader(3);
    cluster.say(leader, "a").expect("applied");
    let removed = cluster.node(leader).remove_peer(PeerId(leader.0)).wait_timeout(PATIENCE);
    removed.expect("removed");
    let next = cluster.calls.leader();
    assert_ne!(next, leader);
    assert_eq!(cluster.say(next, "b").expect("applied"), "2");
    assert_eq!(cluster.node(next).list_peers().expect("listed").len(), 2);
}

#[test]
fn a_group_moves_from_store_to_store() {
    let (mut cluster, mut leader) = Cluster::with_leader(1);
    for store in 2..=5 {
        cluster.say(leader, &format!("w{store}")).expect("applied");
        join(&mut cluster, store);
        let moved = cluster.node(leader).change_peers(&conf([member(store)]));
        moved.wait_timeout(PATIENCE).expect("moved");
        let before = leader;
        leader = cluster.calls.leader();
        assert_eq!(leader, StoreId(store));
        cluster.stop(before);
    }
    assert_eq!(cluster.words_in_time(leader), ["w2", "w3", "w4", "w5"]);
}

/// The words whose writers were told that they are applied.
type Told = Arc<Mutex<Vec<String>>>;

/// Writes words until each is applied or its fate unknown. Returns the unknown ones.
fn write_all(nodes: &BTreeMap<StoreId, Node>, writer: u64, told: &Told) -> Vec<String> {
    let mut unknown = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    for n in 0..40 {
        let word = format!("{writer}-{n}");
        let mut at = nodes.values().cycle();
        loop {
            assert!(Instant::now() < deadline, "{word} is not taken");
            let node = at.next().expect("there are nodes");
            match node.propose(word.clone()).wait_timeout(PATIENCE) {
                Ok(_) => break told.lock().expect("no panic under it").push(word),
                Err(Error::OutcomeUnknown | Error::ShutDown) => break unknown.push(word),
                Err(_) => std::thread::yield_now(),
            }
        }
    }
    unknown
}

/// Reads at one store; whatever was applied for anyone before must be there.
fn read_all(node: &Node, probe: &Probe, told: &Told) {
    let mut reads = 0;
    let deadline = Instant::now() + PATIENCE;
    while reads < 40 {
        assert!(Instant::now() < deadline, "only {reads} reads");
        let before = told.lock().expect("no panic under it").clone();
        if node.read_index_handle(ReadMode::Index).wait_timeout(PATIENCE).is_ok() {
            let words = probe.words();
            let stale = before.iter().find(|word| !words.contains(word));
            assert_eq!(stale, None, "a read at {} does not show it", node.peer());
            reads += 1;
        }
    }
}

/// Changes the members until they are these, whoever leads.
fn change_to(nodes: &BTreeMap<StoreId, Node>, to: &Configuration) {
    let deadline = Instant::now() + PATIENCE;
    for node in nodes.values().cycle() {
        assert!(Instant::now() < deadline, "the members do not become {to:?}");
        if node.change_peers(to).wait_timeout(PATIENCE).is_ok() {
            return;
        }
        std::thread::yield_now();
    }
}

fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::Builder::new().name("caller".to_owned()).spawn(work).expect("a thread")
}

#[test]
fn writes_reads_changes_and_transfers_at_once_lose_nothing() {
    let (mut cluster, _) = Cluster::with_leader(3);
    join(&mut cluster, 4);
    let nodes: BTreeMap<StoreId, Node> =
        cluster.stores().into_iter().map(|store| (store, cluster.node(store))).collect();
    let told = Told::default();
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (nodes, told) = (nodes.clone(), Arc::clone(&told));
            spawn(move || write_all(&nodes, writer, &told))
        })
        .collect();
    let readers: Vec<_> = [1, 2]
        .map(StoreId)
        .map(|store| {
            let (node, probe) = (nodes[&store].clone(), cluster.probes[&store].clone());
            let told = Arc::clone(&told);
            spawn(move || read_all(&node, &probe, &told))
        })
        .into();
    let four = [member(1), member(2), member(3), member(4)];
    change_to(&nodes, &conf(four.clone()));
    change_to(&nodes, &conf(four.clone().map(|m| if m.store.0 == 2 { m.learner() } else { m })));
    for node in nodes.values() {
        // Only a leader can, and it may have lost its place by then: either way is fine.
        drop(node.transfer_leadership_to(Successor::Any).wait_timeout(PATIENCE));
    }
    change_to(&nodes, &conf(four));
    change_to(&nodes, &conf([member(1), member(2), member(4)]));
    for reader in readers {
        reader.join().expect("every read was right");
    }
    let unknown: Vec<String> =
        writers.into_iter().flat_map(|writer| writer.join().expect("all were taken")).collect();

    let told = told.lock().expect("no panic under it").clone();
    assert_eq!(told.len() + unknown.len(), 120);
    let words = cluster.words_in_time(StoreId(1));
    let count = |word: &String| words.iter().filter(|other| *other == word).count();
    assert!(told.iter().all(|word| count(word) == 1), "told {told:?}, there are {words:?}");
    assert!(unknown.iter().all(|word| count(word) <= 1), "twice: {words:?}");
    for store in [2, 4].map(StoreId) {
        assert_eq!(cluster.words_in_time(store), words, "{store}");
    }
}

/// What the throttle lets pass at once, in a tenth of a second, before anything has to wait.
const BURST: Duration = Duration::from_millis(100);

/// A lower bound of time only: however slow the machine is, this does not fail for it.
#[test]
fn a_large_snapshot_is_installed_under_a_throttle() {
    const BYTES_PER_SECOND: u32 = 2 * 1024 * 1024;
    let mut cluster = Cluster::hosts(0);
    for store in [1, 2].map(StoreId) {
        let mut options = cluster.options(store);
        options.snapshot_bytes_per_second = Some(BYTES_PER_SECOND.into());
        cluster.hosts.insert(store, Host::start(options).expect("started"));
    }
    let machine = cluster.machine(StoreId(1));
    let options = NodeOptions::new(conf([member(1)]));
    let node = cluster.hosts[&StoreId(1)].create_node(GROUP, options, machine).expect("created");
    cluster.calls.leader();
    for n in 0..30 {
        cluster.say(StoreId(1), &n.to_string().repeat(50_000)).expect("applied");
    }
    let bytes: usize = cluster.probes[&StoreId(1)].words().iter().map(String::len).sum();
    let paid = Duration::from_secs(bytes as u64) / BYTES_PER_SECOND;
    let began = Instant::now();
    node.snapshot().wait_timeout(PATIENCE).expect("saved");
    let took = began.elapsed();
    assert!(took + BURST >= paid, "{bytes} bytes were written in {took:?}");
    assert!(node.status().expect("told").first > Index(20), "the log is cut");
    join(&mut cluster, 2);
    let began = Instant::now();
    node.add_peer(&member(2)).wait_timeout(PATIENCE).expect("added");
    cluster.calls.wait(|store, call| store == StoreId(2) && *call == Call::Loaded(30));
    let took = began.elapsed();
    assert!(took + BURST >= paid, "{bytes} bytes were sent in {took:?}");
    assert_eq!(cluster.words_in_time(StoreId(2)), cluster.words_in_time(StoreId(1)));
    let moved = node.transfer_leadership_to(Successor::On(StoreId(2)));
    moved.wait_timeout(PATIENCE).expect("whoever has the snapshot can lead");
}

/// Applies, and knows no snapshots.
struct NoSnapshots;

impl StateMachine for NoSnapshots {
    fn apply(&mut self, entries: &mut Entries<'_>) -> Result<(), MachineError> {
        entries.by_ref().filter_map(|task| task.done).for_each(|done| done.reply("done"));
        Ok(())
    }
}

#[test]
fn a_state_machine_without_snapshots_says_so_and_goes_on() {
    let mut cluster = Cluster::hosts(1);
    let options = NodeOptions::new(conf([member(1)]));
    let node = cluster.hosts[&StoreId(1)].create_node(GROUP, options, NoSnapshots);
    let node = node.expect("created");
    let deadline = Instant::now() + PATIENCE;
    while !node.is_leader() {
        assert!(Instant::now() < deadline, "it does not elect itself");
        std::thread::yield_now();
    }
    let say = || node.propose("a").wait_timeout(PATIENCE);
    say().expect("applied");
    let refused = node.snapshot().wait_timeout(PATIENCE);
    assert!(matches!(refused, Err(Error::Snapshot(_))), "{refused:?}");
    say().expect("applied");
    cluster.stop(StoreId(1));
}

#[test]
fn a_leader_that_keeps_its_quorum_stays() {
    let (cluster, leader) = Cluster::with_leader(3);
    let term = cluster.node(leader).term();
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        cluster.say(leader, "a").expect("applied");
        for store in cluster.stores() {
            cluster.words_in_time(store);
        }
    }
    assert_eq!(cluster.node(leader).term(), term, "ten election timeouts later");
}
