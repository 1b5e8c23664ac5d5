//! What an operator does while faults go on: other leaders, other votes, other replicas.
//!
//! Called by the nemesis like any fault. Operators ask whoever leads the newest term, and may be
//! refused; nothing here waits for an end.

use kontiki_types::{
    Membership, MembershipChange, Peer, PeerChange, PeerId, PeerRole, RegionId, StoreId,
};

use crate::cluster::added;
use crate::world::World;

/// Voters that every group keeps where a store may be lost for good.
const VOTERS_MIN: usize = 3;

impl World {
    pub(super) fn transfer(&mut self) {
        let group = self.any_group();
        let leader = self.leader_of(group).unwrap_or_else(|| self.any_store());
        let to = self.any_store();
        let index = World::index_of(leader);
        self.machines[index].transfer_leadership(group, to, &mut self.env);
    }

    /// A voter of a group becomes a learner; where there is one, it gets its vote back, and another
    /// may lose its own by the same change, which is then a joint one.
    pub(super) fn change_roles(&mut self) {
        let group = self.any_group();
        let Some(leader) = self.leader_of(group) else { return };
        let index = World::index_of(leader);
        let Some(node) = self.machines[index].node(group) else { return };
        let voters: Vec<_> = node.membership().incoming().collect();
        let learner = node.membership().peers().map(|peer| peer.id).find(|id| !voters.contains(id));
        let mut steps: Vec<_> = learner.into_iter().map(PeerChange::Promote).collect();
        let bears_one_less = voters.len() + steps.len() > self.voters_min();
        if (steps.is_empty() || self.nemesis.rng.chance(500)) && bears_one_less {
            steps.push(PeerChange::Demote(*self.nemesis.rng.pick(&voters)));
        }
        self.change(group, leader, MembershipChange::new(steps));
    }

    /// A replica comes, goes, or both at once (a joint change); what came as a learner gets a vote
    /// or goes again. A replica that returns to a store has a new id.
    pub(super) fn change_members(&mut self) {
        let group = self.any_group();
        let Some(leader) = self.leader_of(group) else { return };
        let Some(node) = self.machines[World::index_of(leader)].node(group) else { return };
        let members = node.membership().clone();
        let change = MembershipChange::new(self.draw_change(&members));
        self.change(group, leader, change);
    }

    fn draw_change(&mut self, members: &Membership) -> Vec<PeerChange> {
        let voters: Vec<PeerId> = members.incoming().collect();
        let learner = members.peers().find(|peer: &Peer| peer.role == PeerRole::Learner);
        let mut steps = Vec::new();
        let mut count = voters.len();
        if let Some(Peer { id, .. }) = learner {
            let stays = self.nemesis.rng.chance(700);
            steps.push(if stays { PeerChange::Promote(id) } else { PeerChange::Remove(id) });
            count += usize::from(stays);
        } else if let Some(store) = self.free_store(members)
            && self.nemesis.rng.chance(600)
        {
            let peer = added(self.env.unique());
            let votes = self.nemesis.rng.chance(700);
            steps.push(if votes {
                PeerChange::AddVoter { peer, store }
            } else {
                PeerChange::AddLearner { peer, store }
            });
            count += usize::from(votes);
        }
        if count > self.voters_min() && self.nemesis.rng.chance(600) {
            steps.push(PeerChange::Remove(*self.nemesis.rng.pick(&voters)));
        }
        steps
    }

    /// A group of three bears the loss of a store.
    fn voters_min(&self) -> usize {
        if self.env.options.faults.may_lose_store() { VOTERS_MIN } else { VOTERS_MIN - 1 }
    }

    /// A store without a member of the group.
    fn free_store(&mut self, members: &Membership) -> Option<StoreId> {
        let is_free = |store: &StoreId| members.peers().all(|peer| peer.store != *store);
        let free: Vec<StoreId> = self.env.cluster.stores().filter(is_free).collect();
        if free.is_empty() { None } else { Some(*self.nemesis.rng.pick(&free)) }
    }

    fn change(&mut self, group: RegionId, leader: StoreId, change: MembershipChange) {
        let index = World::index_of(leader);
        self.machines[index].change_membership(group, change, &mut self.env);
    }
}
