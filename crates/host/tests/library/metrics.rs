//! What a working group leaves on the page for Prometheus, number by number.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kontiki_host::library::{Error, ReadMode};
use kontiki_types::{Index, StoreId, limits};

use crate::cluster::{Cluster, PATIENCE};
use crate::machine::Call;

/// Most reads that may wait in a group.
const READS_MAX: u64 = 65_536;

/// What moves on a host that leads, in a group that writes, reads, and saves a snapshot.
const OF_A_LEADER: [&str; 17] = [
    "append_logs_seconds_count",
    "append_logs_count_sum",
    "append_logs_bytes_sum",
    "replicate_entries_seconds_count",
    "replicate_entries_count_sum",
    "replicate_entries_bytes_sum",
    "replicate_inflights_count_count",
    "fsm_apply_tasks_seconds_count",
    "fsm_apply_tasks_count_sum",
    "fsm_commit_seconds_count",
    "pre_vote_seconds_count",
    "request_vote_seconds_count",
    "leader_start_times",
    "snapshot_save_seconds_count",
    "truncate_log_prefix_seconds_count",
    "read_index_seconds_count",
    "handle_read_index_seconds_count",
];

/// And on one that follows, and had to be sent that snapshot.
const OF_A_FOLLOWER: [&str; 10] = [
    "append_logs_seconds_count",
    "append_logs_count_sum",
    "append_logs_bytes_sum",
    "handle_append_entries_seconds_count",
    "handle_append_entries_count_sum",
    "install_snapshot_seconds_count",
    "snapshot_load_seconds_count",
    "fsm_apply_tasks_count_sum",
    "read_index_seconds_count",
    "handle_read_index_entries_sum",
];

