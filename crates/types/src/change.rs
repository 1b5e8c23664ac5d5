//! What a caller wants changed about who belongs to a group.
//!
//! Only the words; which changes are allowed and how they are carried out is in `kontiki_raft`.

use crate::{Membership, PeerId, StoreId};

/// One step of a [`MembershipChange`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PeerChange {
    /// A new peer with a vote, once it has caught up.
    AddVoter {
        /// A new id: that of a removed peer is never used again.
        peer: PeerId,
        /// Where it lives; one peer of a group on each store.
        store: StoreId,
    },
    /// A new peer that receives the log and has no vote.
    AddLearner {
        /// A new id: that of a removed peer is never used again.
        peer: PeerId,
        /// Where it lives; one peer of a group on each store.
        store: StoreId,
    },
    /// A learner gets a vote, once it has caught up.
    Promote(PeerId),
    /// A voter becomes a learner.
    Demote(PeerId),
    /// A peer leaves, voter or learner.
    Remove(PeerId),
}

impl PeerChange {
    /// Whom it concerns.
    pub fn peer(self) -> PeerId {
        match self {
            Self::AddVoter { peer, .. }
            | Self::AddLearner { peer, .. }
            | Self::Promote(peer)
            | Self::Demote(peer)
            | Self::Remove(peer) => peer,
        }
    }
}

/// Steps that are carried out as one: all of them or none.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct MembershipChange {
    steps: Vec<PeerChange>,
}

impl MembershipChange {
    /// These steps; their order does not matter.
    pub fn new(steps: impl IntoIterator<Item = PeerChange>) -> Self {
        Self { steps: steps.into_iter().collect() }
    }

    /// What leads from one membership to another; empty when they are equal. A peer that changes
    /// its store is no step of any kind and is left as it is.
    pub fn between(from: &Membership, to: &Membership) -> Self {
        let added = to.peers().filter_map(|peer| {
            let (id, store) = (peer.id, peer.store);
            match (from.contains(id), from.is_voter(id), to.is_voter(id)) {
                (false, _, true) => Some(PeerChange::AddVoter { peer: id, store }),
                (false, _, false) => Some(PeerChange::AddLearner { peer: id, store }),
                (true, false, true) => Some(PeerChange::Promote(id)),
                (true, true, false) => Some(PeerChange::Demote(id)),
                (true, true, true) | (true, false, false) => None,
            }
        });
        let removed = from.peers().filter(|peer| !to.contains(peer.id));
        Self::new(added.chain(removed.map(|peer| PeerChange::Remove(peer.id))))
    }

    /// The steps, as given.
    pub fn steps(&self) -> &[PeerChange] {
        &self.steps
    }

    /// Nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl From<PeerChange> for MembershipChange {
    fn from(step: PeerChange) -> Self {
        Self::new([step])
    }
}
