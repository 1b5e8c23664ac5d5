//! Replicas that cannot come back, and what takes their place.

use kontiki_host::library::{Error, Member, Node, NodeOptions};
use kontiki_log::{Disk as _, File as _, SimDisk};
use kontiki_types::{PeerId, StoreId};

use crate::cluster::{Cluster, GROUP, PATIENCE};

/// The numbers of the replica that is lost and of the one after it, and where both are.
const LOST: PeerId = PeerId(3);
const NEXT: PeerId = PeerId(33);
const STORE: StoreId = StoreId(3);

impl Cluster {
    /// A node on the store of the lost one, under this number.
    fn create_as(&mut self, peer: PeerId) -> Result<Node, Error> {
        let options = NodeOptions { peer: Some(peer), ..NodeOptions::joining() };
        let machine = self.machine(STORE);
        self.hosts[&STORE].create_node(GROUP, options, machine)
    }

    /// The lost replica is refused, again and again, and the host goes on; it is destroyed, and its
    /// number with it; another one learns all there is.
    fn replace_the_lost(&mut self, leader: StoreId) {
        for _ in 0..3 {
            let refused = self.create(STORE).map(|_| ());
            assert!(matches!(refused, Err(Error::Restore(_))), "{refused:?}");
        }
        self.node(leader).remove_peer(LOST).wait_timeout(PATIENCE).expect("removed");
        self.hosts[&STORE].destroy_node(GROUP, LOST).expect("destroyed");
        self.is_refused_for_good();
        self.create_as(NEXT).expect("another number");
        let member = Member::new(STORE, "").with_peer(NEXT);
        self.node(leader).add_peer(&member).wait_timeout(PATIENCE).expect("added");
        assert_eq!(self.words_in_time(STORE), self.words_in_time(leader));
        assert_eq!(self.hosts[&STORE].failure(), None);

        // A restart changes nothing of that, and to destroy what is gone harms nobody.
        self.stop(STORE);
        self.start(STORE);
        self.is_refused_for_good();
        self.hosts[&STORE].destroy_node(GROUP, LOST).expect("it is gone");
        self.create_as(NEXT).expect("it is as it was");
        self.say(leader, "z").expect("applied");
        assert_eq!(self.words_in_time(STORE), self.words_in_time(leader));
    }

    fn is_refused_for_good(&mut self) {
        let refused = self.create_as(LOST).map(|_| ());
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }

    /// Three, of which the one on `STORE` follows and has applied all there is.
    fn of_three(mut self) -> (Self, StoreId) {
        let mut leader = self.elect();
        if leader == STORE {
            let to = kontiki_host::library::Successor::On(StoreId(1));
            let handover = self.node(leader).transfer_leadership_to(to);
            handover.wait_timeout(PATIENCE).expect("handed over");
            leader = StoreId(1);
        }
        for word in ["a", "b", "a-word-to-find"] {
            self.say(leader, word).expect("applied");
        }
        assert_eq!(self.words_in_time(STORE).len(), 3);
        (self, leader)
    }
}

#[test]
fn a_replica_without_the_snapshot_its_log_begins_at_is_replaced() {
    let (mut cluster, leader) = Cluster::hosts(3).of_three();
    cluster.node(STORE).snapshot().wait_timeout(PATIENCE).expect("saved");
    // The log lets go of what the snapshot holds; then that is lost.
    let begins_at_the_snapshot =
        |cluster: &Cluster| cluster.node(STORE).status().expect("it says").first.0 > 1;
    let deadline = std::time::Instant::now() + PATIENCE;
    while !begins_at_the_snapshot(&cluster) {
        assert!(std::time::Instant::now() < deadline, "the log keeps everything");
        cluster.say(leader, "c").expect("applied");
    }
    cluster.stop(STORE);
    let dir = cluster.kept(STORE, "snapshots");
    std::fs::remove_dir_all(dir).expect("lost");
    cluster.start(STORE);
    cluster.replace_the_lost(leader);
}

#[test]
fn a_replica_whose_log_is_damaged_is_replaced() {
    let mut cluster = Cluster::hosts(3);
    cluster.stop(STORE);
    cluster.disks.insert(STORE, SimDisk::new());
    cluster.start(STORE);
    let (mut cluster, leader) = cluster.of_three();
    cluster.stop(STORE);
    damage(&cluster.disks[&STORE], b"a-word-to-find");
    cluster.start(STORE);
    cluster.replace_the_lost(leader);
}

#[test]
fn a_node_at_work_is_destroyed_by_its_number_only() {
    let (mut cluster, leader) = Cluster::hosts(3).of_three();
    let wrong = cluster.hosts[&STORE].destroy_node(GROUP, NEXT);
    assert!(matches!(wrong, Err(Error::BadPeer(_))), "{wrong:?}");
    assert_eq!(cluster.words_in_time(STORE).len(), 3, "it works on");
    cluster.node(leader).remove_peer(LOST).wait_timeout(PATIENCE).expect("removed");
    let node = cluster.node(STORE);
    let dir = cluster.kept(STORE, "snapshots");
    cluster.hosts[&STORE].destroy_node(GROUP, LOST).expect("destroyed");
    assert!(cluster.hosts[&STORE].node(GROUP).is_none());
    assert!(!dir.exists(), "its snapshots are gone");
    assert_eq!(node.propose("x").wait_timeout(PATIENCE), Err(Error::ShutDown));
    cluster.is_refused_for_good();
    cluster.create_as(NEXT).expect("another number");
}

#[test]
fn whoever_is_cut_off_destroys_again_before_another_comes() {
    let (mut cluster, leader) = Cluster::hosts(3).of_three();
    cluster.node(leader).remove_peer(LOST).wait_timeout(PATIENCE).expect("removed");
    cluster.stop(STORE);
    // As after a crash right behind the first step.
    let noted = cluster.kept(STORE, "destroyed");
    std::fs::create_dir_all(noted.parent().expect("a folder")).expect("made");
    std::fs::write(&noted, "3 begun\n").expect("noted");
    cluster.start(STORE);
    cluster.is_refused_for_good();
    let refused = cluster.create_as(NEXT).map(|_| ());
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    cluster.hosts[&STORE].destroy_node(GROUP, LOST).expect("destroyed");
    cluster.create_as(NEXT).expect("another number");
    // A list that is none is trusted by nobody.
    std::fs::write(&noted, "3 go").expect("noted");
    let refused = cluster.hosts[&STORE].destroy_node(GROUP, NEXT);
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
}

/// Turn a bit where these bytes stand in the log.
fn damage(disk: &SimDisk, bytes: &[u8]) {
    for name in disk.list().expect("listed") {
        let file = disk.open(&name).expect("opened");
        let mut all = vec![0; usize::try_from(file.len().expect("known")).expect("small")];
        file.read_at(0, &mut all).expect("read");
        if let Some(at) = all.windows(bytes.len()).position(|window| window == bytes) {
            return disk.flip(&name, at as u64, 1);
        }
    }
    panic!("the log has no such bytes");
}