impl Cluster {
    /// A number on the page of this store.
    fn counted(&self, store: StoreId, name: &str) -> u64 {
        let page = self.hosts[&store].metrics_text();
        let start = format!("kontiki_raft_{name} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&start));
        let number = line.unwrap_or_else(|| panic!("no {name} on {page}"));
        number.parse().unwrap_or_else(|error| panic!("{name} is {number}: {error}"))
    }

    /// Wait until the number is as wanted: some are written just after the caller is told.
    fn counts(&self, store: StoreId, name: &str, wanted: impl Fn(u64) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let counted = self.counted(store, name);
            if wanted(counted) {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is {counted} on {store}");
            std::thread::yield_now();
        }
    }
}

/// Make the log so short that the store that is away must be sent a snapshot.
fn outrun(cluster: &Cluster, leader: StoreId) {
    let node = cluster.node(leader);
    let deadline = Instant::now() + PATIENCE;
    while node.status().expect("told").first < Index(10) {
        assert!(Instant::now() < deadline, "the log is not compacted");
        cluster.say(leader, "more").expect("applied");
        node.snapshot().wait_timeout(PATIENCE).expect("saved");
    }
}

#[test]
fn a_working_group_moves_every_number_that_it_must() {
    // A group that sleeps feeds nobody, and is not on the page.
    let mut cluster = Cluster::tuned_hosts(3, |options| options.hibernate_after = None);
    let leader = cluster.elect();
    let away = cluster.others(leader)[0];
    cluster.words_in_time(away);
    cluster.stop(away);
    for _ in 0..10 {
        cluster.say(leader, "word").expect("applied");
    }
    outrun(&cluster, leader);
    let others_words = cluster.words(leader).expect("read").len();
    cluster.start(away);
    cluster.create(away).expect("created");
    cluster.calls.wait(|store, call| store == away && matches!(call, Call::Loaded(_)));
    cluster.say(leader, "last").expect("applied");
    assert_eq!(cluster.words_in_time(away).len(), others_words + 1);

    for name in OF_A_LEADER {
        cluster.counts(leader, name, |counted| counted > 0);
    }
    for name in OF_A_FOLLOWER {
        cluster.counts(away, name, |counted| counted > 0);
    }
    // Exactly what was said, and who led.
    let words = others_words as u64 + 1;
    cluster.counts(leader, "fsm_apply_tasks_count_sum", |counted| counted == words);
    cluster.counts(leader, "leader_start_times", |counted| counted == 1);
    cluster.counts(away, "leader_start_times", |counted| counted == 0);
    let last = cluster.node(leader).status().expect("told").last.index.0;
    let of = |name: &str| format!("replicator_{name}{{group=\"7\",peer=\"{}\"}}", away.0);
    cluster.counts(leader, &of("append_entries_times"), |counted| counted > 0);
    cluster.counts(leader, &of("heartbeat_times"), |counted| counted > 0);
    cluster.counts(leader, &of("install_snapshot_times"), |counted| counted > 0);
    cluster.counts(leader, &of("next_index"), |counted| counted == last + 1);
    cluster.counts(leader, &of("log_lags"), |counted| counted == 0);
}

#[test]
fn what_goes_wrong_is_counted() {
    let (cluster, leader) = Cluster::with_leader(3);
    cluster.say(leader, "a").expect("applied");
    // What a leader wrote alone gives way to what the next one wrote.
    cluster.network.isolate(leader);
    let alone = cluster.node(leader).propose("alone");
    let next = cluster.calls.leader();
    cluster.say(next, "b").expect("applied");
    cluster.network.heal();
    alone.wait_timeout(PATIENCE).expect_err("nobody else has it");
    assert_eq!(cluster.words_in_time(leader), ["a", "b"]);
    cluster.counts(leader, "truncate_log_suffix_seconds_count", |counted| counted > 0);
    // A state machine that fails.
    cluster.counts(leader, "fsm_error_times", |counted| counted == 0);
    cluster.say(next, &format!("fail on {}", leader.0)).expect("others do");
    cluster.calls.wait(|store, call| store == leader && matches!(call, Call::Error(_)));
    cluster.counts(leader, "fsm_error_times", |counted| counted == 1);
}

#[test]
fn a_snapshot_that_cannot_be_saved_is_counted_and_hurts_nobody() {
    let (cluster, leader) = Cluster::with_leader(1);
    cluster.say(leader, "unsaveable").expect("applied");
    cluster.node(leader).snapshot().wait_timeout(PATIENCE).expect_err("it says so");
    cluster.counts(leader, "snapshot_save_failed_times", |counted| counted == 1);
    assert_eq!(cluster.say(leader, "more").as_deref(), Ok("2"));
}

/// A leader that reaches nobody lets in what it may hold, and says of all others that it is busy.
#[test]
fn whoever_is_refused_as_busy_is_counted() {
    let mut cluster = Cluster::tuned_hosts(3, |options| {
        options.raft.uncommitted_bytes_max = limits::ENTRY_BYTES_MAX;
        // Or it would cease to lead in the middle.
        options.election_timeout = Duration::from_secs(2);
    });
    let leader = cluster.elect();
    cluster.network.isolate(leader);
    let node = cluster.node(leader);
    let word = Bytes::from("w".repeat(limits::ENTRY_BYTES_MAX / 4));
    let tasks: Vec<_> = (0..20).map(|_| node.propose(word.clone())).collect();
    let reads: Vec<_> =
        (0..READS_MAX + 10).map(|_| node.read_index_handle(ReadMode::Index)).collect();
    cluster.network.heal();
    let busy_tasks = busy(tasks.into_iter().map(|task| task.wait_timeout(PATIENCE).map(drop)));
    let busy_reads = busy(reads.into_iter().map(|read| read.wait_timeout(PATIENCE).map(drop)));
    assert!((1..20).contains(&busy_tasks), "{busy_tasks} tasks");
    assert!((1..READS_MAX).contains(&busy_reads), "{busy_reads} reads");
    cluster.counts(leader, "apply_task_overload_times", |counted| counted == busy_tasks);
    cluster.counts(leader, "read_index_overload_times", |counted| counted == busy_reads);
}

fn busy(results: impl Iterator<Item = Result<(), Error>>) -> u64 {
    results.filter(|result| *result == Err(Error::Busy)).count() as u64
}

#[test]
fn a_host_that_was_told_not_to_count_works_alike_and_has_nothing_to_show() {
    let mut cluster = Cluster::tuned_hosts(3, |options| options.enable_metrics = false);
    let leader = cluster.elect();
    cluster.say(leader, "a").expect("applied");
    cluster.node(leader).snapshot().wait_timeout(PATIENCE).expect("saved");
    for store in cluster.stores() {
        assert_eq!(cluster.words_in_time(store), ["a"]);
        assert!(cluster.hosts[&store].metrics().is_none());
        assert_eq!(cluster.hosts[&store].metrics_text(), "");
    }
}
