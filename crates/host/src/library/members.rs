//! Who belongs to a group: the part of [`Node`] that changes it.
//!
//! Changes go through the leader, one at a time, and are safe at every moment: newcomers catch up
//! before they vote, and several votes change by way of a joint membership. The handle of a change
//! tells its end. `reset_peers` is the exception: it forces a membership where the majority is
//! lost for good.
//!
//! The addresses of members that are named here are where their stores are called, until these
//! have called themselves: what a store says of itself is never replaced.

use kontiki_types::{Membership, MembershipChange, PeerChange, PeerId};

use super::configuration::{self, Configuration, Member};
use super::error::Error;
use super::handle::{Handle, promised, refused};
use super::lanes::Source;
use super::node::Node;

impl Node {
    /// Change the members: all steps or none. Only on the leader.
    pub fn change(&self, change: MembershipChange) -> Handle<Membership> {
        let (promise, handle) = promised();
        match self.ended() {
            Some(error) => promise.keep(Err(error)),
            None => self.host.0.node_host.change(
                self.group(),
                change,
                Box::new(move |result| promise.keep(result.map_err(Error::from))),
            ),
        }
        handle
    }

    /// Add a voter (or, if the member says so, a learner). Its node must have been created as one
    /// that joins.
    pub fn add_peer(&self, member: &Member) -> Handle<Membership> {
        if let Err(error) = self.learn([member]) {
            return refused(error);
        }
        let (peer, store) = (member.peer, member.store);
        self.change(MembershipChange::from(if member.is_learner {
            PeerChange::AddLearner { peer, store }
        } else {
            PeerChange::AddVoter { peer, store }
        }))
    }

    /// Remove a member, with or without a vote. A leader may remove itself.
    pub fn remove_peer(&self, peer: PeerId) -> Handle<Membership> {
        self.change(PeerChange::Remove(peer).into())
    }

    /// Have exactly these members afterwards, whatever the difference. Nothing is done, and the
    /// handle says so, when there is none.
    pub fn change_peers(&self, to: &Configuration) -> Handle<Membership> {
        if let Err(error) = self.learn(to.members()) {
            return refused(error);
        }
        self.change_to(|_| to.to_membership())
    }

    /// Add these, without a vote.
    pub fn add_learners(&self, learners: &[Member]) -> Handle<Membership> {
        if let Err(error) = self.learn(learners) {
            return refused(error);
        }
        let steps = learners
            .iter()
            .map(|member| PeerChange::AddLearner { peer: member.peer, store: member.store });
        self.change(MembershipChange::new(steps))
    }

    /// Remove these.
    pub fn remove_learners(&self, learners: &[PeerId]) -> Handle<Membership> {
        self.change(MembershipChange::new(learners.iter().copied().map(PeerChange::Remove)))
    }

    /// Have exactly these learners afterwards; voters stay as they are.
    pub fn reset_learners(&self, learners: &[Member]) -> Handle<Membership> {
        if let Err(error) = self.learn(learners) {
            return refused(error);
        }
        self.change_to(|membership| {
            let voters = membership.peers().filter(|peer| membership.is_voter(peer.id));
            let learners = learners.iter().map(|member| member.clone().learner().to_peer());
            let learners = learners.filter(|peer| !membership.is_voter(peer.id));
            Membership::new(voters.chain(learners))
        })
    }

    /// Give a learner a vote, in one step. (JRaft's learner2Follower removes it and adds it again.)
    pub fn promote(&self, learner: PeerId) -> Handle<Membership> {
        self.change(PeerChange::Promote(learner).into())
    }

    /// Force these members upon the replica here, without asking anyone: for a group that has lost
    /// its majority for good. **What only the lost ones held is lost**, and if they come back there
    /// are two groups. Make sure that they do not, then reset one of those that remain.
    pub fn reset_peers(&self, to: &Configuration) -> Handle<()> {
        if let Err(error) = self.learn(to.members()) {
            return refused(error);
        }
        let (promise, handle) = promised();
        match self.ended() {
            Some(error) => promise.keep(Err(error)),
            None => self.host.0.node_host.reset(
                self.group(),
                to.to_membership(),
                Box::new(move |result| promise.keep(result.map(|_| ()).map_err(Error::from))),
            ),
        }
        handle
    }

    /// These are named as members: where they live is news, unless they cannot be.
    fn learn<'a>(
        &self,
        members: impl IntoIterator<Item = &'a Member, IntoIter: Clone>,
    ) -> Result<(), Error> {
        let members = members.into_iter();
        configuration::check(members.clone())?;
        self.host.0.learn(Source::User, members);
        Ok(())
    }

    /// Change to what `to` makes of the membership in effect.
    fn change_to(&self, to: impl FnOnce(&Membership) -> Membership) -> Handle<Membership> {
        let change = self.membership().map(|from| {
            let change = MembershipChange::between(&from, &to(&from));
            (from, change)
        });
        match change {
            Ok((_, change)) if !change.is_empty() => self.change(change),
            other => {
                let (promise, handle) = promised();
                promise.keep(other.map(|(from, _)| from));
                handle
            }
        }
    }
}
