//! An heir asks for the place of the replica that lived on its store before.
//!
//! A replica that may have forgotten a promise is silent for ever; a new one, under an id never
//! used before, succeeds it (`docs/design/0005-quarantine.md`). The leader carries that out
//! (`kontiki_raft`, `Body::Succeed`); here is who asks, whom, and until when. Used by
//! [`crate::Quarantined`] before the heir lives and by [`crate::group`] until it has its vote.

use std::time::Duration;

use kontiki_types::{Body, Membership, Message, Moment, PeerId, RegionId, StoreId, Term};

use crate::effect::Outbound;

/// When to ask next.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    store: StoreId,
    every: Duration,
    next: Moment,
}

impl Asking {
    /// The heir on this store begins to ask at once.
    pub(crate) fn new(store: StoreId, every: Duration) -> Self {
        Self { store, every, next: Moment::ZERO }
    }

    /// When [`Self::ask`] is due.
    pub(crate) fn next(&self) -> Moment {
        self.next
    }

    /// If it is time: everybody is asked, for nobody is known to lead.
    pub(crate) fn ask(
        &mut self,
        group: RegionId,
        heir: PeerId,
        members: &Membership,
        now: Moment,
        send: &mut Vec<Outbound>,
    ) {
        if self.next > now {
            return;
        }
        self.next = now + self.every;
        let body = Body::Succeed { store: self.store };
        let others = members.peers().filter(|peer| peer.store != self.store);
        send.extend(others.map(|peer| {
            let message = Message { from: heir, to: peer.id, term: Term(0), body: body.clone() };
            Outbound { store: peer.store, group, message }
        }));
    }
}
