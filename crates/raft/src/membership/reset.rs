//! The way out when a majority is lost for good: an operator decides who the group is.
//!
//! Everything else in this crate keeps what was committed. This does not: the peers that remain may
//! lack entries that the lost ones held, and those are gone. It is also blind: if the others live
//! after all, there are two groups of one name. JRaft calls it `resetPeers` and warns likewise.
//!
//! It bypasses the log, for nothing can commit there. A forced membership stands above the log of
//! this peer alone, in memory: repeat it on every survivor, and after a restart. The first of them
//! to win an election appends it as a configuration entry, and from then on the log rules again.
//! Forging that entry on each survivor instead could give one position to two histories.

use kontiki_types::Membership;

use crate::shared::Shared;
use crate::{Notice, ResetError};

/// May this peer be told so?
pub(crate) fn judge(shared: &Shared, membership: &Membership) -> Result<(), ResetError> {
    if membership.is_joint() {
        return Err(ResetError::Joint);
    }
    if !membership.is_voter(shared.config.id) {
        return Err(ResetError::NotVoter);
    }
    if shared.applying.install.is_some() {
        return Err(ResetError::Installing);
    }
    Ok(())
}

/// From now on, until the log says otherwise.
pub(crate) fn force(shared: &mut Shared, membership: Membership) {
    tracing::warn!(peer = %shared.config.id, ?membership, "membership forced by an operator");
    shared.removed = false;
    shared.memberships.force(membership.clone());
    shared.outbox.notify(Notice::MembershipAppended(membership));
}
