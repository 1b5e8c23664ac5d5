//! The one in-memory log of a peer: every entry after the start, durable or not.
//!
//! There is no overlay of unstable entries: memory changes at once, only the disk lags, and how
//! far it lags is one index (`durable`). Acknowledgements of writes under way are named by
//! [`LogMark`]s so that an old one can never vouch for entries that replaced what it wrote
//! (etcd#1690, known raft bug 19). Used by every role; knows nothing of peers or quorums.
//!
//! # Invariants
//! - Indexes are consecutive; terms never fall along the log.
//! - `handed <= last`, `durable <= handed`: what was not handed to the disk cannot be durable.
//! - Within one accepting leader term the log only grows.

use std::collections::VecDeque;

use bytes::Bytes;
use kontiki_types::{Entry, Index, Position, Term, slack};

/// Names what a write made durable: entries up to `index`, as accepted under the leader of `term`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct LogMark {
    /// Term of the leader under which the newest of them was accepted.
    pub(crate) term: Term,
    /// The last of them.
    pub(crate) index: Index,
}

/// An entry and the cost of all entries up to it, so that the cost of any range is a subtraction.
#[derive(Clone, Debug)]
struct Slot {
    entry: Entry,
    through_bytes: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// The entry before the first; its term is known although it is cut away (jraft#1156).
    start: Position,
    /// Cost of all entries ever held up to `start`.
    start_bytes: u64,
    slots: VecDeque<Slot>,
    /// The last position, and the cost of all entries ever held up to it. The last slot tells both,
    /// but where a thousand groups take turns every slot is a cache miss.
    last: Position,
    last_bytes: u64,
    /// The data of entries up to here is on disk only; at least `start`. And their cost.
    evicted: Index,
    evicted_bytes: u64,
    /// Term of the leader under which the log was last written.
    accepted: Term,
    /// Entries up to here were handed to the disk, in order.
    handed: Index,
    /// Entries up to here are durable.
    durable: Index,
}

impl Log {
    /// A log as the disk gave it back: everything in it is durable.
    ///
    /// # Panics
    /// When the entries are not consecutive after `start`, or their terms fall.
    pub(crate) fn restore(start: Position, entries: Vec<Entry>) -> Self {
        let mut log = Self {
            start,
            start_bytes: 0,
            slots: VecDeque::with_capacity(entries.len()),
            last: start,
            last_bytes: 0,
            evicted: start.index,
            evicted_bytes: 0,
            accepted: start.term,
            handed: start.index,
            durable: start.index,
        };
        let accepted = entries.last().map_or(start.term, |entry| entry.position.term);
        log.append(accepted, entries);
        log.handed = log.last().index;
        log.durable = log.handed;
        log
    }

    /// The position before the first entry.
    pub(crate) fn start(&self) -> Position {
        self.start
    }

    /// The last position; `start` when empty.
    pub(crate) fn last(&self) -> Position {
        self.last
    }

    /// Everything up to here is durable on this peer.
    pub(crate) fn durable(&self) -> Index {
        self.durable
    }

    /// Everything up to here was handed to the disk.
    pub(crate) fn handed(&self) -> Index {
        self.handed
    }

    /// The term of the entry at `index`, the start included.
    pub(crate) fn term(&self, index: Index) -> Option<Term> {
        if index == self.last.index {
            return Some(self.last.term);
        }
        if index == self.start.index {
            return Some(self.start.term);
        }
        self.slot(index).map(|slot| slot.entry.position.term)
    }

    /// True when the log holds this very entry (or starts with it).
    pub(crate) fn matches(&self, position: Position) -> bool {
        self.term(position.index) == Some(position.term)
    }

