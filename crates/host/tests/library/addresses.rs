//! Where stores are: who says so, who is believed, who finds whom.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use bytes::Bytes;
use kontiki_codec::admin;
use kontiki_codec::hello::{self, Hello, Purpose};
use kontiki_host::library::{Configuration, Error, Member, Node, NodeOptions};
use kontiki_types::{ClusterId, PeerId, StoreId};

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

    /// The first three are where they say.
    fn knows_all(&self, homes: &[String]) {
        for (of, home) in (1..).zip(homes) {
            for on in 1..=3 {
                assert_eq!(self.address(of, on).as_ref(), Some(home), "of {of} on {on}");
            }
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

/// What another store says fills gaps, and no more.
#[test]
fn a_stranger_with_wrong_addresses_is_not_believed() {
    let net = Net::start(1);
    let (_, leader) = net.leader();
    let homes: Vec<_> = (1..=3).map(|n| net.address(n, n).expect("its own")).collect();
    let wrong = |n| {
        let (store, peer, address) = (StoreId(n), PeerId(n), NOWHERE.to_owned());
        admin::Member { store, peer, address, is_learner: false }
    };
    let lies = admin::request_to_bytes(&admin::Request::Learn([1, 2, 3, 9].map(wrong).to_vec()));
    for (on, home) in (1..=3).zip(&homes) {
        let mut socket = TcpStream::connect(home).expect("it listens");
        socket.write_all(&admin::MAGIC).expect("sent");
        socket.write_all(&ClusterId(1).0.to_le_bytes()).expect("sent");
        send(&mut socket, &lies);
        assert_eq!(admin::reply_from_bytes(hear(&mut socket)), Ok(admin::Reply::Done));
        assert_eq!(net.address(9, on).as_deref(), Some(NOWHERE), "it was heard");
    }
    net.knows_all(&homes);
    leader.propose("a").wait_timeout(PATIENCE).expect("all is as it was");
}

#[test]
fn another_process_under_the_number_of_a_store_is_refused() {
    let net = Net::start(1);
    let (own, leader) = net.leader();
    let homes: Vec<_> = (1..=3).map(|n| net.address(n, n).expect("its own")).collect();
    let store = net.others(own)[0];
    // It asked the leader for this, so it is connected.
    net.catches_up(store);
    for purpose in [Purpose::Control, Purpose::Append, Purpose::Snapshot] {
        let (from, to, address) = (StoreId(store), StoreId(own), NOWHERE.to_owned());
        let twin = Hello { cluster: ClusterId(1), from, to, incarnation: 7, purpose, address };
        let mut socket = TcpStream::connect(&homes[usize::try_from(own).expect("small") - 1])
            .expect("it listens");
        socket.write_all(&hello::MAGIC).expect("sent");
        send(&mut socket, &hello::to_bytes(&twin));
        let refusal = String::from_utf8(hear(&mut socket).to_vec()).expect("a text");
        assert!(refusal.contains("twin"), "{refusal:?}");
    }
    net.knows_all(&homes);
    leader.propose("a").wait_timeout(PATIENCE).expect("all is as it was");
    net.catches_up(store);
}

fn send(socket: &mut TcpStream, piece: &[u8]) {
    let length = u32::try_from(piece.len()).expect("short");
    socket.write_all(&length.to_le_bytes()).expect("sent");
    socket.write_all(piece).expect("sent");
}

fn hear(socket: &mut TcpStream) -> Bytes {
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut length = [0; 4];
    socket.read_exact(&mut length).expect("answered");
    let mut piece = vec![0; usize::try_from(u32::from_le_bytes(length)).expect("short")];
    socket.read_exact(&mut piece).expect("answered");
    Bytes::from(piece)
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
