//! Handing leadership over (thesis §3.10): stop proposals, let the target catch up, tell it to
//! campaign at once; give up after an election timeout.
//!
//! Owned by [`crate::roles::leader`] while leading. When the leader steps down the outcome is still
//! open: a [`Handover`] waits for the next leader and then tells whether the target made it. So
//! whoever waits for the transfer is answered on every path (hashicorp#696, redpanda#24404), each a
//! [`TransferOutcome`].

use kontiki_types::{Index, Moment, PeerId};

use crate::election::Occasion;
use crate::replication::progress::Mode;
use crate::roles::Role;
use crate::roles::leader::Leader;
use crate::shared::Shared;
use crate::{Node, Notice, Priority, TransferError, TransferOutcome, priority};

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

impl Node {
    /// To whom leadership is being handed over.
    pub fn transferring(&self) -> Option<PeerId> {
        match &self.role {
            Role::Leader(leader) => leader.transfer.map(|transfer| transfer.to),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// It is being decided who leads, and soon known: a transfer that began here goes on, and its
    /// target is not yet [`Node::expected_leader`]; or this peer is the target, and a candidate.
    pub fn is_changing_hands(&self) -> bool {
        match &self.role {
            Role::Leader(leader) => leader.transfer.is_some(),
            Role::Candidate(candidate) if candidate.occasion == Occasion::Transfer => true,
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                self.shared.handover.is_some() && self.expected_leader().is_none()
            }
        }
    }

    /// Who leads, as far as this peer knows, or is about to: the target of a transfer that began
    /// here, once it has this peer's vote. It will nearly always have won when callers get there.
    pub fn expected_leader(&self) -> Option<PeerId> {
        let heir = self.shared.handover.map(|handover| handover.to);
        self.leader().or(heir.filter(|_| self.vote() == heir))
    }
}

/// Begin to hand over, to this peer or to the best one. Asking again for the same target changes
/// nothing; asking for another one gives up the first.
pub(crate) fn begin(
    shared: &mut Shared,
    leader: &mut Leader,
    to: Option<PeerId>,
    now: Moment,
) -> Result<(), TransferError> {
    // A leader that is about to be removed, or a target whose vote is about to change, could leave
    // the change to nobody.
    if leader.changing.is_asked() || shared.is_membership_open() {
        return Err(TransferError::MembershipChanging);
    }
    let to = match to {
        Some(to) => to,
        None => successor(shared, leader, now).ok_or(TransferError::NoSuccessor)?,
    };
    check_target(shared, leader, to, now)?;
    if let Some(before) = leader.transfer {
        if before.to == to {
            return Ok(());
        }
        end(shared, leader, TransferOutcome::Superseded);
    }
    leader.transfer = Some(Transfer { to, deadline: now + shared.config.election_timeout });
    leader.hand_over(shared);
    Ok(())
}

fn check_target(
    shared: &Shared,
    leader: &Leader,
    to: PeerId,
    now: Moment,
) -> Result<(), TransferError> {
    if to == shared.config.id {
        return Err(TransferError::AlreadyLeader);
    }
    if !shared.membership().contains(to) {
        return Err(TransferError::NotMember);
    }
    if !shared.membership().is_voter(to) {
        return Err(TransferError::NotVoter);
    }
    if priority::of(shared, to) == Priority::NEVER {
        return Err(TransferError::NeverLeads);
    }
    let target = leader.find(to).ok_or(TransferError::NotVoter)?;
    let behind = shared.log.last().index - target.matched > shared.config.options.transfer_lag_max;
    let silent = now.since(target.heard) >= shared.config.election_timeout;
    if behind || silent || matches!(target.mode, Mode::Snapshot { .. }) {
        return Err(TransferError::TargetBehind);
    }
    Ok(())
}

/// The voter that can take over soonest: the one that holds most, of those the one wanted most.
pub(crate) fn successor(shared: &Shared, leader: &Leader, now: Moment) -> Option<PeerId> {
    let fit = |peer: &PeerId| check_target(shared, leader, *peer, now).is_ok();
    let peers = leader.followers.iter().map(|progress| progress.peer);
    let matched = |peer| leader.find(peer).map_or(Index(0), |progress| progress.matched);
    // Of equals the first, as everywhere.
    peers.rev().filter(fit).max_by_key(|&peer| (matched(peer), priority::of(shared, peer)))
}

/// The transfer ends while this peer still leads: work goes on.
pub(crate) fn end(shared: &mut Shared, leader: &mut Leader, outcome: TransferOutcome) {
    if let Some(Transfer { to, .. }) = leader.transfer.take() {
        shared.outbox.notify(Notice::TransferEnded { to, outcome });
    }
}

/// A leader is known: that ends a handover, well or not.
pub(crate) fn on_leader_known(shared: &mut Shared, leader: PeerId) {
    if let Some(Handover { to, .. }) = shared.handover.take() {
        let outcome =
            if to == leader { TransferOutcome::Done } else { TransferOutcome::AnotherLeads };
        shared.outbox.notify(Notice::TransferEnded { to, outcome });
    }
}

/// Nobody was elected in time.
pub(crate) fn on_time(shared: &mut Shared, now: Moment) {
    if let Some(handover) = shared.handover.take_if(|handover| handover.deadline <= now) {
        let (to, outcome) = (handover.to, TransferOutcome::TimedOut);
        shared.outbox.notify(Notice::TransferEnded { to, outcome });
    }
}
