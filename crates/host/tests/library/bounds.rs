//! Options and waits that nobody should ask for, and some do: each is refused by name or taken for
//! what it must mean, and no host stops over it.

use std::time::Duration;

use kontiki_host::library::{CliOptions, CliService, Error, Host};
use kontiki_types::StoreId;

use crate::cluster::{Cluster, PATIENCE};

const STORE: StoreId = StoreId(1);

#[test]
fn an_election_timeout_beyond_its_bounds_is_refused_and_the_host_goes_on() {
    let (cluster, leader) = Cluster::with_leader(1);
    let node = cluster.node(leader);
    for timeout in [Duration::ZERO, Duration::from_micros(1), Duration::MAX] {
        let refused = node.reset_election_timeout(timeout);
        assert!(matches!(refused, Err(Error::Invalid(_))), "{timeout:?}: {refused:?}");
    }
    node.reset_election_timeout(Duration::from_millis(300)).expect("taken");
    assert_eq!(cluster.say(leader, "a").as_deref(), Ok("1"));
    assert_eq!(cluster.hosts[&leader].failure(), None);
}

#[test]
fn host_options_beyond_their_bounds_are_refused() {
    let mut cluster = Cluster::hosts(0);
    for timeout in [Duration::ZERO, Duration::MAX] {
        let options = cluster.options(STORE).with_election_timeout(timeout);
        let refused = Host::start(options).map(|_| ());
        assert!(matches!(refused, Err(Error::Invalid(_))), "{timeout:?}: {refused:?}");
    }
}

#[test]
fn the_longest_interval_means_never_and_the_longest_waits_for_ever() {
    let mut cluster = Cluster::hosts(1);
    cluster.tune = |options| options.snapshot_interval = Some(Duration::MAX);
    cluster.create(STORE).expect("created");
    cluster.calls.leader();
    let node = cluster.node(STORE);
    let reply = node.propose("a").wait_timeout(Duration::MAX).expect("applied");
    assert_eq!(reply, "1");
    cluster.say(STORE, "b").expect("applied");
    node.snapshot().wait_timeout(PATIENCE).expect("when asked");
}

#[test]
fn the_largest_options_of_replication_are_only_large() {
    let mut cluster = Cluster::tuned_hosts(3, |options| {
        options.raft.read_lag_max = Some(u64::MAX);
        options.raft.transfer_lag_max = u64::MAX;
        options.raft.catch_up_entries_max = u64::MAX;
        options.raft.catch_up_bytes_max = usize::MAX;
        options.raft.inflight_bytes_max = usize::MAX;
        options.raft.uncommitted_bytes_max = usize::MAX;
        options.raft.apply_bytes_max = usize::MAX;
        options.raft.lease_slack = Duration::MAX;
        options.log_cache_bytes = usize::MAX;
        options.log_cache_bytes_all = usize::MAX;
        options.retain_log_bytes = usize::MAX;
        options.log_bytes_all = u64::MAX;
        options.hibernate_after = Some(u32::MAX);
    });
    let leader = cluster.elect();
    cluster.say(leader, "a").expect("applied");
    for store in cluster.stores() {
        assert_eq!(cluster.words_in_time(store), ["a"]);
        cluster.node(store).set_priority(kontiki_types::PeerId(leader.0), i32::MAX);
        cluster.node(store).set_priority(kontiki_types::PeerId(99), i32::MIN);
    }
    cluster.node(leader).snapshot().wait_timeout(PATIENCE).expect("saved");
    assert_eq!(cluster.say(leader, "b").as_deref(), Ok("2"));
}

#[test]
fn the_smallest_options_of_replication_are_only_slow() {
    let mut cluster = Cluster::tuned_hosts(3, |options| {
        options.raft.append_bytes_max = 0;
        options.raft.inflight_messages_max = 1;
        options.raft.inflight_bytes_max = 0;
        options.raft.apply_bytes_max = 0;
        options.raft.read_lag_max = Some(0);
        options.log_cache_bytes = 0;
        options.log_cache_bytes_all = 512 * 1024;
        options.hibernate_after = Some(0);
        options.snapshot_bytes_per_second = Some(16 * 1024);
    });
    cluster.tune = |options| options.snapshot_log_bytes = 1;
    let leader = cluster.elect();
    for (n, word) in ["a", "b", "c"].into_iter().enumerate() {
        assert_eq!(cluster.say(leader, word), Ok((n + 1).to_string()));
    }
    for store in cluster.stores() {
        assert_eq!(cluster.words_in_time(store), ["a", "b", "c"]);
    }
}

#[test]
fn an_operator_without_patience_gets_an_answer_of_some_kind() {
    let net = crate::network::Net::start(1);
    for time in [Duration::ZERO, Duration::MAX] {
        let cli = CliService::new(CliOptions { timeout: time, ..CliOptions::default() });
        let leader = cli.get_leader(crate::network::GROUP, &net.conf);
        let in_time = !time.is_zero();
        assert!(leader.is_ok() || !in_time, "{time:?}: {leader:?}");
        if let Err(error) = leader {
            assert!(!error.to_string().contains("0 duration"), "{error}");
        }
    }
}
