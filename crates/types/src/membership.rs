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
    /// In order of id. Few and looked at all the time: side by side, not in a tree.
    peers: Vec<Peer>,
}

impl Membership {
    /// The membership of exactly these peers.
    ///
    /// # Panics
    /// When a peer id occurs twice.
    pub fn new(peers: impl IntoIterator<Item = Peer>) -> Self {
        let mut peers: Vec<Peer> = peers.into_iter().collect();
        peers.sort_unstable_by_key(|peer| peer.id);
        for (peer, next) in peers.iter().zip(peers.iter().skip(1)) {
            assert!(peer.id != next.id, "peer {} occurs twice", peer.id);
        }
        Self { peers }
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
        self.peers.iter().copied()
    }

    /// The peer of this id.
    pub fn peer(&self, id: PeerId) -> Option<Peer> {
        self.peers.iter().find(|peer| peer.id == id).copied()
    }

    /// True when the peer belongs to the group, with or without a vote.
    pub fn contains(&self, id: PeerId) -> bool {
        self.peer(id).is_some()
    }

    /// True when the peer has a vote in either half.
    pub fn is_voter(&self, id: PeerId) -> bool {
        self.peer(id).is_some_and(|p| p.role.votes_incoming() || p.role.votes_outgoing())
    }

    /// Voters of the incoming half (all voters, unless joint), in order of id.
    pub fn incoming(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.peers.iter().filter(|p| p.role.votes_incoming()).map(|p| p.id)
    }

    /// Voters of the outgoing half; empty unless joint.
    pub fn outgoing(&self) -> impl Iterator<Item = PeerId> + '_ {
        let joint = self.is_joint();
        self.peers.iter().filter(move |p| joint && p.role.votes_outgoing()).map(|p| p.id)
    }

    /// A change of membership is under way.
    pub fn is_joint(&self) -> bool {
        self.peers.iter().any(|peer| peer.role.is_transitional())
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
