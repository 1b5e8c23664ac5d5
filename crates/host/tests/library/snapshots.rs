//! Snapshots, restarts, log compaction, and followers that the log does not reach any more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use kontiki_host::library::{
    Configuration, Entries, Error, Host, MachineError, Member, Node, NodeOptions, SaveSnapshot,
    SnapshotReader, StateMachine,
};
use kontiki_types::{Index, RegionId, StoreId};

use crate::cluster::{Cluster, PATIENCE};
use crate::machine::Call;

#[test]
fn a_restarted_host_replays_its_log() {
    let (mut cluster, leader) = Cluster::with_leader(1);
    for word in ["a", "b", "c"] {
        cluster.say(leader, word).expect("applied");
    }
    cluster.stop(leader);
    cluster.start(leader);
    cluster.create(leader).expect("created");
    assert_eq!(cluster.calls.leader(), leader);
    assert_eq!(cluster.words(leader).expect("read"), ["a", "b", "c"]);
}

#[test]
fn a_snapshot_takes_the_place_of_the_log_below_it() {
    let (mut cluster, leader) = Cluster::with_leader(1);
    let node = cluster.node(leader);
    assert!(matches!(node.snapshot().wait_timeout(PATIENCE), Ok(_) | Err(Error::Snapshot(_))));
    for word in ["a", "b", "c"] {
        cluster.say(leader, word).expect("applied");
    }
    let index = node.snapshot().wait_timeout(PATIENCE).expect("saved");
    assert_eq!(index, node.last_applied_index());
    assert_eq!(node.snapshot().wait_timeout(PATIENCE), Ok(index), "nothing new");
    cluster.say(leader, "d").expect("applied");
    let status = node.status().expect("told");
    assert_eq!((status.first, status.durable_applied), (index + 1, index));
    cluster.stop(leader);
    cluster.start(leader);
    cluster.create(leader).expect("created");
    cluster.calls.wait(|_, call| *call == Call::Loaded(3));
    assert_eq!(cluster.calls.leader(), leader);
    assert_eq!(cluster.words(leader).expect("read"), ["a", "b", "c", "d"]);
}

#[test]
fn a_follower_that_the_log_does_not_reach_gets_a_snapshot() {
    let (mut cluster, leader) = Cluster::with_leader(3);
    let away = cluster.others(leader)[0];
    cluster.say(leader, "a").expect("applied");
    cluster.words_in_time(away);
    cluster.stop(away);
    for n in 0..20 {
        cluster.say(leader, &format!("w{n}")).expect("applied");
    }
    // The follower counts as alive for a while, and the log stays for its sake.
    let node = cluster.node(leader);
    let deadline = std::time::Instant::now() + PATIENCE;
    while node.status().expect("told").first < Index(10) {
        assert!(std::time::Instant::now() < deadline, "the log is not compacted");
        cluster.say(leader, "more").expect("applied");
        node.snapshot().wait_timeout(PATIENCE).expect("saved");
    }
    let all = cluster.words(leader).expect("read");
    cluster.start(away);
    // Members are known from the log; the list of hosts is whole again.
    cluster.create(away).expect("created");
    cluster.calls.wait(|store, call| store == away && matches!(call, Call::Loaded(n) if *n > 1));
    assert_eq!(cluster.words_in_time(away), all);
    // And it survives a restart of its own.
    cluster.stop(away);
    cluster.start(away);
    cluster.create(away).expect("created");
    assert_eq!(cluster.words_in_time(away), all);
}

#[test]
fn a_follower_is_fed_with_entries_that_left_memory() {
    let mut cluster = Cluster::tuned_hosts(3, |options| {
        options.log_cache_bytes = 500;
        options.retain_log_bytes = 1024 * 1024;
    });
    let leader = cluster.elect();
    let away = cluster.others(leader)[0];
    cluster.stop(away);
    for n in 0..50 {
        cluster.say(leader, &format!("{n} {}", "w".repeat(100))).expect("applied");
    }
    let status = cluster.node(leader).status().expect("told");
    assert_eq!(status.first, Index(1), "the whole log is there");
    assert!(status.log_bytes > 5000 && status.cached_bytes <= 500, "{status:?}");
    let all = cluster.words(leader).expect("read");
    cluster.start(away);
    cluster.create(away).expect("created");
    assert_eq!(cluster.words_in_time(away), all);
    assert!(!cluster.calls.all().iter().any(|(_, call)| matches!(call, Call::Loaded(_))));
}

