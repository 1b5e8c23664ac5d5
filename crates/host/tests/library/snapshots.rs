//! Snapshots, restarts, log compaction, and followers that the log does not reach any more.

use kontiki_host::library::Error;
use kontiki_types::{Index, StoreId};

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
