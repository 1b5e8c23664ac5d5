//! Which groups there are, which keys are theirs, and where their replicas begin.
//!
//! Groups are neighbours in one key space: the keys of a group begin with its letter and number, so
//! anyone can tell from a key whose it is.

use kontiki_types::{
    Epoch, KeyRange, Membership, Peer, PeerId, PeerRole, Region, RegionId, StoreId,
};

use crate::client::workload::full;
use crate::options::ClusterOptions;

/// The first id of a replica that is added; those born with their group have smaller ones.
const ADDED_IDS: u64 = 10_000;

/// The groups of a run, as they are born.
#[derive(Clone, Debug)]
pub struct Cluster {
    store_count: u64,
    regions: Vec<Region>,
}

impl Cluster {
    /// The groups that these options ask for.
    pub fn new(options: &ClusterOptions) -> Self {
        let last = options.homes.len() as u64;
        let homes = (1..).map(RegionId).zip(&options.homes);
        let regions = homes.map(|(id, stores)| Region {
            id,
            range: range(id, last),
            epoch: Epoch { conf_ver: 1, version: 1 },
            peers: stores.iter().map(|&store| voter(id, store)).collect(),
        });
        Self { store_count: options.store_count, regions: regions.collect() }
    }

    /// All stores.
    pub fn stores(&self) -> impl Iterator<Item = StoreId> + use<> {
        (1..=self.store_count).map(StoreId)
    }

    /// All groups as they are born, in order of id and of keys.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// A group as it is born.
    pub fn region(&self, id: RegionId) -> &Region {
        let at = usize::try_from(id.0 - 1).expect("a handful of groups");
        &self.regions[at]
    }

    /// The groups born on a store.
    pub fn regions_on(&self, store: StoreId) -> Vec<Region> {
        let is_here = |region: &&Region| region.peers.iter().any(|peer| peer.store == store);
        self.regions.iter().filter(is_here).cloned().collect()
    }

    /// The store after this one, in a circle: a group may be anywhere by now.
    pub fn next_store(&self, store: StoreId) -> StoreId {
        StoreId(store.0 % self.store_count + 1)
    }
}

/// The replica of a group that is born on a store. Heirs have far greater ids ([`heir`]).
pub fn peer_of(region: RegionId, store: StoreId) -> PeerId {
    PeerId(region.0 * 100 + store.0)
}

/// A replica that takes the place of one before it, by a number never given before.
pub fn heir(number: u64) -> PeerId {
    PeerId(1_000_000 + number)
}

/// A replica that an operator adds, by a number never given before.
pub fn added(number: u64) -> PeerId {
    PeerId(ADDED_IDS + number)
}

/// Which of two replicas came later: numbers grow, whoever gave them.
pub fn age(peer: PeerId) -> u64 {
    let heirs = heir(0).0;
    peer.0.checked_sub(heirs).or(peer.0.checked_sub(ADDED_IDS)).unwrap_or(0)
}

/// What the keys of a group begin with.
pub fn prefix(region: RegionId) -> String {
    format!("g{:02}.", region.0)
}

/// Whose key this is.
///
/// # Panics
/// When it is no key of the workload.
pub fn region_of(key: &str) -> RegionId {
    let number = key.get(1..3).and_then(|digits| digits.parse().ok());
    RegionId(number.unwrap_or_else(|| panic!("{key} is of no group")))
}

/// Whether these peers are a majority of the voters, of both halves if the membership is joint.
pub fn is_quorum(membership: &Membership, is_counted: impl Fn(Peer) -> bool) -> bool {
    let counts = |peer| membership.peer(peer).is_some_and(&is_counted);
    let is_majority = |voters: Vec<PeerId>| {
        voters.iter().filter(|&&voter| counts(voter)).count() > voters.len() / 2
    };
    let outgoing: Vec<_> = membership.outgoing().collect();
    is_majority(membership.incoming().collect()) && (outgoing.is_empty() || is_majority(outgoing))
}

fn voter(region: RegionId, store: StoreId) -> Peer {
    Peer { id: peer_of(region, store), store, role: PeerRole::Voter }
}

/// The first range begins where all keys begin, the last ends where all end.
fn range(id: RegionId, last: u64) -> KeyRange {
    let mut range = KeyRange::all();
    if id.0 > 1 {
        range.start = full(&prefix(id));
    }
    if id.0 < last {
        range.end = Some(full(&prefix(RegionId(id.0 + 1))));
    }
    range
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_the_range_of_its_group() {
        let homes = vec![vec![StoreId(1), StoreId(2), StoreId(4)]; 12];
        let cluster = Cluster::new(&ClusterOptions { store_count: 4, homes });
        for region in cluster.regions() {
            let key = format!("{}k1.0000", prefix(region.id));
            assert_eq!(region_of(&key), region.id);
            for other in cluster.regions() {
                assert_eq!(other.range.contains(&full(&key)), other.id == region.id, "{key}");
            }
        }
        assert_eq!(cluster.next_store(StoreId(4)), StoreId(1));
        assert_eq!(cluster.regions_on(StoreId(3)), []);
    }

    #[test]
    fn a_joint_membership_asks_both_halves() {
        use PeerRole::{Incoming, Outgoing, Voter};
        let peers = [(1, Voter), (2, Outgoing), (3, Outgoing), (4, Incoming), (5, Incoming)];
        let membership =
            Membership::new(peers.map(|(n, role)| Peer { id: PeerId(n), store: StoreId(n), role }));
        let of = |stores: &[u64]| is_quorum(&membership, |peer| stores.contains(&peer.store.0));
        assert!(of(&[1, 2, 4]));
        assert!(!of(&[1, 2, 3]));
        assert!(!of(&[1, 4, 5]));
    }
}