#[test]
fn committed_tasks_are_read_back_from_the_log() {
    let (cluster, leader) = Cluster::with_leader(1);
    let node = cluster.node(leader);
    for word in ["a", "b", "c"] {
        cluster.say(leader, word).expect("applied");
    }
    // The first entry is the leader's own and holds no task.
    let first = node.read_committed_user_log(Index(1)).expect("read");
    assert_eq!((first.index, first.tasks), (Index(2), vec!["a".into()]));
    let last = node.last_applied_index();
    assert_eq!(node.read_committed_user_log(last).expect("read").tasks, ["c"]);
    let beyond = node.read_committed_user_log(last + 1);
    assert_eq!(beyond, Err(Error::LogIndexOutOfBounds { applied: last }));
    node.snapshot().wait_timeout(PATIENCE).expect("saved");
    // Asking how it stands comes after the word of the snapshot.
    assert_eq!(node.status().expect("told").first, last + 1);
    let gone = node.read_committed_user_log(Index(2));
    assert_eq!(gone, Err(Error::LogCompacted { first: last + 1 }));
}

#[test]
fn snapshots_come_by_themselves_after_time_and_after_bytes() {
    let mut cluster = Cluster::hosts(1);
    cluster.tune = |options| options.snapshot_interval = Some(std::time::Duration::from_millis(50));
    let node = cluster.create(StoreId(1)).expect("created");
    cluster.calls.leader();
    cluster.say(StoreId(1), "a").expect("applied");
    let deadline = std::time::Instant::now() + PATIENCE;
    while node.status().expect("told").durable_applied < Index(2) {
        assert!(std::time::Instant::now() < deadline, "no snapshot in time");
    }

    let mut cluster = Cluster::hosts(1);
    cluster.tune = |options| {
        options.snapshot_interval = None;
        options.snapshot_log_bytes = 1000;
    };
    let node = cluster.create(StoreId(1)).expect("created");
    cluster.calls.leader();
    cluster.say(StoreId(1), "a").expect("applied");
    assert_eq!(node.status().expect("told").durable_applied, Index(0));
    cluster.say(StoreId(1), &"b".repeat(1000)).expect("applied");
    while node.status().expect("told").durable_applied < Index(3) {
        assert!(std::time::Instant::now() < deadline, "no snapshot in time");
    }
}

/// A state machine without a state.
struct Nothing;

impl StateMachine for Nothing {
    fn apply(&mut self, entries: &mut Entries<'_>) -> Result<(), MachineError> {
        entries.for_each(drop);
        Ok(())
    }

    fn save_snapshot(&self) -> Result<SaveSnapshot, MachineError> {
        Ok(Box::new(|snapshot| Ok(snapshot.put("nothing", &[])?)))
    }

    fn load_snapshot(&mut self, _: &mut SnapshotReader) -> Result<(), MachineError> {
        Ok(())
    }
}

const MIB: usize = 1024 * 1024;

/// A host whose log may keep two segments, and the first of its groups has two mebibytes in it.
fn crowded() -> (Cluster, StoreId) {
    let mut cluster = Cluster::tuned_hosts(1, |options| options.log_bytes_all = 32 * MIB as u64);
    let store = cluster.elect();
    for _ in 0..2 {
        cluster.say(store, &"w".repeat(MIB)).expect("applied");
    }
    assert_eq!(cluster.node(store).status().expect("told").durable_applied, Index(0));
    (cluster, store)
}

