//! Judges a change and says which configurations it passes through. Pure; called by
//! [`super::change`] at the leader.
//!
//! A change that moves at most one vote goes straight: every majority before and every majority
//! after share a peer (thesis §4.1). Anything more goes through a joint configuration, in which
//! both decide (Raft §6). Learners decide nothing, so they never make a change joint.

use std::collections::BTreeMap;

use kontiki_types::{Membership, MembershipChange, Peer, PeerChange, PeerId, PeerRole};

use crate::ChangeError;

/// What a change amounts to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    /// What is appended first: the joint configuration, or the last one at once.
    pub(crate) first: Membership,
    /// Who must catch up before that: peers that have no vote yet.
    pub(crate) newcomers: Vec<Peer>,
}

/// Judge a change of a membership that is not joint.
pub(crate) fn plan(from: &Membership, change: &MembershipChange) -> Result<Plan, ChangeError> {
    assert!(!from.is_joint(), "a change of {from:?}, which changes already");
    Ok(toward(from, target(from, change)?))
}

/// A new peer takes the place of one on the same store that is silent for ever.
pub(crate) fn succession(from: &Membership, old: PeerId, heir: PeerId) -> Plan {
    assert!(!from.is_joint(), "a change of {from:?}, which changes already");
    let renamed = |peer: Peer| if peer.id == old { Peer { id: heir, ..peer } } else { peer };
    toward(from, Membership::new(from.peers().map(renamed)))
}

/// From one membership that is not joint to another.
fn toward(from: &Membership, to: Membership) -> Plan {
    let newcomers = to.peers().filter(|p| p.role == PeerRole::Voter && !from.is_voter(p.id));
    let newcomers = newcomers.collect();
    let first = if votes_moved(from, &to) <= 1 { to } else { joint(from, &to) };
    Plan { first, newcomers }
}

/// What a joint configuration leads to.
pub(crate) fn leave(joint: &Membership) -> Membership {
    let settled = |peer: Peer| {
        let role = match peer.role {
            PeerRole::Voter | PeerRole::Incoming => PeerRole::Voter,
            PeerRole::Learner | PeerRole::Demoting => PeerRole::Learner,
            PeerRole::Outgoing => return None,
        };
        Some(Peer { role, ..peer })
    };
    Membership::new(joint.peers().filter_map(settled))
}

/// True when every quorum of one and every quorum of the other share a peer.
pub(crate) fn is_step(from: &Membership, to: &Membership) -> bool {
    match (from.is_joint(), to.is_joint()) {
        (false, false) => votes_moved(from, to) <= 1,
        (false, true) => to.outgoing().eq(from.incoming()),
        (true, false) => to.incoming().eq(from.incoming()),
        (true, true) => false,
    }
}

/// The membership after the change.
fn target(from: &Membership, change: &MembershipChange) -> Result<Membership, ChangeError> {
    if change.is_empty() {
        return Err(ChangeError::Nothing);
    }
    let mut peers: BTreeMap<PeerId, Peer> = from.peers().map(|peer| (peer.id, peer)).collect();
    let add = |peers: &mut BTreeMap<PeerId, Peer>, peer: Peer| {
        if peers.contains_key(&peer.id) {
            return Err(ChangeError::AlreadyMember(peer.id));
        }
        // A peer that leaves lives there still while the one that comes catches up.
        if from.peers().chain(peers.values().copied()).any(|other| other.store == peer.store) {
            return Err(ChangeError::StoreTaken(peer.store));
        }
        peers.insert(peer.id, peer);
        Ok(())
    };
    for (nth, &step) in change.steps().iter().enumerate() {
        let id = step.peer();
        if change.steps().iter().take(nth).any(|before| before.peer() == id) {
            return Err(ChangeError::Twice(id));
        }
        match step {
            PeerChange::AddVoter { store, .. } => {
                add(&mut peers, Peer { id, store, role: PeerRole::Voter })?;
            }
            PeerChange::AddLearner { store, .. } => {
                add(&mut peers, Peer { id, store, role: PeerRole::Learner })?;
            }
            PeerChange::Promote(_) => set_role(&mut peers, id, PeerRole::Voter)?,
            PeerChange::Demote(_) => set_role(&mut peers, id, PeerRole::Learner)?,
            PeerChange::Remove(_) => {
                peers.remove(&id).ok_or(ChangeError::NotMember(id))?;
            }
        }
    }
    let to = Membership::new(peers.into_values());
    if to.incoming().next().is_none() {
        return Err(ChangeError::NoVoters);
    }
    Ok(to)
}

fn set_role(
    peers: &mut BTreeMap<PeerId, Peer>,
    id: PeerId,
    role: PeerRole,
) -> Result<(), ChangeError> {
    let peer = peers.get_mut(&id).ok_or(ChangeError::NotMember(id))?;
    if peer.role == role {
        let voter = role == PeerRole::Voter;
        return Err(if voter {
            ChangeError::AlreadyVoter(id)
        } else {
            ChangeError::AlreadyLearner(id)
        });
    }
    peer.role = role;
    Ok(())
}

/// How many peers have a vote in one and not in the other.
fn votes_moved(from: &Membership, to: &Membership) -> usize {
    let gained = to.incoming().filter(|&peer| !from.is_voter(peer)).count();
    gained + from.incoming().filter(|&peer| !to.is_voter(peer)).count()
}

