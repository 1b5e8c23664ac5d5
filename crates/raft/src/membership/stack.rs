//! The memberships along the log: one as of its start, one for each configuration entry after it.
//!
//! This is the only place a peer keeps its membership (etcd kept two and lost promotions,
//! etcd#19557). Entries push, truncation pops, compaction and snapshots move the base; all by log
//! position, so no stale uncommitted membership survives a snapshot (openraft#1808).
//!
//! A *forced* one ([`super::reset`]) stands above the log until the next configuration entry.

use kontiki_types::{Index, Membership, Peer, PeerId};

/// See the module. Ordered by index; the last is in effect, unless one is forced.
#[derive(Debug)]
pub(crate) struct Stack {
    base: (Index, Membership),
    above: Vec<(Index, Membership)>,
    forced: Option<Membership>,
}

impl Stack {
    /// Only the membership as of the start of the log.
    pub(crate) fn new(index: Index, membership: Membership) -> Self {
        Self { base: (index, membership), above: Vec::new(), forced: None }
    }

    // ---- looking ----

    /// In effect now.
    pub(crate) fn current(&self) -> &Membership {
        self.forced.as_ref().unwrap_or(&self.top().1)
    }

    /// Where the newest one of the log stands; not after this index: it is known as of the start.
    pub(crate) fn current_index(&self) -> Index {
        self.top().0
    }

    /// The one an operator put above the log.
    pub(crate) fn forced(&self) -> Option<&Membership> {
        self.forced.as_ref()
    }

    /// All of the log, the one as of its start first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &(Index, Membership)> {
        std::iter::once(&self.base).chain(&self.above)
    }

    /// As of this index; nothing below the start of the log.
    pub(crate) fn at(&self, index: Index) -> Option<&Membership> {
        let above = self.above.iter().rev().find(|(at, _)| *at <= index);
        above.or((self.base.0 <= index).then_some(&self.base)).map(|(_, membership)| membership)
    }

    /// Those that took effect after `low`, up to `high`.
    pub(crate) fn between(
        &self,
        low: Index,
        high: Index,
    ) -> impl Iterator<Item = &(Index, Membership)> {
        self.above.iter().filter(move |(at, _)| low < *at && *at <= high)
    }

    /// Those that may yet decide something when everything up to `commit` is committed: the one as
    /// of there, and all that are not committed.
    pub(crate) fn live(&self, commit: Index) -> impl Iterator<Item = &Membership> {
        let uncommitted = self.above.iter().filter(move |(at, _)| *at > commit);
        let uncommitted = uncommitted.map(|(_, membership)| membership);
        self.at(commit).into_iter().chain(uncommitted).chain(self.forced.as_ref())
    }

    /// A member, or one that was, as far back as the log goes: where it lives, or lived. Asked for
    /// each message, nearly always of a member.
    pub(crate) fn peer(&self, id: PeerId) -> Option<Peer> {
        let former = || {
            let newest_first = self.above.iter().rev().chain([&self.base]);
            newest_first.map(|(_, membership)| membership).find_map(|m| m.peer(id))
        };
        self.current().peer(id).or_else(former)
    }

    /// As the log alone has it.
    pub(crate) fn unforced(&self) -> Self {
        Self { base: self.base.clone(), above: self.above.clone(), forced: None }
    }

    // ---- changing ----

    /// A configuration entry was appended.
    pub(crate) fn push(&mut self, index: Index, membership: Membership) {
        assert!(index > self.current_index(), "{index} is not after {}", self.current_index());
        self.above.push((index, membership));
        self.forced = None;
    }

    /// An operator decides, whatever the log says.
    pub(crate) fn force(&mut self, membership: Membership) {
        self.forced = Some(membership);
    }

    /// The log lost the entry at `from` and all after it. True when the membership changed.
    pub(crate) fn truncate(&mut self, from: Index) -> bool {
        assert!(from > self.base.0, "truncation at {from} would lose the base {}", self.base.0);
        let before = self.above.len();
        self.above.retain(|(at, _)| *at < from);
        self.above.len() < before
    }

    /// The log now starts after `to`.
    pub(crate) fn compact(&mut self, to: Index) {
        let passed = self.above.iter().take_while(|(at, _)| *at <= to).count();
        if let Some((_, membership)) = self.above.drain(..passed).next_back() {
            self.base.1 = membership;
        }
        self.base.0 = to;
    }

    /// A snapshot took the place of the log up to `index`; what came after it went with the log.
    pub(crate) fn restart(&mut self, index: Index, membership: Membership) {
        *self = Self::new(index, membership);
    }

    fn top(&self) -> &(Index, Membership) {
        self.above.last().unwrap_or(&self.base)
    }
}
