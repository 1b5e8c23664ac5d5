//! Handing leadership over (thesis §3.10): stop proposals, let the target catch up, tell it to
//! campaign at once; give up after an election timeout.
//!
//! Owned by [`crate::roles::leader`] while leading. When the leader steps down the outcome is still
//! open: a [`Handover`] waits for the next leader and then tells whether the target made it. So
//! whoever waits for the transfer is answered on every path (hashicorp#696, redpanda#24404).

use kontiki_types::{Moment, PeerId};

use crate::Notice;
use crate::shared::Shared;

/// A transfer under way at the leader. While it exists, proposals are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Transfer {
    /// The next leader.
    pub(crate) to: PeerId,
    /// When the group takes up work again if nothing happened.
    pub(crate) deadline: Moment,
}

/// A transfer that outlived its leader and waits for its outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Handover {
    /// Who was meant to lead.
    pub(crate) to: PeerId,
    /// When to stop waiting.
    pub(crate) deadline: Moment,
}

/// A leader is known: that ends a handover, well or not.
pub(crate) fn on_leader_known(shared: &mut Shared, leader: PeerId) {
    if let Some(handover) = shared.handover.take() {
        let (to, done) = (handover.to, handover.to == leader);
        shared.outbox.notify(Notice::TransferEnded { to, done });
    }
}

/// Nobody was elected in time.
pub(crate) fn on_time(shared: &mut Shared, now: Moment) {
    if let Some(handover) = shared.handover.take_if(|handover| handover.deadline <= now) {
        shared.outbox.notify(Notice::TransferEnded { to: handover.to, done: false });
    }
}
