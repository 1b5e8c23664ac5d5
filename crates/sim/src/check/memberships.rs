//! Which membership a log puts in effect: that of its newest configuration entry (thesis §4.1).
//!
//! Kept from what was appended anywhere, so that a node that acts by another one is caught, and
//! quorums are counted by the logs and not by what nodes take for their members.

use std::collections::BTreeMap;

use kontiki_codec::membership;
use kontiki_types::{Entry, EntryKind, Index, Membership, Term};

use super::shadow::ShadowLog;

/// Every membership of a group that was ever logged.
#[derive(Default, Debug)]
pub(super) struct Memberships {
    born: Membership,
    logged: BTreeMap<(Index, Term), Membership>,
}

impl Memberships {
    /// Of a group that is born with this one.
    pub(super) fn new(born: Membership) -> Self {
        Self { born, logged: BTreeMap::new() }
    }

    /// An entry stands in some log.
    pub(super) fn note(&mut self, entry: &Entry) {
        if entry.kind == EntryKind::Config
            && let Ok(membership) = membership::from_bytes(entry.data.clone())
        {
            let position = entry.position;
            self.logged.insert((position.index, position.term), membership);
        }
    }

    /// What this log put in effect when it ended here. What it does not hold any more was
    /// committed, of this term.
    pub(super) fn of(
        &self,
        log: &ShadowLog,
        end: Index,
        committed: impl Fn(Index) -> Option<Term>,
    ) -> &Membership {
        let holds = |&(&(index, term), _): &(&(Index, Term), &Membership)| {
            let known =
                if index <= log.start.index { committed(index) } else { log.term_at(index) };
            known == Some(term)
        };
        let newest_first = self.logged.range(..=(end, Term(u64::MAX))).rev();
        newest_first.filter(holds).map(|(_, membership)| membership).next().unwrap_or(&self.born)
    }

    /// Those that some log may put in effect: the newest that is committed, and all after it.
    pub(super) fn in_effect(
        &self,
        end: Index,
        committed: impl Fn(Index) -> Option<Term>,
    ) -> impl Iterator<Item = &Membership> {
        let before = self.logged.range(..=(end, Term(u64::MAX))).rev();
        let newest = before
            .filter(move |((index, term), _)| committed(*index) == Some(*term))
            .map(|(_, membership)| membership)
            .next()
            .unwrap_or(&self.born);
        let after = self.logged.range((end.next(), Term(0))..).map(|(_, membership)| membership);
        std::iter::once(newest).chain(after)
    }
}
