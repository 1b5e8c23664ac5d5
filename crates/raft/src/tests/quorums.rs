//! The fast quorum against a naive one that tries every subset of voters.

use std::collections::BTreeMap;

use kontiki_types::{Membership, Peer, PeerId, PeerRole, StoreId};
use proptest::prelude::*;

use crate::quorum::{Tally, joint, majority};

const ROLES: [PeerRole; 5] = [
    PeerRole::Voter,
    PeerRole::Learner,
    PeerRole::Incoming,
    PeerRole::Outgoing,
    PeerRole::Demoting,
];

fn membership(roles: &[usize]) -> Membership {
    let roles = roles.iter().map(|&at| ROLES[at % ROLES.len()]);
    Membership::new((1..).zip(roles).map(|(n, role)| Peer {
        id: PeerId(n),
        store: StoreId(n),
        role,
    }))
}

/// By definition: the greatest value such that more than half of the voters reached it.
fn naive_reached(voters: &[PeerId], value: impl Fn(PeerId) -> u64) -> Option<u64> {
    let reached_by = |bar: u64| voters.iter().filter(|voter| value(**voter) >= bar).count();
    voters.iter().map(|voter| value(*voter)).filter(|bar| reached_by(*bar) * 2 > voters.len()).max()
}

/// By definition: won when more than half granted; lost when even all open ones could not win it.
fn naive_tally(voters: &[PeerId], vote: impl Fn(PeerId) -> Option<bool>) -> Tally {
    let granted = voters.iter().filter(|voter| vote(**voter) == Some(true)).count();
    let open = voters.iter().filter(|voter| vote(**voter).is_none()).count();
    match () {
        () if granted * 2 > voters.len() => Tally::Won,
        () if (granted + open) * 2 <= voters.len() => Tally::Lost,
        () => Tally::Pending,
    }
}

proptest! {
    /// Commit, read rounds and contact: the order statistic, in both halves.
    #[test]
    fn reached_is_what_a_majority_of_each_half_reached(
        roles in prop::collection::vec(0_usize..5, 0..9),
        values in prop::collection::vec(0_u64..6, 9),
    ) {
        let membership = membership(&roles);
        let value = |peer: PeerId| values[usize::try_from(peer.0).expect("small") - 1];
        let incoming: Vec<PeerId> = membership.incoming().collect();
        let outgoing: Vec<PeerId> = membership.outgoing().collect();
        let expected = match (naive_reached(&incoming, value), naive_reached(&outgoing, value)) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, None) => one,
            (None, Some(_)) => None,
        };
        prop_assert_eq!(joint::reached(&membership, value), expected);
    }

    /// Elections, in both halves.
    #[test]
    fn an_election_needs_a_majority_of_each_half(
        roles in prop::collection::vec(0_usize..5, 1..9),
        votes in prop::collection::vec(prop::option::of(any::<bool>()), 9),
    ) {
        let membership = membership(&roles);
        let vote = |peer: PeerId| votes[usize::try_from(peer.0).expect("small") - 1];
        let incoming: Vec<PeerId> = membership.incoming().collect();
        let outgoing: Vec<PeerId> = membership.outgoing().collect();
        let mut expected = naive_tally(&incoming, vote);
        if membership.is_joint() {
            expected = expected.min(naive_tally(&outgoing, vote));
        }
        prop_assert_eq!(joint::tally(&membership, vote), expected);
    }

    /// More voters than fit the array on the stack.
    #[test]
    fn many_voters_are_counted_as_few(values in prop::collection::vec(0_u64..100, 1..40)) {
        let voters: Vec<PeerId> = (0..values.len() as u64).map(PeerId).collect();
        let by_id: BTreeMap<PeerId, u64> =
            voters.iter().copied().zip(values.iter().copied()).collect();
        let expected = naive_reached(&voters, |peer| by_id[&peer]);
        prop_assert_eq!(majority::reached(values.iter().copied()), expected);
    }
}

/// The table of the smallest groups: how many must hold an entry.
#[test]
fn quorum_of_n_is_more_than_half() {
    for (voters, quorum) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)] {
        let reached =
            |holders: u64| majority::reached((1..=voters).map(|n| u64::from(n <= holders)));
        assert_eq!(reached(quorum), Some(1), "{quorum} of {voters}");
        assert_eq!(reached(quorum - 1), Some(0), "{} of {voters}", quorum - 1);
    }
}
