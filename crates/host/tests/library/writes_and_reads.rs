//! Tasks, completions, reads, leaders: JRaft's NodeTest in its plain parts.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use kontiki_host::library::{Error, NodeState, ReadMode, Successor, Task};
use kontiki_types::{StoreId, Term};

use crate::cluster::{Cluster, PATIENCE};
use crate::machine::Call;

#[test]
fn a_single_node_leads_itself() {
    let (cluster, leader) = Cluster::with_leader(1);
    assert_eq!(cluster.say(leader, "a").expect("applied"), "1");
    assert_eq!(cluster.words(leader).expect("read"), ["a"]);
    assert_eq!(cluster.node(leader).state(), NodeState::Leader);
}

#[test]
fn every_node_applies_what_the_leader_took_and_any_node_reads_it() {
    let (cluster, leader) = Cluster::with_leader(3);
    for (n, word) in ["a", "b", "c"].into_iter().enumerate() {
        assert_eq!(cluster.say(leader, word).expect("applied"), (n + 1).to_string());
        for store in cluster.stores() {
            let words = cluster.words_in_time(store);
            assert_eq!(words.last().map(String::as_str), Some(word), "{store}");
        }
    }
}

#[test]
fn a_follower_refuses_and_names_the_leader() {
    let (cluster, leader) = Cluster::with_leader(3);
    let follower = cluster.others(leader)[0];
    // It knows the leader once it has read through it.
    cluster.words_in_time(follower);
    match cluster.say(follower, "a") {
        Err(Error::NotLeader { leader: Some((_, store)) }) => assert_eq!(store, leader),
        other => panic!("{other:?}"),
    }
}

#[test]
fn committed_is_told_before_the_reply_and_terms_are_compared() {
    let (cluster, leader) = Cluster::with_leader(3);
    let node = cluster.node(leader);
    let (sender, told) = sync_channel(4);
    let replies = sender.clone();
    let task = Task::new("a")
        .with_expected_term(node.term())
        .with_on_committed(move || sender.send("committed".to_owned()).expect("room"));
    node.apply(task.with_done(move |result| replies.send(format!("{result:?}")).expect("room")));
    assert_eq!(told.recv_timeout(PATIENCE).as_deref(), Ok("Ok(b\"1\")"), "with_done replaces");

    let (sender, told) = sync_channel(4);
    let replies = sender.clone();
    let task = Task::new("b")
        .with_done(move |result| replies.send(format!("{result:?}")).expect("room"))
        .with_on_committed(move || sender.send("committed".to_owned()).expect("room"));
    node.apply(task);
    assert_eq!(told.recv_timeout(PATIENCE).as_deref(), Ok("committed"));
    assert_eq!(told.recv_timeout(PATIENCE).as_deref(), Ok("Ok(b\"2\")"));

    let (task, handle) = Task::new("c").with_expected_term(Term(99)).with_handle();
    node.apply(task);
    let result = handle.wait_timeout(PATIENCE);
    assert_eq!(result, Err(Error::TermMismatch { current: node.term() }));
}

#[test]
fn a_task_that_is_too_large_is_refused_at_once() {
    let (cluster, leader) = Cluster::with_leader(1);
    let result = cluster.node(leader).propose(vec![0; 5 * 1024 * 1024]).wait_timeout(PATIENCE);
    assert!(matches!(result, Err(Error::TooLarge { .. })), "{result:?}");
}

#[test]
fn leadership_moves_on_request_and_the_callbacks_tell_of_it() {
    let (cluster, leader) = Cluster::with_leader(3);
    cluster.say(leader, "a").expect("applied");
    let target = cluster.others(leader)[0];
    let moved = cluster.node(leader).transfer_leadership_to(Successor::On(target));
    moved.wait_timeout(PATIENCE).expect("begun");
    assert_eq!(cluster.calls.leader(), target);
    assert_eq!(cluster.say(target, "b").expect("applied"), "2");
    cluster.words_in_time(leader);
    let calls = cluster.calls.all();
    let heard: Vec<&Call> = calls.iter().filter(|(s, _)| *s == leader).map(|(_, c)| c).collect();
    assert!(
        matches!(heard.as_slice(), [
            ..,
            Call::LeaderStart(began),
            Call::LeaderStop(ended),
            Call::StartFollowing(store),
        ] if began == ended && *store == target),
        "the old leader heard {heard:?}"
    );
    let anywhere = cluster.node(target).transfer_leadership_to(Successor::Any);
    anywhere.wait_timeout(PATIENCE).expect("begun");
    assert_ne!(cluster.calls.leader(), target);
    let nobody = cluster.node(leader).transfer_leadership_to(Successor::On(StoreId(9)));
    nobody.wait_timeout(PATIENCE).expect_err("there is no such store");
}

