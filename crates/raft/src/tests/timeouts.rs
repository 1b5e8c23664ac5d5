//! Election timeouts that nobody should ask for: whoever does hurts neither the group nor the
//! process.

use std::time::Duration;

use kontiki_types::{Membership, PeerId};

use crate::RoleKind;
use crate::testing::group::Group;

const P1: PeerId = PeerId(1);

#[test]
fn a_timeout_of_nothing_or_of_all_time_is_taken_for_the_bound_and_comes_back() {
    let mut group = Group::new(&Membership::of_voters(3), |_| {});
    group.campaign(P1);
    group.run_until_idle();
    let nothing = [Duration::ZERO, Duration::from_nanos(1), Duration::ZERO];
    for timeout in nothing.into_iter().chain([Duration::MAX, Duration::ZERO, Duration::MAX]) {
        for peer in (1..=3).map(PeerId) {
            group.set_election_timeout(peer, timeout);
        }
    }
    for peer in (1..=3).map(PeerId) {
        group.set_election_timeout(peer, Duration::from_millis(300));
    }
    group.live(Duration::from_secs(3));
    assert_eq!(group.node(P1).role(), RoleKind::Leader);
}
