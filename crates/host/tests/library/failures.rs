//! User code that fails, nodes that end and come back, hosts that restart.

use kontiki_host::library::{
    Configuration, Contradiction, Error, Host, Member, NodeOptions, NodeState, Successor,
};
use kontiki_log::SimDisk;
use kontiki_log::simdisk::{Crash, Effect, Operation};
use kontiki_types::{PeerId, Position, RegionId, StoreId, Term};

use crate::cluster::{Cluster, GROUP, PATIENCE};
use crate::machine::Call;
use crate::snapshots::insist;

/// Syncs that fail in a row: more than the threads of a host can make before it stops.
const SYNCS_FAILED: u64 = 1000;

/// Known raft bug 64.
#[test]
fn a_panic_stops_one_node_of_one_group_and_recover_brings_it_back() {
    let (mut cluster, leader) = Cluster::with_leader(3);
    let other_group = RegionId(8);
    for store in cluster.stores() {
        let members = cluster.stores().into_iter().map(|store| Member::new(store, ""));
        let options = NodeOptions::new(Configuration::new(members));
        let machine = cluster.other_machine(store);
        cluster.hosts[&store].create_node(other_group, options, machine).expect("created");
    }
    let other_leader = cluster.calls.leader();
    let victim = cluster.others(leader)[0];
    cluster.say(leader, "a").expect("applied");
    cluster.say(leader, &format!("panic on {victim}", victim = victim.0)).expect("others do");
    let (_, call) =
        cluster.calls.wait(|store, call| store == victim && matches!(call, Call::Error(_)));
    let reason = "panicked: on purpose".to_owned();
    assert_eq!(call, Call::Error(Error::StateMachine { reason: reason.clone() }));
    let node = cluster.node(victim);
    assert_eq!(node.state(), NodeState::Error(Error::StateMachine { reason: reason.clone() }));
    assert_eq!(cluster.words(victim), Err(Error::StateMachine { reason }));

    // The group goes on, and so does the other group on the very same host.
    assert_eq!(cluster.say(leader, "b").expect("applied"), "3");
    let other = cluster.hosts[&other_leader].node(other_group).expect("there");
    other.propose("x").wait_timeout(PATIENCE).expect("applied");
    let reader = cluster.hosts[&victim].node(other_group).expect("there");
    let read = reader.read_index_handle(kontiki_host::library::ReadMode::Index);
    read.wait_timeout(PATIENCE).expect("the other group lives on the victim");
    let calls = cluster.calls.all();
    let errors = calls.iter().filter(|(_, call)| matches!(call, Call::Error(_)));
    assert_eq!(errors.count(), 1, "{calls:?}");

    // The same word would make it fail again: the new machine takes it for an ordinary one.
    let mut machine = cluster.machine(victim);
    machine.store = StoreId(victim.0 + 100);
    node.recover(machine).expect("recovered");
    let all = cluster.words_in_time(leader);
    assert_eq!(cluster.words_in_time(victim), all);
    assert_eq!(node.recover(cluster.machine(victim)), Err(Error::Exists));
}

#[test]
fn a_leader_that_fails_hands_over_and_its_callers_are_told() {
    let (cluster, leader) = Cluster::with_leader(3);
    cluster.say(leader, "a").expect("applied");
    // It is committed, and takes effect on the others.
    let fails = cluster.say(leader, &format!("fail on {}", leader.0));
    assert_eq!(fails, Err(Error::OutcomeUnknown));
    let (_, call) = cluster.calls.wait(|_, call| matches!(call, Call::Error(_)));
    assert_eq!(call, Call::Error(Error::StateMachine { reason: "on purpose".to_owned() }));
    let next = cluster.calls.leader();
    assert_ne!(next, leader);
    assert_eq!(cluster.say(next, "b").expect("applied"), "3");
    let refused = cluster.say(leader, "c");
    assert!(matches!(refused, Err(Error::StateMachine { .. })), "{refused:?}");
}

