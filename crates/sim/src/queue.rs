//! The one heap of the simulation: what happens, ordered by (virtual time, number of the entry).
//!
//! Everything that will ever happen stands in here, so a run is a fold over this heap and two runs
//! of one seed are equal byte for byte. Entries of the same moment happen in the order they were
//! made. Nothing is ever taken out but the first: what was overtaken by a crash is recognised by
//! whoever it concerns when its time comes.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use kontiki_types::Moment;

/// A heap of things to happen.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Slot<T>>,
    next: u64,
}

/// One entry of the heap; ordered by time and number only, and the other way round, because the
/// standard heap gives the greatest first.
#[derive(Debug)]
struct Slot<T> {
    at: Moment,
    number: u64,
    what: T,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), next: 0 }
    }
}

impl<T> Queue<T> {
    /// Adds something that happens at `at`.
    pub fn push(&mut self, at: Moment, what: T) {
        self.heap.push(Slot { at, number: self.next, what });
        self.next += 1;
    }

    /// The first entry and when it happens.
    pub fn pop(&mut self) -> Option<(Moment, T)> {
        self.heap.pop().map(|slot| (slot.at, slot.what))
    }

    /// How many entries wait.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// True when nothing will ever happen again.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

impl<T> PartialEq for Slot<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Slot<T> {}

impl<T> PartialOrd for Slot<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Slot<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_equals_keep_their_order() {
        let mut queue = Queue::default();
        for (at, name) in [(5, "c"), (1, "a"), (5, "d"), (1, "b"), (9, "e")] {
            queue.push(Moment(at), name);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, name)| name).collect();
        assert_eq!(order, ["a", "b", "c", "d", "e"]);
    }
}
