//! How a peer learns that it belongs to the group no more.
//!
//! It commits the configuration without it; or the leader that removed it tells it; or, back after
//! all that, it asks for votes, or, having none, for a read index ([`ask`]), and is told by whoever
//! hears it ([`tell`]). What is told is a fact:
//! "as of this committed index you are no member". It is believed only by a peer that was a member
//! as of an earlier committed index ([`learn`]): a newcomer, which a lagging peer does not know
//! yet, is not sent away. As the id of a removed peer is never used again, the fate is final.

use kontiki_types::{Body, Index, Membership, PeerId, ReadMode};

use crate::election;
use crate::roles::Transition;
use crate::shared::Shared;
use crate::{Cause, Notice};

/// Whether nothing that may yet decide has this peer as a member, as far as this one knows.
pub(crate) fn is_stranger(shared: &Shared, peer: PeerId) -> bool {
    let knows = !shared.memberships.current().is_empty();
    let mut live = shared.memberships.live(shared.applying.commit());
    knows && live.all(|membership| !membership.contains(peer))
}

/// Someone asks for votes or for a leader: a stranger hears that it is one. True when it was told.
pub(crate) fn tell(shared: &mut Shared, to: PeerId) -> bool {
    let is_stranger = is_stranger(shared, to);
    if is_stranger {
        shared.send(to, Body::Removed { as_of: shared.applying.commit() });
    }
    is_stranger
}

/// A member that may not stand hears of no leader. It asks for one, by a read whose answer nobody
/// needs: a leader that is there, asleep perhaps, speaks to it; and whoever knows it to be removed
/// says so. True when it asked; one that is no member keeps still.
pub(crate) fn ask(shared: &mut Shared) -> bool {
    let asks = shared.membership().contains(shared.config.id) && !shared.removed;
    if asks {
        let (id, mode) = (shared.next_read_number(), ReadMode::Index);
        election::ask_voters(shared, |shared, to| shared.send(to, Body::ReadIndex { id, mode }));
    }
    asks
}

/// We hear that we are no member as of there.
pub(crate) fn learn(shared: &mut Shared, as_of: Index) -> Option<Transition> {
    if as_of <= shared.applying.commit() || !is_member(shared, shared.applying.commit()) {
        return None;
    }
    note(shared);
    Some(Transition::Follow { term: shared.term(), leader: None, why: Cause::Removed })
}

/// Everything after `before` up to `commit` is committed, and the memberships there with it.
pub(crate) fn on_committed(shared: &mut Shared, before: Index, commit: Index) {
    let mut member = is_member(shared, before);
    let mut left = false;
    for (_, membership) in shared.memberships.between(before, commit) {
        let stays = membership.contains(shared.config.id);
        left = (left || member) && !stays;
        member = stays;
    }
    if left {
        note(shared);
    }
}

/// A snapshot took the place of the log, and with it this membership the place of one before.
pub(crate) fn on_replaced(shared: &mut Shared, before: &Membership, after: &Membership) {
    let id = shared.config.id;
    if before.contains(id) && !after.contains(id) {
        note(shared);
    }
}

fn is_member(shared: &Shared, index: Index) -> bool {
    shared.memberships.at(index).is_some_and(|membership| membership.contains(shared.config.id))
}

fn note(shared: &mut Shared) {
    if !std::mem::replace(&mut shared.removed, true) {
        shared.outbox.notify(Notice::Removed);
    }
}
