//! Who belongs to a group, and with which say. One place only (etcd#19557 kept it twice).
//!
//! A joint configuration (Raft §6) is not a second set but a role: a peer can be a voter of both
//! halves, only of the incoming half, or only of the outgoing one.
//!
//! | role | votes in incoming | votes in outgoing | after leaving joint |
//! |---|---|---|---|
//! | `Voter` | yes | yes | `Voter` |
//! | `Learner` | no | no | `Learner` |
//! | `Incoming` | yes | no | `Voter` |
//! | `Outgoing` | no | yes | gone |
//! | `Demoting` | no | yes | `Learner` |

use std::collections::BTreeMap;
use std::fmt;

use crate::{Peer, PeerId, StoreId};

/// The say of one peer; see the table of this module.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PeerRole {
    /// Votes, now and after any change under way.
    Voter,
    /// Receives the log, has no vote.
    Learner,
    /// Becomes a voter by the change under way.
    Incoming,
    /// Is removed by the change under way.
    Outgoing,
    /// Becomes a learner by the change under way.
    Demoting,
}

impl PeerRole {
    /// Votes in the half that the change leads to; in a simple configuration, votes.
    pub fn votes_incoming(self) -> bool {
        matches!(self, Self::Voter | Self::Incoming)
    }

    /// Votes in the half that the change leaves; equal to the other half unless joint.
    pub fn votes_outgoing(self) -> bool {
        matches!(self, Self::Voter | Self::Outgoing | Self::Demoting)
    }

    /// Only met in a joint configuration.
    pub fn is_transitional(self) -> bool {
        matches!(self, Self::Incoming | Self::Outgoing | Self::Demoting)
    }
}

/// All peers of a group, in order of id.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Membership {
    peers: BTreeMap<PeerId, (StoreId, PeerRole)>,
}

impl Membership {
    /// The membership of exactly these peers.
    ///
    /// # Panics
    /// When a peer id occurs twice.
    pub fn new(peers: impl IntoIterator<Item = Peer>) -> Self {
        let mut membership = Self::default();
        for peer in peers {
            let before = membership.peers.insert(peer.id, (peer.store, peer.role));
            assert!(before.is_none(), "peer {} occurs twice", peer.id);
        }
        membership
    }

    /// A simple configuration of voters with ids and stores `1..=count`; for tests and examples.
    pub fn of_voters(count: u64) -> Self {
        Self::new((1..=count).map(|n| Peer {
            id: PeerId(n),
            store: StoreId(n),
            role: PeerRole::Voter,
        }))
    }

    /// All peers in order of id.
    pub fn peers(&self) -> impl Iterator<Item = Peer> + '_ {
        self.peers.iter().map(|(&id, &(store, role))| Peer { id, store, role })
    }

    /// The peer of this id.
    pub fn peer(&self, id: PeerId) -> Option<Peer> {
        self.peers.get(&id).map(|&(store, role)| Peer { id, store, role })
    }

    /// True when the peer belongs to the group, with or without a vote.
    pub fn contains(&self, id: PeerId) -> bool {
        self.peers.contains_key(&id)
    }

    /// True when the peer has a vote in either half.
    pub fn is_voter(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|(_, r)| r.votes_incoming() || r.votes_outgoing())
    }

    /// Voters of the incoming half (all voters, unless joint), in order of id.
    pub fn incoming(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.peers.iter().filter(|(_, (_, r))| r.votes_incoming()).map(|(&id, _)| id)
    }

    /// Voters of the outgoing half; empty unless joint.
    pub fn outgoing(&self) -> impl Iterator<Item = PeerId> + '_ {
        let joint = self.is_joint();
        self.peers.iter().filter(move |(_, (_, r))| joint && r.votes_outgoing()).map(|(&id, _)| id)
    }

    /// A change of membership is under way.
    pub fn is_joint(&self) -> bool {
        self.peers.values().any(|(_, role)| role.is_transitional())
    }

    /// Number of peers.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// True when nobody belongs to the group: the state of a replica that awaits its snapshot.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.peers()).finish()
    }
}
