//! Who should lead when several could: JRaft's priorities, which decay so that they never keep a
//! group without a leader for long.
//!
//! A peer below the greatest priority of the group lets one election timeout pass that it would
//! have campaigned at. From then on it lowers its *target* with every further one, by
//! `max(gap, target / 5)`, and stands once its own priority reaches the target. A leader that is
//! heard sets the target back. (raft-rs vetoes votes instead, which can cost liveness.)
//!
//! Priorities are settings ([`crate::Config::priorities`], [`crate::Node::set_priority`]), not part
//! of the membership: they promise nothing, so peers that disagree lose a little time and no
//! safety, and changing one costs no entry. JRaft keeps them in its configuration strings, with the
//! same effect.

use kontiki_types::PeerId;

use crate::shared::Shared;

/// How much a peer is wanted as leader.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Priority(pub i32);

impl Priority {
    /// Stands whenever its deadline passes, and counts for nobody's target. The default.
    pub const OFF: Self = Self(-1);
    /// Never leads.
    pub const NEVER: Self = Self(0);
    /// The least that ever stands; targets do not fall below it.
    pub const LEAST: Self = Self(1);
}

impl Default for Priority {
    fn default() -> Self {
        Self::OFF
    }
}

/// How long a peer has been waiting for a better one.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Patience {
    /// What it takes to stand; nothing until the first timeout passed.
    target: Option<Priority>,
}

/// Priority of a peer.
pub(crate) fn of(shared: &Shared, peer: PeerId) -> Priority {
    shared.config.priorities.get(&peer).copied().unwrap_or_default()
}

/// The election timeout passed and this peer could campaign: does it, or does it wait for a better
/// one?
pub(crate) fn stands(shared: &mut Shared) -> bool {
    let own = of(shared, shared.config.id);
    if own == Priority::OFF {
        return true;
    }
    let members = shared.membership().peers().map(|peer| peer.id);
    let greatest = members.filter(|&peer| shared.membership().is_voter(peer));
    let greatest = greatest.map(|peer| of(shared, peer)).max().unwrap_or(own);
    let target = match shared.patience.target {
        None => greatest,
        Some(Priority(before)) => {
            let step = shared.config.priority_gap.max(before / 5);
            Priority(before.saturating_sub(step)).max(Priority::LEAST).min(greatest)
        }
    };
    shared.patience.target = Some(target);
    own >= target
}
