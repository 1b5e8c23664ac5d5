//! Who is wanted as leader, as the user of the library says it: JRaft's priorities.
//!
//! Which rules follow from them is shown by the scripts of the Raft core; here, that they reach it.

use std::collections::BTreeMap;

use kontiki_host::library::{Error, Member, NodeOptions, Successor};
use kontiki_types::{PeerId, StoreId};

use crate::cluster::{Cluster, GROUP, PATIENCE};

const NEVER: StoreId = StoreId(1);
const MOST: StoreId = StoreId(2);
const LESS: StoreId = StoreId(3);

impl Cluster {
    /// Three stores: one that never leads, one wanted most, one wanted less.
    fn ranked() -> Self {
        let mut cluster = Self::hosts(3);
        cluster.tune = |options| {
            let ranks = [(NEVER, 0), (MOST, 100), (LESS, 50)];
            options.priorities = BTreeMap::from(ranks.map(|(s, rank)| (PeerId(s.0), rank)));
        };
        assert_eq!(cluster.elect(), MOST);
        cluster
    }

    fn hand_over(&self, from: StoreId, to: Successor) -> Result<(), Error> {
        self.node(from).transfer_leadership_to(to).wait_timeout(PATIENCE)
    }

    fn rank_everywhere(&self, store: StoreId, priority: i32) {
        for told in self.stores() {
            self.node(told).set_priority(PeerId(store.0), priority);
        }
    }
}

#[test]
fn the_peer_wanted_most_leads_and_one_of_priority_0_never_does() {
    let mut cluster = Cluster::ranked();
    cluster.say(MOST, "a").expect("applied");
    cluster.words_in_time(NEVER);
    cluster.words_in_time(LESS);
    cluster.hand_over(MOST, Successor::On(NEVER)).expect_err("it never leads");
    // Neither when the leader is lost, nor when it names the one that takes over.
    cluster.network.isolate(MOST);
    assert_eq!(cluster.calls.leader(), LESS);
    cluster.network.heal();
    cluster.words_in_time(MOST);
    cluster.stop(LESS);
    assert_eq!(cluster.calls.leader(), MOST);
    cluster.say(MOST, "b").expect("applied");
    assert_eq!(cluster.words_in_time(NEVER), ["a", "b"]);
}

#[test]
fn priorities_change_at_run_time_and_last_as_long_as_the_host() {
    let mut cluster = Cluster::ranked();
    cluster.say(MOST, "a").expect("applied");
    cluster.rank_everywhere(NEVER, 200);
    cluster.rank_everywhere(LESS, 0);
    for store in [NEVER, LESS] {
        cluster.words_in_time(store);
    }
    cluster.hand_over(MOST, Successor::On(LESS)).expect_err("it never leads from now on");
    cluster.network.isolate(MOST);
    assert_eq!(cluster.calls.leader(), NEVER, "nobody else may");
    cluster.network.heal();
    cluster.words_in_time(MOST);

    // A node that was brought back knows them as they are.
    cluster.node(NEVER).shutdown();
    assert_eq!(cluster.calls.leader(), MOST);
    cluster.create(NEVER).expect("brought back");
    cluster.words_in_time(NEVER);
    cluster.hand_over(MOST, Successor::On(NEVER)).expect("it leads now");
    assert_eq!(cluster.calls.leader(), NEVER);
}

#[test]
fn a_transfer_that_cannot_be_is_refused_with_its_reason() {
    let (mut cluster, leader) = Cluster::with_leader(1);
    let refused = |cluster: &Cluster, to| match cluster.hand_over(leader, to) {
        Err(Error::BadPeer(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(refused(&cluster, Successor::Any).contains("no other voter could lead"));
    assert!(refused(&cluster, Successor::On(StoreId(9))).contains("does not belong"));
    assert!(refused(&cluster, Successor::On(leader)).contains("leads already"));
    let learner = Member::new(StoreId(2), "").learner();
    cluster.start(learner.store);
    let machine = cluster.machine(learner.store);
    let joined = cluster.hosts[&learner.store].create_node(GROUP, NodeOptions::joining(), machine);
    joined.expect("created");
    let node = cluster.node(leader);
    node.add_learners(std::slice::from_ref(&learner)).wait_timeout(PATIENCE).expect("added");
    assert!(refused(&cluster, Successor::On(learner.store)).contains("has no vote"));
}