    /// The newest position not after `limit.index` whose term is not after `limit.term`: where two
    /// logs may agree at best, found without a round trip per entry. Its term is unknown (zero)
    /// when it lies before the start.
    pub(crate) fn newest_not_after(&self, limit: Position) -> Position {
        if limit.index < self.start.index {
            return Position::new(Term(0), limit.index);
        }
        let by_term = self.slots.partition_point(|s| s.entry.position.term <= limit.term);
        let by_index = usize::try_from(limit.index - self.start.index).unwrap_or(usize::MAX);
        match by_term.min(by_index).min(self.slots.len()).checked_sub(1) {
            Some(last) => self.slots.get(last).expect("last < len").entry.position,
            None => self.start,
        }
    }

    /// Append consecutive entries under the leader of `accepted`.
    ///
    /// # Panics
    /// When they do not follow the last entry, or a term falls.
    pub(crate) fn append(&mut self, accepted: Term, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            let (last, position) = (self.last, entry.position);
            assert_eq!(position.index, last.index.next(), "gap after {last} before {position}");
            assert!(position.term >= last.term, "term falls from {last} to {position}");
            assert!(position.term <= accepted, "{position} came from the leader of {accepted}");
            self.last = position;
            self.last_bytes += entry.cost_bytes() as u64;
            self.slots.push_back(Slot { entry, through_bytes: self.last_bytes });
        }
        assert!(self.accepted <= accepted, "leader term fell: {} to {accepted}", self.accepted);
        self.accepted = accepted;
    }

    /// Drop the entry at `from` and all after it. The caller appends what replaces them, under a
    /// newer leader term, in the same step.
    ///
    /// # Panics
    /// When that would cut the start.
    pub(crate) fn truncate(&mut self, from: Index) {
        assert!(from > self.start.index, "truncate at {from}, log starts at {}", self.start);
        let keep = usize::try_from(from - self.start.index - 1).unwrap_or(usize::MAX);
        self.slots.truncate(keep);
        let end = self.slots.back().map(|slot| (slot.entry.position, slot.through_bytes));
        (self.last, self.last_bytes) = end.unwrap_or((self.start, self.start_bytes));
        self.handed = self.handed.min(from.prev());
        self.durable = self.durable.min(from.prev());
        self.evicted = self.evicted.min(from.prev());
        self.evicted_bytes = self.evicted_bytes.min(self.last_bytes);
    }

    /// Drop everything; the log starts anew after `start`, as the leader of `accepted` said. Not
    /// durable until the operation that says so is.
    pub(crate) fn restart(&mut self, start: Position, accepted: Term) {
        assert!(start.index > self.start.index, "restart at {start} before {}", self.start);
        assert!(self.accepted <= accepted, "leader term fell: {} to {accepted}", self.accepted);
        *self = Self {
            start,
            start_bytes: self.last_bytes,
            slots: VecDeque::new(),
            last: start,
            last_bytes: self.last_bytes,
            evicted: start.index,
            evicted_bytes: self.last_bytes,
            accepted,
            handed: start.index,
            durable: self.durable.min(start.index.prev()),
        };
    }

    /// Drop the entries up to and including `to`, remembering the position of the last.
    ///
    /// # Panics
    /// When the log does not hold `to`.
    pub(crate) fn compact(&mut self, to: Index) {
        let term = self.term(to).expect("the caller compacts to an entry the log holds");
        while self.start.index < to {
            let slot = self.slots.pop_front().expect("`to` is in the log");
            self.start_bytes = slot.through_bytes;
            self.start = slot.entry.position;
        }
        slack::trim(&mut self.slots);
        // A snapshot may be installed over entries that were not even handed out yet.
        self.handed = self.handed.max(to);
        self.evicted = self.evicted.max(to);
        self.evicted_bytes = self.evicted_bytes.max(self.start_bytes);
        assert_eq!(self.start, Position::new(term, to), "compaction lost its place");
    }

    /// Append to `out` the entries after `after` up to `to` that fit into `bytes_max`; the first
    /// always fits. Returns the index of the last one taken (`after` when there was none).
    pub(crate) fn copy_range(
        &self,
        after: Index,
        to: Index,
        bytes_max: usize,
        out: &mut Vec<Entry>,
    ) -> Index {
        assert!(after >= self.evicted, "entries after {after}, in memory after {}", self.evicted);
        let to = to.min(self.last().index);
        if to <= after {
            return after;
        }
        let (low, mut high) = (self.offset(after), self.offset(to));
        let budget = self.bytes_through(after).saturating_add(bytes_max as u64);
        // Almost always all of it fits: to search a long log would cost a cache miss a step.
        if self.bytes_through(to) > budget {
            let fits = self.slots.partition_point(|slot| slot.through_bytes <= budget);
            high = high.min(fits.max(low + 1));
        }
        out.extend(self.slots.range(low..high).map(|slot| slot.entry.clone()));
        after + (high - low) as u64
    }

    /// Cost of the entries after `after` up to and including `to`.
    pub(crate) fn bytes_between(&self, after: Index, to: Index) -> u64 {
        self.bytes_through(to) - self.bytes_through(after)
    }

    /// The last entry that may go when so many bytes, at least, are to stay.
    pub(crate) fn after_keeping(&self, bytes: usize) -> Index {
        let through = self.last_bytes.saturating_sub(bytes as u64);
        self.start.index + self.slots.partition_point(|slot| slot.through_bytes <= through) as u64
    }

    /// Cost of everything held.
    pub(crate) fn bytes(&self) -> u64 {
        self.last_bytes - self.start_bytes
    }

    /// Give back memory kept for the next time.
    pub(crate) fn shrink(&mut self) {
        self.slots.shrink_to_fit();
    }

    /// The data of entries up to here is on disk only.
    pub(crate) fn evicted(&self) -> Index {
        self.evicted
    }

    /// Let go of the data of the oldest entries, up to `through` at most, until what is in memory
    /// fits into `bytes_max`, or the rest is not durable.
    pub(crate) fn evict(&mut self, through: Index, bytes_max: usize) {
        let through = through.min(self.durable);
        while self.evicted < through && self.cached_bytes() > bytes_max as u64 {
            let at = self.offset(self.evicted);
            // What was cut from the front by a snapshot is durable in another way.
            let Some(slot) = self.slots.get_mut(at) else { return };
            slot.entry.data = Bytes::new();
            self.evicted_bytes = slot.through_bytes;
            self.evicted = self.evicted.next();
        }
    }

    /// Cost of the entries whose data is in memory.
    pub(crate) fn cached_bytes(&self) -> u64 {
        self.last_bytes - self.evicted_bytes
    }

    /// All entries, oldest first; those evicted without data.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().map(|slot| &slot.entry)
    }

    /// The mark of everything appended so far.
    pub(crate) fn mark(&self) -> LogMark {
        LogMark { term: self.accepted, index: self.last().index }
    }

    /// Everything appended so far is part of an operation on its way to the disk.
    pub(crate) fn set_handed(&mut self) {
        self.handed = self.last().index;
    }

    /// An operation of this mark is durable. Ignored when a newer leader's entries began since: the
    /// operation that carries those is queued behind and will vouch for the whole.
    pub(crate) fn on_durable(&mut self, mark: LogMark) {
        assert!(mark.term <= self.accepted, "mark {mark:?} is ahead of {}", self.accepted);
        if mark.term == self.accepted {
            assert!(mark.index <= self.handed, "{mark:?} vouches beyond {}", self.handed);
            self.durable = self.durable.max(mark.index);
        }
    }

    /// True when a mark still says something about this log.
    pub(crate) fn is_current(&self, mark: LogMark) -> bool {
        mark.term == self.accepted
    }

    fn slot(&self, index: Index) -> Option<&Slot> {
        if index <= self.start.index {
            return None;
        }
        self.slots.get(self.offset(index.prev()))
    }

    /// Number of slots up to and including `index`, which is not before the start.
    fn offset(&self, index: Index) -> usize {
        usize::try_from(index - self.start.index).expect("a log in memory fits its indexes")
    }

    fn bytes_through(&self, index: Index) -> u64 {
        if index == self.last.index {
            return self.last_bytes;
        }
        self.slot(index).map_or(self.start_bytes, |slot| slot.through_bytes)
    }
}
