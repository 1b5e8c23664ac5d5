//! The one heap of the simulation: what happens, ordered by (virtual time, number of the entry).
//!
//! Everything that will ever happen stands in here, so a run is a fold over this heap and two runs
//! of one seed are equal byte for byte. Entries of the same moment happen in the order they were
//! made. Nothing is ever taken out but the first: what was overtaken by a crash is recognised by
//! whoever it concerns when its time comes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use kontiki_types::Moment;

/// A heap of things to happen.
#[derive(Debug)]
pub struct Queue<T> {
    /// When, and the number of the entry, and its place: what the heap moves about is small.
    heap: BinaryHeap<Reverse<(Moment, u64, usize)>>,
    places: Vec<Option<T>>,
    free: Vec<usize>,
    next: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), places: Vec::new(), free: Vec::new(), next: 0 }
    }
}

impl<T> Queue<T> {
    /// Adds something that happens at `at`.
    pub fn push(&mut self, at: Moment, what: T) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(what);
        self.heap.push(Reverse((at, self.next, place)));
        self.next += 1;
    }

    /// When the first entry happens.
    pub fn next_at(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// The first entry and when it happens.
    pub fn pop(&mut self) -> Option<(Moment, T)> {
        let Reverse((at, _, place)) = self.heap.pop()?;
        self.free.push(place);
        let what = self.places[place].take();
        Some((at, what.expect("each entry has a place of its own")))
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
        queue.push(Moment(7), "f");
        assert_eq!((queue.next_at(), queue.len()), (Some(Moment(7)), 1));
        assert_eq!(queue.pop(), Some((Moment(7), "f")), "in a place that was free again");
    }
}
