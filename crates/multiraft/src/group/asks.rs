//! What callers and operators ask of a group: writes, reads, another leader, other members.
//!
//! Each is answered exactly once: here, when it is refused, or later by what it led to.

use std::time::Duration;

use bytes::Bytes;
use kontiki_raft::{ChangeError, Priority, ReadError, ReadId, RoleKind, TransferError};
use kontiki_types::{Membership, MembershipChange, Moment, PeerId, ReadMode, StoreId, Term};

use super::{Group, Proposal};
use crate::Token;
use crate::effect::{Effects, Refused};
use crate::held::Held;

impl Group {
    /// What it holds in memory. A halted replica has nothing under way: a state machine that failed
    /// reports no more.
    pub(crate) fn held(&self) -> Held {
        let under_way =
            if self.is_halted() { 0 } else { self.waiting_bytes + self.unapplied_bytes };
        Held { cached: self.node.cached_bytes(), under_way }
    }

    pub(crate) fn on_propose(
        &mut self,
        payload: Bytes,
        token: Token,
        expected_term: Option<Term>,
        bytes_max: usize,
        effects: &mut Effects,
    ) {
        if self.held().under_way > bytes_max {
            // Whoever is not the leader says so: to come again would help nobody.
            let leads = self.node.role() == RoleKind::Leader || self.node.is_changing_hands();
            effects.refused.push((token, if leads { Refused::Busy } else { self.not_leader() }));
        } else {
            self.waiting_bytes += payload.len();
            self.proposals.push(Proposal { payload, token, expected_term });
        }
    }

    pub(crate) fn on_read(
        &mut self,
        token: Token,
        mode: ReadMode,
        now: Moment,
        effects: &mut Effects,
    ) {
        // A leader that hands over still serves them.
        let leads = self.node.role() == RoleKind::Leader;
        if !leads && self.node.is_changing_hands() && self.reads.hold(token, mode) {
            return;
        }
        match self.node.read(ReadId(token.0), mode, now) {
            Ok(()) => {}
            Err(ReadError::Busy) => effects.refused.push((token, Refused::Busy)),
            Err(ReadError::NotLeader) => {
                effects.refused.push((token, self.not_leader()));
            }
        }
    }

    pub(crate) fn on_transfer(
        &mut self,
        to: Option<StoreId>,
        token: Token,
        now: Moment,
        effects: &mut Effects,
    ) {
        let of_store = |store| self.node.membership().peers().find(|p| p.store == store);
        let not_member = Refused::BadTarget(TransferError::NotMember);
        let target = to.map(|store| of_store(store).ok_or(not_member)).transpose();
        let result = target.and_then(|peer| {
            self.node.transfer(peer.map(|peer| peer.id), now).map_err(|error| match error {
                TransferError::NotLeader { .. } => self.not_leader(),
                TransferError::MembershipChanging => Refused::Busy,
                error => Refused::BadTarget(error),
            })
        });
        match result {
            Ok(()) => {
                self.transfers.push((self.node.transferring(), token));
                effects.accepted.push(token);
            }
            Err(refused) => effects.refused.push((token, refused)),
        }
    }

    pub(crate) fn on_change(
        &mut self,
        change: &MembershipChange,
        token: Token,
        now: Moment,
        effects: &mut Effects,
    ) {
        match self.node.change(change, now) {
            Ok(()) => self.members.on_began(token),
            Err(ChangeError::NotLeader { .. }) => {
                effects.refused.push((token, self.not_leader()));
            }
            Err(error) => effects.refused.push((token, Refused::Change(error))),
        }
    }

    pub(crate) fn on_reset(
        &mut self,
        membership: Membership,
        token: Token,
        now: Moment,
        effects: &mut Effects,
    ) {
        match self.node.reset_peers(membership, now) {
            Ok(()) => effects.accepted.push(token),
            Err(error) => effects.refused.push((token, Refused::Reset(error))),
        }
    }

    pub(crate) fn set_election_timeout(&mut self, timeout: Duration, now: Moment) {
        self.node.set_election_timeout(timeout, now);
    }

    pub(crate) fn set_priority(&mut self, peer: PeerId, priority: Priority, now: Moment) {
        self.node.set_priority(peer, priority, now);
    }
}
