//! Members come and go: JRaft's NodeTest and CliServiceTest in their parts about membership.

use kontiki_host::library::{Configuration, Error, Member, NodeOptions, NodeState};
use kontiki_types::{PeerId, StoreId};

use crate::cluster::{Cluster, GROUP, PATIENCE};
use crate::machine::Call;

/// A group that is never made.
const OTHER: kontiki_host::library::GroupId = kontiki_types::RegionId(8);

fn member(store: u64) -> Member {
    Member::new(StoreId(store), "")
}

fn conf(stores: &[u64]) -> Configuration {
    Configuration::new(stores.iter().map(|&store| member(store)))
}

impl Cluster {
    /// A host with a node that waits to be added.
    fn join(&mut self, store: u64) {
        let store = StoreId(store);
        self.start(store);
        let machine = self.machine(store);
        let node = self.hosts[&store].create_node(GROUP, NodeOptions::joining(), machine);
        node.expect("created");
    }
}

#[test]
fn a_voter_is_added_catches_up_and_counts() {
    let (mut cluster, leader) = Cluster::with_leader(1);
    cluster.say(leader, "a").expect("applied");
    cluster.join(2);
    let node = cluster.node(leader);
    let membership = node.add_peer(&member(2)).wait_timeout(PATIENCE).expect("added");
    assert_eq!(membership.incoming().collect::<Vec<_>>(), [PeerId(1), PeerId(2)]);
    assert_eq!(cluster.words_in_time(StoreId(2)), ["a"]);
    cluster.calls.wait(|_, call| matches!(call, Call::Membership(_, 2)));
    let again = node.add_peer(&member(2)).wait_timeout(PATIENCE);
    assert!(matches!(again, Err(Error::Membership(_))), "{again:?}");
}

#[test]
fn a_voter_that_does_not_answer_is_not_added() {
    let (cluster, leader) = Cluster::with_leader(1);
    let result = cluster.node(leader).add_peer(&member(9)).wait_timeout(PATIENCE);
    assert_eq!(result, Err(Error::NotCaughtUp { peer: PeerId(9) }));
    assert_eq!(cluster.node(leader).list_peers().expect("listed").len(), 1);
}

#[test]
fn learners_receive_read_and_are_promoted() {
    let (mut cluster, leader) = Cluster::with_leader(1);
    cluster.join(2);
    let node = cluster.node(leader);
    let learner = member(2).learner();
    node.add_learners(std::slice::from_ref(&learner)).wait_timeout(PATIENCE).expect("added");
    cluster.say(leader, "a").expect("applied");
    assert_eq!(cluster.words_in_time(StoreId(2)), ["a"]);
    assert_eq!(node.list_learners().expect("listed").len(), 1);
    assert_eq!(node.list_peers().expect("listed").len(), 1);
    node.promote(PeerId(2)).wait_timeout(PATIENCE).expect("promoted");
    assert!(node.list_learners().expect("listed").is_empty());
    node.reset_learners(&[]).wait_timeout(PATIENCE).expect("nothing to do");
}

#[test]
fn some_learners_are_removed_and_the_others_stay() {
    let (mut cluster, leader) = Cluster::with_leader(1);
    for store in 2..=4 {
        cluster.join(store);
    }
    let node = cluster.node(leader);
    let learners = [2, 3, 4].map(|store| member(store).learner());
    node.add_learners(&learners).wait_timeout(PATIENCE).expect("added");
    let removed = node.remove_learners(&[PeerId(2), PeerId(4)]).wait_timeout(PATIENCE);
    let remain = Configuration::new([member(1), member(3).learner()]);
    assert_eq!(removed, Ok(remain.to_membership()));
    let listed = node.list_learners().expect("listed");
    assert_eq!(listed.iter().map(|peer| peer.id).collect::<Vec<_>>(), [PeerId(3)]);
    cluster.say(leader, "a").expect("applied");
    assert_eq!(cluster.words_in_time(StoreId(3)), ["a"]);
    // All or nothing: one that is none of them leaves the other where it is.
    let refused = node.remove_learners(&[PeerId(3), PeerId(9)]).wait_timeout(PATIENCE);
    assert!(matches!(refused, Err(Error::Membership(_))), "{refused:?}");
    assert_eq!(node.list_learners().expect("listed"), listed);
}

#[test]
fn all_members_are_replaced_at_once_the_leader_too() {
    let (mut cluster, leader) = Cluster::with_leader(3);
    cluster.say(leader, "a").expect("applied");
    for store in 4..=6 {
        cluster.join(store);
    }
    let changed = cluster.node(leader).change_peers(&conf(&[4, 5, 6])).wait_timeout(PATIENCE);
    assert_eq!(changed.expect("changed"), conf(&[4, 5, 6]).to_membership());
    let next = cluster.calls.leader();
    assert!(next.0 > 3, "{next} leads");
    for old in 1..=3 {
        cluster.stop(StoreId(old));
    }
    assert_eq!(cluster.say(next, "b").expect("applied"), "2");
    assert_eq!(cluster.words_in_time(StoreId(4)), ["a", "b"]);
}