#[test]
fn tasks_left_behind_are_a_failure() {
    let (cluster, leader) = Cluster::with_leader(1);
    let node = cluster.node(leader);
    // Both in one turn, and so in one entry: what the first leaves, the second is.
    let result = cluster.say(leader, &format!("leave on {}", leader.0));
    // Alone in its entry nothing is left behind it.
    assert_eq!(result.as_deref(), Ok(""));
    let handles: Vec<_> =
        (0..200).map(|n| node.propose(if n % 2 == 0 { "leave on 1" } else { "b" })).collect();
    let results: Vec<_> = handles.into_iter().map(|h| h.wait_timeout(PATIENCE)).collect();
    let failed = |result: &Result<_, Error>| *result == Err(Error::OutcomeUnknown);
    assert!(results.iter().any(failed), "{results:?}");
    let (_, call) = cluster.calls.wait(|_, call| matches!(call, Call::Error(_)));
    assert!(
        matches!(&call, Call::Error(Error::StateMachine { reason }) if reason.contains("left"))
    );
}

#[test]
fn a_node_that_was_shut_down_comes_back_where_it_was() {
    let (mut cluster, leader) = Cluster::with_leader(3);
    for word in ["a", "b"] {
        cluster.say(leader, word).expect("applied");
    }
    cluster.node(leader).shutdown();
    let next = cluster.calls.leader();
    assert_ne!(next, leader, "it handed over");
    assert_eq!(cluster.node(leader).state(), NodeState::ShutDown);
    assert_eq!(cluster.say(leader, "x"), Err(Error::ShutDown));
    cluster.say(next, "c").expect("applied");
    let machine = cluster.machine(leader);
    let options = NodeOptions::joining();
    cluster.hosts[&leader].create_node(GROUP, options, machine).expect("created again");
    assert_eq!(cluster.words_in_time(leader), ["a", "b", "c"]);
    let options = NodeOptions::joining();
    let machine = cluster.machine(leader);
    let again = cluster.hosts[&leader].create_node(GROUP, options, machine);
    assert!(matches!(again, Err(Error::Exists)));
}

#[test]
fn a_log_that_cannot_be_synced_stops_the_host_by_name_and_it_starts_again_in_this_process() {
    let mut cluster = Cluster::hosts(3);
    let victim = StoreId(1);
    cluster.stop(victim);
    cluster.disks.insert(victim, SimDisk::new());
    cluster.start(victim);
    let leader = cluster.elect();
    if leader != victim {
        let to = Successor::On(victim);
        cluster
            .node(leader)
            .transfer_leadership_to(to)
            .wait_timeout(PATIENCE)
            .expect("handed over");
    }
    cluster.say(victim, "a").expect("applied");

    // All of them: the thread that makes segments ready syncs too, and only warns.
    for nth in 1..=SYNCS_FAILED {
        cluster.disks[&victim].inject(Operation::Sync, nth, Effect::Error);
    }
    let refused = cluster.say(victim, "b").expect_err("it is not durable here");
    assert!(matches!(refused, Error::Host { .. } | Error::OutcomeUnknown), "{refused:?}");
    let (_, call) =
        cluster.calls.wait(|store, call| store == victim && matches!(call, Call::Error(_)));
    let Call::Error(Error::Host { cause }) = call else { panic!("{call:?}") };
    assert!(cause.contains("sync"), "{cause}");
    assert_eq!(cluster.hosts[&victim].failure().as_ref(), Some(&cause));
    let named = Error::Host { cause };
    assert_eq!(cluster.node(victim).state(), NodeState::Error(named.clone()));
    assert_eq!(cluster.say(victim, "c"), Err(named.clone()));
    assert_eq!(cluster.words(victim), Err(named));

    // The others go on, and lost nothing that was acknowledged.
    let next = cluster.calls.leader();
    assert_ne!(next, victim);
    cluster.say(next, "d").expect("applied");

    // Another disk in the same machine would do; this one loses what it never synced.
    cluster.stop(victim);
    cluster.disks[&victim].crash(Crash::Lose, &mut || 0);
    cluster.start(victim);
    cluster.create(victim).expect("created");
    let all = cluster.words_in_time(next);
    assert_eq!(cluster.words_in_time(victim), all);
    assert!(all.contains(&"a".to_owned()) && all.contains(&"d".to_owned()), "{all:?}");
}