/// Another group writes until the log would be far too long, and then until it is not.
fn write_beside(cluster: &Cluster, store: StoreId, segments_max: usize) {
    let host = &cluster.hosts[&store];
    let mut options = NodeOptions::new(Configuration::new([Member::new(store, "")]));
    options.snapshot_log_bytes = 4 * MIB;
    let busy = host.create_node(RegionId(8), options, Nothing).expect("made");
    insist(&busy);
    let deadline = std::time::Instant::now() + PATIENCE;
    let segments = || host.node_host().log_status().stats().segments;
    let mut written = 0;
    while written < 150 || segments() > segments_max {
        assert!(std::time::Instant::now() < deadline, "{} segments", segments());
        busy.propose("w".repeat(MIB)).wait_timeout(PATIENCE).expect("applied");
        written += 1;
    }
}

/// A group that wrote and then rests must not hold the log of all others for ever.
#[test]
fn a_group_at_rest_gives_up_its_part_of_a_crowded_log() {
    let (cluster, store) = crowded();
    write_beside(&cluster, store, 4);
    let status = cluster.node(store).status().expect("told");
    assert_eq!(status.durable_applied, status.applied, "it took a snapshot unasked");
}

#[test]
fn a_node_that_was_shut_down_does_not_hold_the_log() {
    let (mut cluster, store) = crowded();
    cluster.node(store).shutdown();
    write_beside(&cluster, store, 6);
    cluster.create(store).expect("brought back");
    assert_eq!(cluster.words_in_time(store).len(), 2, "what was moved is all there");
}

/// Counts what it applies; its snapshots are written, and loaded, when the test lets them.
struct Counting {
    seen: Arc<AtomicUsize>,
    gate: Arc<Mutex<()>>,
    at_gate: SyncSender<()>,
}

impl Counting {
    fn new() -> (Self, Arc<AtomicUsize>, Arc<Mutex<()>>, Receiver<()>) {
        let (seen, gate) = (Arc::default(), Arc::default());
        let (at_gate, arrivals) = sync_channel(16);
        (Self { seen: Arc::clone(&seen), gate: Arc::clone(&gate), at_gate }, seen, gate, arrivals)
    }
}

impl StateMachine for Counting {
    fn apply(&mut self, entries: &mut Entries<'_>) -> Result<(), MachineError> {
        self.seen.fetch_add(entries.count(), Ordering::SeqCst);
        Ok(())
    }

    fn save_snapshot(&self) -> Result<SaveSnapshot, MachineError> {
        let seen = self.seen.load(Ordering::SeqCst) as u64;
        let (gate, at_gate) = (Arc::clone(&self.gate), self.at_gate.clone());
        Ok(Box::new(move |snapshot| {
            at_gate.send(())?;
            drop(gate.lock().expect("nobody panics under it"));
            Ok(snapshot.put("seen", &seen.to_be_bytes())?)
        }))
    }

    fn load_snapshot(&mut self, snapshot: &mut SnapshotReader) -> Result<(), MachineError> {
        self.at_gate.send(())?;
        drop(self.gate.lock().expect("nobody panics under it"));
        let seen = u64::from_be_bytes(snapshot.read("seen")?.try_into().expect("eight bytes"));
        self.seen.store(usize::try_from(seen).expect("few"), Ordering::SeqCst);
        Ok(())
    }
}

/// The snapshot under way is newer than the one that a new state machine could be loaded from, and
/// the log goes up to it.
#[test]
fn a_node_brought_back_during_a_save_holds_everything() {
    let (cluster, store) = Cluster::with_leader(1);
    let host = cluster.hosts[&store].clone();
    let options = NodeOptions::new(Configuration::new([Member::new(store, "")]));
    let (machine, seen, gate, writing) = Counting::new();
    let node = host.create_node(SLOW, options.clone(), machine).expect("made");
    insist(&node);
    node.snapshot().wait_timeout(PATIENCE).expect("saved");
    writing.recv().expect("it was written");
    (0..5).for_each(|_| insist(&node));

    let held = gate.lock().expect("nobody panics under it");
    let saving = node.snapshot();
    writing.recv().expect("it is being written");
    node.shutdown();
    let (again, seen_again, gate_again, loading) = Counting::new();
    let held_again = gate_again.lock().expect("nobody panics under it");
    let back = std::thread::Builder::new()
        .spawn(move || host.create_node(SLOW, options, again).expect("brought back"))
        .expect("a thread");
    // A node that does not wait for the save would load the snapshot before it now.
    let _ = loading.recv_timeout(std::time::Duration::from_millis(300));
    drop(held);
    saving.wait_timeout(PATIENCE).expect("saved");
    cluster.node(store).status().expect("the shard has heard of it");
    drop(held_again);
    insist(&back.join().expect("no panic"));
    let (before, after) = (seen.load(Ordering::SeqCst), seen_again.load(Ordering::SeqCst));
    assert!(after > before, "{before} were applied, {after} are known");
}

