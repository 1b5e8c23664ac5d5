//! What a group of a shard knows of its members beyond its Raft node: where peers live that the
//! membership does not have (yet), and who waits for the end of a change.
//!
//! A replica that awaits its first snapshot has no membership, and a peer that was removed is in
//! none, but both must be answered: the reply goes to the store that last spoke for the peer.

use std::collections::VecDeque;

use kontiki_raft::{ChangeFailure, Node};
use kontiki_types::{Membership, PeerId, StoreId};

use crate::Token;
use crate::effect::{Effects, Refused};

/// Peers outside of the membership whose store is remembered; the one heard of longest ago goes.
const STRANGERS_MAX: usize = 16;

/// See the module.
#[derive(Default)]
pub(crate) struct Members {
    /// Latest last.
    strangers: VecDeque<(PeerId, StoreId)>,
    /// Who waits for changes, oldest first. One is under way at a time; what is before it has ended
    /// in this very turn, and its end is told at the end of the turn.
    asked: VecDeque<Token>,
}

impl Members {
    /// A peer spoke, from this store.
    pub(crate) fn on_heard(&mut self, node: &Node, peer: PeerId, store: StoreId) {
        if node.peer(peer).is_some() || self.strangers.back() == Some(&(peer, store)) {
            return;
        }
        self.strangers.retain(|(stranger, _)| *stranger != peer);
        if self.strangers.len() == STRANGERS_MAX {
            self.strangers.pop_front();
        }
        self.strangers.push_back((peer, store));
    }

    /// Where this peer lives, as far as anybody said.
    pub(crate) fn store_of(&self, node: &Node, peer: PeerId) -> Option<StoreId> {
        let stranger =
            || self.strangers.iter().find(|(id, _)| *id == peer).map(|(_, store)| *store);
        node.peer(peer).map(|peer| peer.store).or_else(stranger)
    }

    /// A change began; the caller hears of its end.
    pub(crate) fn on_began(&mut self, token: Token) {
        self.asked.push_back(token);
    }

    /// Tell the caller how its change ended: they end in the order in which they began.
    pub(crate) fn on_ended(
        &mut self,
        result: &Result<Membership, ChangeFailure>,
        effects: &mut Effects,
    ) {
        let Some(token) = self.asked.pop_front() else { return };
        match result {
            Ok(membership) => effects.changed.push((token, membership.clone())),
            Err(failure) => effects.refused.push((token, Refused::ChangeFailed(*failure))),
        }
    }

    /// The group goes away.
    pub(crate) fn take_asked(&mut self) -> impl Iterator<Item = Token> + '_ {
        self.asked.drain(..)
    }
}
