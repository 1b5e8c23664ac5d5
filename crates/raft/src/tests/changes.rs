//! Random schedules with changes of membership among everything else: any steps at any moment,
//! newcomers that are dead, leaders that remove themselves. Every invariant after every event; in
//! the end nobody is left in between, and the members agree.

use kontiki_types::{Membership, MembershipChange, PeerChange, PeerId, StoreId};

use super::schedules::{Schedule, run_all};
use crate::RoleKind;

const RUNS: u64 = 60;

/// Replicas that may join.
const SPARES: u64 = 5;

/// What the runs together must have seen.
const REACHED: [&str; 12] = [
    "newcomers catch up",
    "change joint",
    "change final",
    "change done",
    "change gave up a newcomer",
    "change never begun",
    "change of unknown outcome",
    "joint membership committed",
    "removed",
    "snapshot installed",
    "transfer done",
    "truncation",
];

#[test]
fn random_changes_keep_every_invariant() {
    run_all(RUNS, begin, &REACHED);
}

fn begin(seed: u64) -> Schedule {
    let mut schedule = Schedule::new(seed);
    schedule.changes = 1 + schedule.below(3);
    let margin = schedule.below(4) as u64;
    let first = schedule.group.replicas.keys().last().expect("someone").0 + 1;
    for spare in first..first + SPARES {
        schedule.group.add_spare(PeerId(spare), |config| {
            config.options.catch_up_entries_max = margin;
            config.seed += seed << 8;
        });
    }
    schedule
}

impl Schedule {
    /// Ask whoever leads for a change, sensible or not.
    pub(super) fn change_membership(&mut self, running: &[PeerId]) {
        let leads = |id: &&PeerId| self.group.node(**id).role() == RoleKind::Leader;
        let Some(&leader) = running.iter().find(leads) else { return };
        let members = self.group.node(leader).membership().clone();
        self.seen.extend(members.peers().map(|peer| peer.id));
        let all: Vec<PeerId> = self.group.replicas.keys().copied().collect();
        let count = 1 + self.below(4);
        let steps: Vec<PeerChange> = (0..count).filter_map(|_| self.step(&all, &members)).collect();
        let _ = self.group.change(leader, &MembershipChange::new(steps));
    }

    fn step(&mut self, all: &[PeerId], members: &Membership) -> Option<PeerChange> {
        let peer = self.pick(all)?;
        let store = StoreId(peer.0);
        let member = members.contains(peer);
        if !member && self.seen.contains(&peer) {
            // Its id is never used again.
            return None;
        }
        Some(match (member, members.is_voter(peer)) {
            (false, _) if self.chance(60) => PeerChange::AddVoter { peer, store },
            (false, _) => PeerChange::AddLearner { peer, store },
            (true, false) if self.chance(70) => PeerChange::Promote(peer),
            (true, true) if self.chance(50) => PeerChange::Demote(peer),
            (true, _) => PeerChange::Remove(peer),
        })
    }
}