#[test]
fn what_remains_of_a_lost_majority_is_reset() {
    let (mut cluster, leader) = Cluster::with_leader(3);
    cluster.say(leader, "a").expect("applied");
    let remains = cluster.others(leader)[0];
    cluster.words_in_time(remains);
    // Nothing is handed over to it.
    cluster.network.isolate(remains);
    for lost in cluster.others(remains) {
        cluster.stop(lost);
    }
    let node = cluster.node(remains);
    let alone = conf(&[remains.0]);
    node.reset_peers(&alone).wait_timeout(PATIENCE).expect("reset");
    assert_eq!(cluster.calls.leader(), remains);
    assert_eq!(cluster.say(remains, "b").expect("applied"), "2");
    assert_eq!(node.list_peers().expect("listed").len(), 1);
}

#[test]
fn a_replica_that_was_removed_says_so_until_it_is_back() {
    let (cluster, leader) = Cluster::with_leader(3);
    let gone = cluster.others(leader)[0];
    cluster.words_in_time(gone);
    let becomes = |wanted: &NodeState| {
        let deadline = std::time::Instant::now() + PATIENCE;
        while cluster.node(gone).state() != *wanted {
            let state = cluster.node(gone).state();
            assert!(std::time::Instant::now() < deadline, "{state:?}, not {wanted:?}");
            std::thread::yield_now();
        }
    };
    becomes(&NodeState::Follower);
    cluster.node(leader).remove_peer(PeerId(gone.0)).wait_timeout(PATIENCE).expect("removed");
    becomes(&NodeState::Removed);
    let again = Member::new(gone, "");
    cluster.node(leader).add_peer(&again).wait_timeout(PATIENCE).expect("added");
    becomes(&NodeState::Follower);
}

#[test]
fn a_follower_changes_nothing_and_members_survive_a_restart() {
    let (mut cluster, leader) = Cluster::with_leader(3);
    let follower = cluster.others(leader)[0];
    cluster.words_in_time(follower);
    let refused = cluster.node(follower).remove_peer(PeerId(leader.0)).wait_timeout(PATIENCE);
    assert!(matches!(refused, Err(Error::NotLeader { .. })), "{refused:?}");
    let gone = cluster.others(leader)[1];
    cluster.node(leader).remove_peer(PeerId(gone.0)).wait_timeout(PATIENCE).expect("removed");
    cluster.stop(gone);
    cluster.stop(leader);
    cluster.start(leader);
    cluster.create(leader).expect("created");
    let leads = cluster.calls.leader();
    let members = cluster.node(leads).list_peers().expect("listed");
    assert_eq!(members.len(), 2, "{members:?}");
}

#[test]
fn members_that_cannot_be_are_refused_and_nobody_panics() {
    let (mut cluster, leader) = Cluster::with_leader(1);
    let twice = Configuration::new([member(1), member(2).with_peer(PeerId(1))]);
    let store_0 = Member::new(StoreId(0), "").with_peer(PeerId(5));
    let peer_0 = member(5).with_peer(PeerId(0));
    let is_invalid = |result: &Result<_, Error>| matches!(result, Err(Error::Invalid(_)));
    let node = cluster.node(leader);
    for bad in [twice.clone(), Configuration::new([member(1), store_0.clone()])] {
        let changed = node.change_peers(&bad).wait_timeout(PATIENCE);
        assert!(is_invalid(&changed.map(|_| ())), "{bad}");
        assert!(is_invalid(&node.reset_peers(&bad).wait_timeout(PATIENCE)), "{bad}");
        let learners: Vec<Member> = bad.members().cloned().chain([member(9), member(9)]).collect();
        for refused in [node.add_learners(&learners), node.reset_learners(&learners)] {
            assert!(is_invalid(&refused.wait_timeout(PATIENCE).map(|_| ())), "{bad}");
        }
    }
    for bad in [store_0, peer_0] {
        assert!(is_invalid(&node.add_peer(&bad).wait_timeout(PATIENCE).map(|_| ())), "{bad}");
    }
    let learners = Configuration::new([member(1).learner(), member(2).learner()]);
    for conf in [twice, learners] {
        let machine = cluster.machine(leader);
        let options = NodeOptions::new(conf.clone());
        let created = cluster.hosts[&leader].create_node(OTHER, options, machine);
        assert!(is_invalid(&created.map(|_| ())), "{conf}");
    }
    let mut nobody = NodeOptions::joining();
    nobody.peer = Some(PeerId(0));
    let machine = cluster.machine(leader);
    let created = cluster.hosts[&leader].create_node(OTHER, nobody, machine);
    assert!(is_invalid(&created.map(|_| ())));
}