#[test]
fn a_log_that_is_too_small_for_a_task_is_refused() {
    let mut cluster = Cluster::hosts(1);
    let mut options = cluster.options(StoreId(2));
    options.log_segment_bytes = 8 * 1024 * 1024;
    assert!(matches!(Host::start(options.clone()), Err(Error::Invalid(_))));
    options.log_segment_bytes = 16 * 1024 * 1024;
    options.log_bytes_all = 31 * 1024 * 1024;
    assert!(matches!(Host::start(options.clone()), Err(Error::Invalid(_))));
    options.log_bytes_all = 32 * 1024 * 1024;
    Host::start(options).expect("it is large enough").shutdown();
}

#[test]
fn a_failed_node_recovers_from_its_snapshot() {
    let (mut cluster, leader) = Cluster::with_leader(3);
    let victim = cluster.others(leader)[0];
    for word in ["a", "b"] {
        cluster.say(leader, word).expect("applied");
    }
    cluster.words_in_time(victim);
    cluster.node(victim).snapshot().wait_timeout(PATIENCE).expect("saved");
    cluster.say(leader, "c").expect("applied");
    cluster.say(leader, &format!("fail on {}", victim.0)).expect("others do");
    cluster.calls.wait(|store, call| store == victim && matches!(call, Call::Error(_)));
    let mut machine = cluster.machine(victim);
    machine.store = StoreId(victim.0 + 100);
    cluster.node(victim).recover(machine).expect("recovered");
    cluster.calls.wait(|store, call| store.0 > 100 && *call == Call::Loaded(2));
    assert_eq!(cluster.words_in_time(victim), cluster.words_in_time(leader));
}

const FIRST: StoreId = StoreId(1);
const SECOND: StoreId = StoreId(2);
/// The group of slow machines.
const SLOW: RegionId = RegionId(8);

/// A state machine that copies and loads its state only when the test lets it.
struct Slow {
    gate: Arc<Mutex<()>>,
    at_gate: SyncSender<()>,
}

impl Slow {
    fn new() -> (Self, Arc<Mutex<()>>, Receiver<()>) {
        let gate = Arc::default();
        let (at_gate, arrivals) = sync_channel(16);
        (Self { gate: Arc::clone(&gate), at_gate }, gate, arrivals)
    }

    fn pass(&self) {
        self.at_gate.send(()).expect("the test listens");
        drop(self.gate.lock().expect("nobody panics under it"));
    }
}

impl StateMachine for Slow {
    fn apply(&mut self, entries: &mut Entries<'_>) -> Result<(), MachineError> {
        entries.for_each(drop);
        Ok(())
    }

    fn save_snapshot(&self) -> Result<SaveSnapshot, MachineError> {
        self.pass();
        Ok(Box::new(|snapshot| Ok(snapshot.put("nothing", &[])?)))
    }

    fn load_snapshot(&mut self, _: &mut SnapshotReader) -> Result<(), MachineError> {
        self.pass();
        Ok(())
    }
}

/// Propose until the node leads.
pub(crate) fn insist(node: &Node) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while node.propose("x").wait_timeout(PATIENCE).is_err() {
        assert!(std::time::Instant::now() < deadline, "it never leads");
        std::thread::yield_now();
    }
}

/// A slow group beside the usual one, under one apply worker; it is on the first host alone yet.
struct Beside {
    cluster: Cluster,
    leader: StoreId,
    slow: Node,
    gate: Arc<Mutex<()>>,
    at_gate: Receiver<()>,
}

