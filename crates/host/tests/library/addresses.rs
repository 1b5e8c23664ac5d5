//! Where stores are: who says so, who is believed, who finds whom.

use std::time::Instant;

use kontiki_host::library::{Configuration, Error, Member, Node, NodeOptions};
use kontiki_types::{PeerId, StoreId};

use crate::cluster::PATIENCE;
use crate::network::{GROUP, Net, cli};

/// A port at which nobody is.
const NOWHERE: &str = "127.0.0.1:9";

impl Net {
    fn leader(&self) -> (u64, Node) {
        let leader = cli().get_leader(GROUP, &self.conf).expect("there is one").store.0;
        (leader, self.hosts[&leader].node(GROUP).expect("there"))
    }

    fn address(&self, of: u64, on: u64) -> Option<String> {
        self.hosts[&on].address_of(StoreId(of))
    }

    /// Wait until the one knows that the other is there.
    fn finds(&self, of: u64, on: u64, address: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.address(of, on).as_deref() != Some(address) {
            assert!(Instant::now() < deadline, "{on} looks at {:?}", self.address(of, on));
            std::thread::yield_now();
        }
    }

    /// All who run, except this one; in order.
    fn others(&self, than: u64) -> Vec<u64> {
        self.hosts.keys().copied().filter(|store| *store != than).collect()
    }

    fn stop(&mut self, store: u64) -> String {
        let host = self.hosts.remove(&store).expect("it runs");
        let address = host.address_of(StoreId(store)).expect("its own");
        host.shutdown();
        address
    }
}

/// Insist while whoever is added has not answered.
fn add(node: &Node, member: &Member) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = node.add_peer(member).wait_timeout(PATIENCE) {
        assert!(matches!(error, Error::NotCaughtUp { .. }), "{error}");
        assert!(Instant::now() < deadline, "{error}");
    }
}

#[test]
fn a_store_that_lost_its_directory_comes_back_to_its_old_address_with_nothing() {
    let mut net = Net::start(1);
    let (own, leader) = net.leader();
    let lost = net.others(own)[0];
    let address = net.stop(lost);
    leader.propose("a").wait_timeout(PATIENCE).expect("two of three");
    net.dirs.remove(&lost);
    net.host(lost, &address);
    let peer = PeerId(70);
    let mut options = NodeOptions::joining();
    options.peer = Some(peer);
    net.node(lost, GROUP, options);
    leader.remove_peer(PeerId(lost)).wait_timeout(PATIENCE).expect("removed");
    add(&leader, &Member::new(StoreId(lost), address.clone()).with_peer(peer));
    net.catches_up(lost);
    for other in net.others(lost) {
        net.finds(lost, other, &address);
        let home = net.address(other, other).expect("its own");
        net.finds(other, lost, &home);
    }
}

#[test]
fn a_learner_that_was_away_when_it_was_added_is_fed_once_it_is_there() {
    let mut net = Net::start(1);
    let (_, leader) = net.leader();
    let fourth = net.join(4);
    let address = net.stop(4);
    leader.add_peer(&fourth.learner()).wait_timeout(PATIENCE).expect("added");
    leader.propose("a").wait_timeout(PATIENCE).expect("applied");
    net.host(4, &address);
    net.node(4, GROUP, NodeOptions::joining());
    net.catches_up(4);
    for store in 1..=3 {
        net.finds(4, store, &address);
    }
}

#[test]
fn a_wrong_address_of_a_member_is_not_believed() {
    let net = Net::start(1);
    let (own, leader) = net.leader();
    let [first, second] = net.others(own)[..] else { panic!("three") };
    let homes = [own, first, second].map(|store| net.address(store, store).expect("its own"));
    for on in [own, first] {
        let node = net.hosts[&on].node(GROUP).expect("there");
        for of in [own, first, second] {
            let wrong = Member::new(StoreId(of), NOWHERE);
            node.add_peer(&wrong).wait_timeout(PATIENCE).expect_err("a member already");
        }
        let wrong = [own, first, second].map(|of| Member::new(StoreId(of), NOWHERE));
        // Refused, or nothing to do.
        let _ = node.change_peers(&Configuration::new(wrong)).wait_timeout(PATIENCE);
    }
    for on in [own, first, second] {
        for (of, home) in [own, first, second].into_iter().zip(&homes) {
            net.finds(of, on, home);
        }
    }
    leader.propose("a").wait_timeout(PATIENCE).expect("all is as it was");
}

/// The number of a store that nobody has called may be corrected.
#[test]
fn a_wrong_address_of_a_newcomer_is_put_right_by_the_next_word() {
    let mut net = Net::start(1);
    let (_, leader) = net.leader();
    let fourth = net.join(4);
    let wrong = Member::new(StoreId(4), NOWHERE);
    let nowhere = leader.add_peer(&wrong).wait_timeout(PATIENCE).expect_err("nobody is there");
    assert!(matches!(nowhere, Error::NotCaughtUp { .. }), "{nowhere}");
    add(&leader, &fourth);
    net.catches_up(4);
}

#[test]
fn a_stranger_with_wrong_addresses_is_not_believed() {
    let mut net = Net::start(1);
    let (_, leader) = net.leader();
    let homes: Vec<_> = (1..=3).map(|n| net.address(n, n).expect("its own")).collect();
    let dir = tempfile::tempdir().expect("made");
    let stranger = Net::start_in(&dir, 8, "127.0.0.1:0");
    let address = stranger.address_of(StoreId(8)).expect("its own");
    net.hosts.insert(8, stranger);
    let alone = Configuration::new([Member::new(StoreId(8), address)]);
    net.node(8, GROUP, NodeOptions::new(alone));
    let node = net.hosts[&8].node(GROUP).expect("there");
    for (n, home) in (1..=3).zip(&homes) {
        // It finds them, and then says what it likes.
        for address in [home.as_str(), NOWHERE] {
            let member = Member::new(StoreId(n), address).learner();
            let _ = node.add_peer(&member).wait_timeout(PATIENCE);
        }
    }
    for (of, home) in (1..=3).zip(&homes) {
        for on in 1..=3 {
            net.finds(of, on, home);
        }
    }
    leader.propose("a").wait_timeout(PATIENCE).expect("all is as it was");
}

#[test]
fn a_store_that_moved_with_its_directory_is_found() {
    let mut net = Net::start(1);
    let (own, _) = net.leader();
    let moves = net.others(own)[0];
    net.stop(moves);
    net.host(moves, "127.0.0.1:0");
    net.node(moves, GROUP, NodeOptions::new(net.conf.clone()));
    let address = net.address(moves, moves).expect("its own");
    for other in net.others(moves) {
        net.finds(moves, other, &address);
    }
    net.catches_up(moves);
}
