//! When snapshots are due that nobody asked for: the least number of entries between two.

use std::time::{Duration, Instant};

use kontiki_host::library::{Configuration, Member, Node, NodeOptions};
use kontiki_types::{Index, RegionId, StoreId};

use crate::cluster::{Cluster, PATIENCE};

const STORE: StoreId = StoreId(1);
const INTERVAL: Duration = Duration::from_millis(20);
/// The first entry is the leader's own: so many words are a margin.
const MARGIN: u64 = 10;
/// The group whose snapshots tell that those of the other were due.
const LATER: RegionId = RegionId(8);

fn saved(node: &Node) -> Index {
    node.status().expect("told").durable_applied
}

/// Wait for a snapshot that holds more than this.
fn saved_beyond(node: &Node, before: Index) -> Index {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = saved(node);
        if now > before {
            return now;
        }
        assert!(Instant::now() < deadline, "no snapshot after {before}");
        std::thread::yield_now();
    }
}

fn say(node: &Node, words: u64) {
    for n in 0..words {
        node.propose(format!("w{n}")).wait_timeout(PATIENCE).expect("applied");
    }
}

#[test]
fn a_snapshot_waits_until_there_are_as_many_entries_as_the_margin() {
    let mut cluster = Cluster::hosts(1);
    cluster.tune = |options| {
        options.snapshot_interval = Some(INTERVAL);
        options.snapshot_log_margin = MARGIN;
    };
    let node = cluster.create(STORE).expect("created");
    assert_eq!(cluster.calls.leader(), STORE);
    let mut options = NodeOptions::new(Configuration::new([Member::new(STORE, "")]));
    // Not before half of it: by then the others' time has come and gone.
    options.snapshot_interval = Some(INTERVAL * 2);
    let machine = cluster.other_machine(STORE);
    let later = cluster.hosts[&STORE].create_node(LATER, options, machine).expect("created");
    assert_eq!(cluster.calls.leader(), STORE);

    let mut last = Index(0);
    for _ in 0..2 {
        // One less than the margin since the last one: time passes, and nothing is saved.
        let written = node.last_applied_index() - last;
        say(&node, MARGIN - 1 - written);
        let before = saved(&later);
        say(&later, 1);
        saved_beyond(&later, before);
        assert_eq!(saved(&node), last, "at {}", node.last_applied_index());
        // With one more it is as many.
        say(&node, 1);
        let now = saved_beyond(&node, last);
        assert_eq!(now, last + MARGIN);
        last = now;
    }
}