#[test]
fn a_directory_of_another_store_is_refused() {
    let mut cluster = Cluster::hosts(1);
    let mut options = cluster.options(StoreId(1));
    cluster.stop(StoreId(1));
    options.store = StoreId(2);
    let result = Host::start(options);
    assert!(matches!(result, Err(Error::Invalid(_))));
}

/// Whoever brings a store back with nothing but its old number is told so, and pays with this
/// group alone.
#[test]
fn a_replica_that_lost_its_log_under_its_old_number_stops_alone() {
    let (mut cluster, leader) = Cluster::with_leader(3);
    let lost = cluster.others(leader)[0];
    for word in ["a", "b", "c"] {
        cluster.say(leader, word).expect("applied");
        cluster.words_in_time(lost);
    }
    cluster.stop(lost);
    cluster.lose(lost);
    cluster.start(lost);
    let alone = NodeOptions::new(Configuration::new([Member::new(lost, "")]));
    let machine = cluster.other_machine(lost);
    let other = cluster.hosts[&lost].create_node(RegionId(8), alone, machine).expect("created");
    cluster.create(lost).expect("created");
    let told = cluster.calls.wait(|store, call| store == lost && matches!(call, Call::Error(_))).1;
    let is_lost = |error: &Error| {
        matches!(error, Error::Contradiction(Contradiction::LogLost { last, .. })
            if *last == Position::ZERO)
    };
    assert!(matches!(&told, Call::Error(error) if is_lost(error)), "{told:?}");
    let refused = cluster.node(lost).propose("d").wait_timeout(PATIENCE).expect_err("it is out");
    assert!(is_lost(&refused), "{refused}");

    // The others go on, and so does the other group of its host.
    cluster.say(leader, "d").expect("applied");
    insist(&other);
    // What helps: another number.
    cluster.node(leader).remove_peer(PeerId(lost.0)).wait_timeout(PATIENCE).expect("removed");
    cluster.hosts[&lost].destroy_node(GROUP, PeerId(lost.0)).expect("destroyed");
    let mut options = NodeOptions::joining();
    options.peer = Some(PeerId(70));
    let machine = cluster.machine(lost);
    cluster.hosts[&lost].create_node(GROUP, options, machine).expect("created");
    let member = Member::new(lost, "").with_peer(PeerId(70));
    cluster.node(leader).add_peer(&member).wait_timeout(PATIENCE).expect("added");
    assert_eq!(cluster.words_in_time(lost), ["a", "b", "c", "d"]);
}

/// The guide says to destroy what is damaged: a full disk must not look like it.
#[test]
fn a_disk_that_refuses_at_start_is_no_damage() {
    let mut cluster = Cluster::hosts(0);
    let store = StoreId(1);
    let refusing = [Operation::Create, Operation::Write, Operation::Sync, Operation::Rename];
    for operation in refusing {
        let disk = SimDisk::new();
        for nth in 1..=SYNCS_FAILED {
            disk.inject(operation, nth, Effect::Error);
        }
        let refused = Host::start_on(cluster.options(store), disk).map(|_| ());
        assert!(matches!(refused, Err(Error::Io(_))), "{operation:?}: {refused:?}");
    }
}

#[test]
fn the_term_is_known_from_the_start_and_after_each_return() {
    let (mut cluster, leader) = Cluster::with_leader(2);
    cluster.say(leader, "a").expect("applied");
    let term = cluster.node(leader).term();
    assert!(term > Term(0));
    let victim = cluster.others(leader)[0];
    cluster.words_in_time(victim);
    // Nobody leads from here on.
    cluster.stop(leader);
    let known = cluster.node(victim).term();
    assert!(known >= term, "{known} before {term}");
    cluster.node(victim).shutdown();
    cluster.create(victim).expect("created again");
    let came_back = cluster.node(victim).term();
    assert!(came_back >= known, "{came_back} before {known}");
    cluster.stop(victim);
    cluster.start(victim);
    let node = cluster.create(victim).expect("created");
    assert!(node.term() >= came_back, "{} before {came_back}", node.term());
}