impl Beside {
    fn new() -> Self {
        let mut cluster = Cluster::tuned_hosts(2, |options| options.apply_workers = 1);
        let leader = cluster.elect();
        let (machine, gate, at_gate) = Slow::new();
        let options = NodeOptions::new(Configuration::new([Member::new(FIRST, "")]));
        let slow = cluster.hosts[&FIRST].create_node(SLOW, options, machine).expect("created");
        insist(&slow);
        Self { cluster, leader, slow, gate, at_gate }
    }
}

#[test]
fn a_slow_copy_and_a_slow_install_hold_up_no_other_group_of_their_worker() {
    let Beside { cluster, leader, slow, gate, at_gate } = Beside::new();
    let closed = gate.lock().expect("nobody panics under it");
    let saved = slow.snapshot();
    at_gate.recv_timeout(PATIENCE).expect("it copies");
    let waits = slow.propose("y");
    cluster.say(leader, "a").expect("applied");
    cluster.words(FIRST).expect("this worker goes on");
    drop(closed);
    saved.wait_timeout(PATIENCE).expect("saved");
    waits.wait_timeout(PATIENCE).expect("applied after the copy");

    // What the first has in its log is gone, so the second is sent the snapshot.
    let (machine, gate, at_gate) = Slow::new();
    let closed = gate.lock().expect("nobody panics under it");
    let joining = cluster.hosts[&SECOND].create_node(SLOW, NodeOptions::joining(), machine);
    let joined = joining.expect("created");
    let added = slow.add_peer(&Member::new(SECOND, ""));
    at_gate.recv_timeout(PATIENCE).expect("it installs");
    cluster.say(leader, "b").expect("applied");
    let words = cluster.words(SECOND).expect("this worker goes on");
    assert_eq!(words, ["a", "b"]);
    drop(closed);
    added.wait_timeout(PATIENCE).expect("added");
    insist(&slow);
    assert!(joined.last_applied_index() > Index(0));
}

/// Nobody has saved a snapshot when a follower needs the first one.
#[test]
fn a_slow_first_copy_for_a_new_member_holds_up_no_other_group() {
    let Beside { cluster, leader, slow, gate, at_gate } = Beside::new();
    let closed = gate.lock().expect("nobody panics under it");
    let (machine, _open, _passes) = Slow::new();
    let joining = cluster.hosts[&SECOND].create_node(SLOW, NodeOptions::joining(), machine);
    let joined = joining.expect("created");
    let added = slow.add_peer(&Member::new(SECOND, ""));
    at_gate.recv_timeout(PATIENCE).expect("it copies");
    cluster.say(leader, "a").expect("applied");
    assert_eq!(cluster.words(FIRST).expect("this worker goes on"), ["a"]);
    drop(closed);
    added.wait_timeout(PATIENCE).expect("added");
    assert!(joined.last_applied_index() > Index(0));
}

/// Its state machine has loaded the snapshot, and its log has not heard of it, when it comes back.
#[test]
fn a_node_shut_down_during_an_install_begins_with_what_was_installed() {
    let Beside { cluster, slow, gate: _open, at_gate: _passes, .. } = Beside::new();
    slow.snapshot().wait_timeout(PATIENCE).expect("saved");
    let (machine, gate, at_gate) = Slow::new();
    let closed = gate.lock().expect("nobody panics under it");
    let host = &cluster.hosts[&SECOND];
    let joined = host.create_node(SLOW, NodeOptions::joining(), machine).expect("created");
    let added = slow.add_peer(&Member::new(SECOND, ""));
    at_gate.recv_timeout(PATIENCE).expect("it installs");
    std::thread::scope(|scope| {
        let ends = scope.spawn(|| joined.shutdown());
        let deadline = std::time::Instant::now() + PATIENCE;
        while host.node_host().inspect(|shard| shard.is_halted(SLOW)) != Some(true) {
            assert!(std::time::Instant::now() < deadline, "it does not halt");
            std::thread::yield_now();
        }
        drop(closed);
        ends.join().expect("it ends");
    });
    let (machine, _open_again, loads) = Slow::new();
    let again = host.create_node(SLOW, NodeOptions::joining(), machine).expect("created again");
    loads.recv_timeout(PATIENCE).expect("it begins with the snapshot");
    added.wait_timeout(PATIENCE).expect("added");
    insist(&slow);
    assert!(again.last_applied_index() > Index(0));
}
