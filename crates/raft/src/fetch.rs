//! Entries whose data left memory, on their way back from the disk.
//!
//! What is durable may be evicted beyond [`crate::Config::cache_bytes_max`]; terms and sizes stay,
//! so elections, commits and windows never wait. Only two need the data again: a follower that
//! lags, and apply. Each asks with a ticket, one at a time; when the entries come they are held
//! against the log as it is by then, and whoever asked must still be there: the same reign, the
//! same progress at the same place, no snapshot on its way in. Else they are dropped, and what is
//! still needed is asked for anew.

use kontiki_types::{Entry, Index, PeerId, Term};

use crate::Fetch;
use crate::roles::Role;
use crate::shared::Shared;

/// Who asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// The state machine.
    Apply,
    /// A follower, under one progress of one reign.
    Feed { peer: PeerId, session: u64, term: Term },
}

/// Questions to the disk; at most one for each purpose.
#[derive(Debug, Default)]
pub(crate) struct Fetching {
    asked: Vec<(u64, Purpose, Index)>,
    tickets: u64,
}

impl Fetching {
    /// Questions without an answer.
    pub(crate) fn count(&self) -> usize {
        self.asked.len()
    }
}

/// Ask for the evicted entries after `after` up to `to`, unless that was asked already.
pub(crate) fn ask(
    shared: &mut Shared,
    purpose: Purpose,
    after: Index,
    to: Index,
    bytes_max: usize,
) {
    let fetching = &mut shared.fetching;
    if fetching.asked.iter().any(|(_, asked, _)| *asked == purpose) {
        return;
    }
    fetching.tickets += 1;
    let ticket = fetching.tickets;
    fetching.asked.push((ticket, purpose, after));
    let to = to.min(shared.log.evicted());
    assert!(after < to, "entries after {after} up to {to} are in memory");
    shared.outbox.fetch(Fetch { ticket, after, to, bytes_max });
}

/// The disk answered; nothing: it does not hold them any more.
pub(crate) fn on_fetched(
    shared: &mut Shared,
    role: &mut Role,
    ticket: u64,
    entries: Option<Vec<Entry>>,
) {
    let asked = &mut shared.fetching.asked;
    let at = asked.iter().position(|(number, ..)| *number == ticket);
    let (_, purpose, after) = asked.remove(at.unwrap_or_else(|| panic!("no ticket {ticket}")));
    let Some(entries) = entries.filter(|entries| follow(shared, after, entries)) else { return };
    match (purpose, role) {
        (Purpose::Apply, _) => shared.applying.on_fetched(after, entries),
        (Purpose::Feed { peer, session, term }, Role::Leader(leader)) if term == shared.term() => {
            leader.on_fetched(peer, session, after, entries);
        }
        (Purpose::Feed { .. }, _) => {}
    }
}

/// True when the log, as it is now, holds these entries after `after`.
fn follow(shared: &Shared, after: Index, entries: &[Entry]) -> bool {
    let consecutive = (1..).zip(entries).all(|(nth, e)| e.position.index == after + nth);
    consecutive && !entries.is_empty() && entries.iter().all(|e| shared.log.matches(e.position))
}
