//! From any membership to any other: the way a plan takes, against a naive check of every subset of
//! peers.

use kontiki_types::{Membership, MembershipChange, Peer, PeerId, PeerRole, StoreId};
use proptest::prelude::*;

use crate::membership::plan;
use crate::quorum::{Tally, joint};

/// Peers in these tests.
const PEERS: u64 = 7;

/// Some of them, each a voter or a learner; one voter at least.
fn memberships() -> impl Strategy<Value = Membership> {
    let roles = prop::collection::vec(0..3_u8, 7);
    let membership = roles.prop_map(|roles| {
        let peers = (1..).zip(roles).filter_map(|(n, role)| {
            let role = [None, Some(PeerRole::Voter), Some(PeerRole::Learner)][usize::from(role)]?;
            Some(Peer { id: PeerId(n), store: StoreId(n), role })
        });
        Membership::new(peers)
    });
    membership.prop_filter("nobody would have a vote", |m| m.incoming().next().is_some())
}

/// Two groups of peers without a common one, of which one decides here and the other there.
fn can_decide_apart(one: &Membership, other: &Membership) -> bool {
    let decides = |membership: &Membership, peers: u64| {
        joint::tally(membership, |peer| Some(peers & (1 << peer.0) != 0)) == Tally::Won
    };
    let all = (1 << (PEERS + 1)) - 1;
    (0..=all).any(|peers: u64| decides(one, peers) && decides(other, all & !peers))
}

proptest! {
    #[test]
    fn no_step_of_a_change_lets_two_quorums_decide_apart(
        from in memberships(),
        to in memberships(),
    ) {
        prop_assume!(from != to);
        let change = MembershipChange::between(&from, &to);
        let plan = plan::plan(&from, &change).expect("a change from one to the other");
        prop_assert!(!can_decide_apart(&from, &plan.first), "{from:?} {:?}", plan.first);
        let joint = plan.first.is_joint();
        let last = if joint { plan::leave(&plan.first) } else { plan.first.clone() };
        prop_assert!(!can_decide_apart(&plan.first, &last), "{:?} {last:?}", plan.first);
        prop_assert_eq!(last, to);
        let newcomers = plan.newcomers.iter().filter(|peer| from.is_voter(peer.id)).count();
        prop_assert_eq!(newcomers, 0, "a voter must not catch up");
    }

    /// What the leader asserts before each configuration it appends is no more than that.
    #[test]
    fn a_step_is_what_cannot_decide_apart(from in memberships(), to in memberships()) {
        if plan::is_step(&from, &to) {
            prop_assert!(!can_decide_apart(&from, &to));
        }
    }
}
