//! The events of the not yet ordered definite operations, in real-time order, as a linked list.
//!
//! The search lifts an operation out when it is placed and puts it back when the choice is undone.
//! Entries keep their place when lifted, so putting back in the reverse order of lifting is exact
//! and both are constant time. Nobody else uses this.

use super::register::Event;

/// A doubly linked list over event numbers; entry `len` is the sentinel between the last and the
/// first.
pub(super) struct EventList {
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Operation → entry of its invocation.
    invocation: Vec<usize>,
    /// Operation → entry of its return.
    returning: Vec<usize>,
}

impl EventList {
    pub(super) fn new(events: &[Event], definite_count: usize) -> Self {
        let len = events.len();
        let mut invocation = vec![0; definite_count];
        let mut returning = vec![0; definite_count];
        for (entry, event) in events.iter().enumerate() {
            match *event {
                Event::Invoke(op) => invocation[op] = entry,
                Event::Return(op) => returning[op] = entry,
            }
        }
        let next = (0..=len).map(|entry| (entry + 1) % (len + 1)).collect();
        let previous = (0..=len).map(|entry| (entry + len) % (len + 1)).collect();
        Self { next, previous, invocation, returning }
    }

    pub(super) fn first(&self) -> usize {
        self.next[self.next.len() - 1]
    }

    pub(super) fn after(&self, entry: usize) -> usize {
        self.next[entry]
    }

    pub(super) fn after_invocation(&self, op: usize) -> usize {
        self.next[self.invocation[op]]
    }

    /// The entry of the first return: how far candidates reach. The list must not be empty.
    pub(super) fn first_return(&self, events: &[Event]) -> usize {
        let mut entry = self.first();
        while let Event::Invoke(_) = events[entry] {
            entry = self.after(entry);
        }
        entry
    }

    pub(super) fn lift(&mut self, op: usize) {
        for entry in [self.invocation[op], self.returning[op]] {
            let (previous, next) = (self.previous[entry], self.next[entry]);
            debug_assert_eq!(self.next[previous], entry, "operation {op} is lifted already");
            self.next[previous] = next;
            self.previous[next] = previous;
        }
    }

    pub(super) fn put_back(&mut self, op: usize) {
        for entry in [self.returning[op], self.invocation[op]] {
            let (previous, next) = (self.previous[entry], self.next[entry]);
            debug_assert_ne!(self.next[previous], entry, "operation {op} is in the list");
            self.next[previous] = entry;
            self.previous[next] = entry;
        }
    }
}