/// Both at once: the voters of each decide together.
fn joint(from: &Membership, to: &Membership) -> Membership {
    let new = to.peers().filter(|peer| !from.contains(peer.id));
    let peers = from.peers().chain(new).filter_map(|peer| {
        let role = match (from.is_voter(peer.id), to.is_voter(peer.id)) {
            (true, true) => PeerRole::Voter,
            (false, true) => PeerRole::Incoming,
            (true, false) if to.contains(peer.id) => PeerRole::Demoting,
            (true, false) => PeerRole::Outgoing,
            // It had no say, so it need not wait.
            (false, false) if to.contains(peer.id) => PeerRole::Learner,
            (false, false) => return None,
        };
        Some(Peer { role, ..peer })
    });
    Membership::new(peers)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kontiki_types::StoreId;

    use super::*;
    use crate::testing::codec;

    const ADD_4: PeerChange = PeerChange::AddVoter { peer: PeerId(4), store: StoreId(4) };
    const LEARN_5: PeerChange = PeerChange::AddLearner { peer: PeerId(5), store: StoreId(5) };

    fn members(text: &str) -> Membership {
        codec::decode(Bytes::from(text.to_owned())).expect("a membership")
    }

    fn first(from: &str, steps: &[PeerChange]) -> Result<String, ChangeError> {
        let from = members(from);
        let plan = plan(&from, &MembershipChange::new(steps.iter().copied()))?;
        assert!(is_step(&from, &plan.first), "{from:?} to {:?}", plan.first);
        Ok(String::from_utf8(codec::encode(&plan.first).into()).expect("text"))
    }

    #[test]
    fn one_vote_goes_straight() {
        use PeerChange::{Demote, Promote, Remove};
        assert_eq!(first("1v 2v 3v", &[ADD_4]).as_deref(), Ok("1v 2v 3v 4v"));
        assert_eq!(first("1v 2v 3v", &[Remove(PeerId(3))]).as_deref(), Ok("1v 2v"));
        assert_eq!(first("1v 2v 3l", &[Promote(PeerId(3))]).as_deref(), Ok("1v 2v 3v"));
        assert_eq!(first("1v 2v 3v", &[Demote(PeerId(1))]).as_deref(), Ok("1l 2v 3v"));
    }

    #[test]
    fn learners_never_make_a_change_joint() {
        let many = [ADD_4, LEARN_5, PeerChange::Remove(PeerId(3))];
        assert_eq!(first("1v 2v 3l", &many).as_deref(), Ok("1v 2v 4v 5l"));
    }

    #[test]
    fn two_votes_go_through_joint() {
        use PeerChange::{Demote, Promote, Remove};
        let swap = [ADD_4, Remove(PeerId(3))];
        assert_eq!(first("1v 2v 3v", &swap).as_deref(), Ok("1v 2v 3o 4i"));
        let roles = [Promote(PeerId(3)), Demote(PeerId(1)), LEARN_5, Remove(PeerId(4))];
        assert_eq!(first("1v 2v 3l 4l", &roles).as_deref(), Ok("1d 2v 3i 5l"));
        assert_eq!(leave(&members("1d 2v 3i 5l")), members("1l 2v 3v 5l"));
        assert_eq!(leave(&members("1v 2v 3o 4i")), members("1v 2v 4v"));
    }

    #[test]
    fn an_heir_takes_the_place_of_one_on_its_store() {
        let voters = Membership::of_voters(3);
        let Plan { first, newcomers } = succession(&voters, PeerId(2), PeerId(9));
        assert!(is_step(&voters, &first), "{first:?}");
        let (heir, store) = (PeerId(9), StoreId(2));
        assert_eq!(newcomers, [Peer { id: heir, store, role: PeerRole::Voter }]);
        assert_eq!(first.outgoing().collect::<Vec<_>>(), [PeerId(1), PeerId(2), PeerId(3)]);
        assert_eq!(first.incoming().collect::<Vec<_>>(), [PeerId(1), PeerId(3), heir]);
        assert_eq!(leave(&first).peer(heir).map(|peer| peer.store), Some(store));
        let with_learner = members("1v 2l");
        let Plan { first, newcomers } = succession(&with_learner, PeerId(2), heir);
        assert!(newcomers.is_empty() && !first.is_joint() && !first.contains(PeerId(2)));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        use PeerChange::{AddLearner, AddVoter, Demote, Promote, Remove};
        let (p3, p9) = (PeerId(3), PeerId(9));
        let refused = |from, steps: &[PeerChange]| first(from, steps).expect_err("refused");
        assert_eq!(refused("1v", &[]), ChangeError::Nothing);
        assert_eq!(refused("1v 3v", &[Demote(p3), Remove(p3)]), ChangeError::Twice(p3));
        let again = AddLearner { peer: p3, store: StoreId(7) };
        assert_eq!(refused("1v 3v", &[again]), ChangeError::AlreadyMember(p3));
        assert_eq!(refused("1v 3v", &[Promote(p9)]), ChangeError::NotMember(p9));
        assert_eq!(refused("1v 3v", &[Remove(p9)]), ChangeError::NotMember(p9));
        assert_eq!(refused("1v 3v", &[Promote(p3)]), ChangeError::AlreadyVoter(p3));
        assert_eq!(refused("1v 3l", &[Demote(p3)]), ChangeError::AlreadyLearner(p3));
        let taken = AddVoter { peer: p9, store: StoreId(3) };
        assert_eq!(refused("1v 3v", &[taken, Remove(p3)]), ChangeError::StoreTaken(StoreId(3)));
        assert_eq!(refused("1v 3l", &[Remove(PeerId(1))]), ChangeError::NoVoters);
    }
}
