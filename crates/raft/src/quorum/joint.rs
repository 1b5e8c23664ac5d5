//! Decisions of a membership: by its one set of voters, or by both halves while it is joint.
//!
//! The lesser of both halves' answers: what both reached, an election both won.

use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{Membership, PeerId};

use super::{Tally, majority};

/// The greatest value that a majority of each half reached. Nothing when there are no voters.
pub(crate) fn reached<T: Ord + Copy>(
    membership: &Membership,
    value: impl Fn(PeerId) -> T,
) -> Option<T> {
    let incoming = majority::reached(membership.incoming().map(&value))?;
    match majority::reached(membership.outgoing().map(&value)) {
        _ if mutants::is_on(Mutant::JointByHalf) => Some(incoming),
        None => Some(incoming),
        Some(outgoing) => Some(incoming.min(outgoing)),
    }
}

/// How an election stands: lost as soon as one half refused, won when both granted.
pub(crate) fn tally(membership: &Membership, vote: impl Fn(PeerId) -> Option<bool>) -> Tally {
    let incoming = majority::tally(membership.incoming().map(&vote));
    if !membership.is_joint() || mutants::is_on(Mutant::JointByHalf) {
        return incoming;
    }
    incoming.min(majority::tally(membership.outgoing().map(&vote)))
}