#[test]
fn a_leader_that_is_cut_off_serves_no_read_and_another_leads() {
    let (cluster, leader) = Cluster::with_leader(3);
    cluster.say(leader, "a").expect("applied");
    cluster.network.isolate(leader);
    let next = cluster.calls.leader();
    assert_ne!(next, leader);
    assert_eq!(cluster.say(next, "b").expect("applied"), "2");
    cluster.words(leader).expect_err("it cannot know");
    cluster.network.heal();
    assert_eq!(cluster.words_in_time(leader), ["a", "b"]);
}

#[test]
fn members_are_listed_and_the_leader_knows_who_is_alive() {
    let (mut cluster, leader) = Cluster::with_leader(3);
    let node = cluster.node(leader);
    assert_eq!(node.list_peers().expect("listed").len(), 3);
    assert!(node.list_learners().expect("listed").is_empty());
    cluster.say(leader, "a").expect("applied");
    cluster.words_in_time(leader);
    assert_eq!(node.list_alive().expect("listed").len(), 3);
    let gone = cluster.others(leader)[0];
    cluster.stop(gone);
    let deadline = std::time::Instant::now() + PATIENCE;
    while node.list_alive().expect("listed").len() > 2 {
        assert!(std::time::Instant::now() < deadline, "the stopped store counts as alive");
    }
    let told = node.describe();
    let parts = ["leader", "timers: heartbeat", "reads: ", "configuration as of", "replicator s"];
    let more = ["matched", "inflight", "log after", "apply: ", "callers: ", "snapshot none"];
    for part in parts.into_iter().chain(more) {
        assert!(told.contains(part), "no {part} in {told}");
    }
}

#[test]
fn the_election_timeout_of_a_node_changes_at_run_time() {
    let (cluster, leader) = Cluster::with_leader(3);
    cluster.say(leader, "a").expect("applied");
    // So long that nobody would stand within the patience of this test, and back.
    for store in cluster.stores() {
        cluster.node(store).reset_election_timeout(PATIENCE * 10).expect("taken");
        let told = cluster.node(store).describe();
        assert!(told.contains("timers: "), "{told}");
    }
    for store in cluster.others(leader) {
        let timeout = Duration::from_millis(100);
        cluster.node(store).reset_election_timeout(timeout).expect("taken");
    }
    cluster.network.isolate(leader);
    assert_ne!(cluster.calls.leader(), leader);
}

#[test]
fn each_replicator_is_on_the_page() {
    let (cluster, leader) = Cluster::with_leader(3);
    cluster.say(leader, "a").expect("applied");
    let page = cluster.hosts[&leader].metrics_text();
    let names = ["append_entries_times", "heartbeat_times", "install_snapshot_times"];
    for name in names.into_iter().chain(["log_lags", "next_index"]) {
        for peer in cluster.others(leader) {
            let line =
                format!("kontiki_raft_replicator_{name}{{group=\"7\",peer=\"{}\"}} ", peer.0);
            assert!(page.contains(&line), "{line} in {page}");
        }
    }
    let other = cluster.hosts[&cluster.others(leader)[0]].metrics_text();
    assert!(!other.contains("kontiki_raft_replicator_next_index{"), "a follower feeds nobody");
}

/// A lease outlives the connection to the others, and ends before another can lead.
#[test]
fn a_leader_reads_by_its_lease_alone_until_that_is_over() {
    // Long enough that a machine under load does not let it pass between two lines.
    let mut cluster = Cluster::tuned_hosts(3, |options| {
        options.election_timeout = Duration::from_secs(2);
        options.heartbeat_interval = Duration::from_millis(50);
    });
    let leader = cluster.elect();
    cluster.say(leader, "a").expect("applied");
    let read = |store| {
        let read = cluster.node(store).read_index_handle(ReadMode::Lease);
        read.wait_timeout(PATIENCE).map(|_| cluster.probes[&store].words())
    };
    // The first one begins the lease; a follower asks for it too.
    assert_eq!(read(leader).expect("confirmed"), ["a"]);
    assert_eq!(read(cluster.others(leader)[0]).expect("by the leader's lease"), ["a"]);
    cluster.network.isolate(leader);
    assert_eq!(read(leader).expect("nobody else can lead yet"), ["a"]);

    let next = cluster.calls.leader();
    assert_ne!(next, leader);
    cluster.say(next, "b").expect("applied");
    read(leader).expect_err("its lease is over");
    assert_eq!(read(next).expect("confirmed"), ["a", "b"]);
}
