//! Which states of the tree somebody may still look at.
//!
//! Every write has a number of its own, and a state is "all writes below this number". The writer
//! publishes a state when its batch is whole; readers open the newest one and close it again; what
//! no open state needs may be reclaimed. Only this crate's engine and views call it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use lsm_tree::SeqNo;

use crate::newest::InMemory;

/// The published state, and the states that are open.
pub(crate) struct Views {
    state: Mutex<State>,
}

struct State {
    published: SeqNo,
    in_memory: InMemory,
    /// How often each state is open; never zero times.
    open: BTreeMap<SeqNo, usize>,
}

/// A state that is open until this is dropped: writes below `number` are in it. Those that are not
/// in the tables on disk of that number are in the tables in memory.
pub(crate) struct OpenView {
    pub(crate) number: SeqNo,
    pub(crate) in_memory: InMemory,
    views: Arc<Views>,
}

impl Views {
    /// The state of a tree as it was found.
    pub(crate) fn new(published: SeqNo) -> Self {
        let in_memory = InMemory::default();
        Self { state: Mutex::new(State { published, in_memory, open: BTreeMap::new() }) }
    }

    /// Lets readers see all writes below `number`, through the newest manifest below it, and the
    /// tables in memory if they are others now.
    pub(crate) fn publish(&self, number: SeqNo, in_memory: Option<&InMemory>) {
        let mut state = self.state();
        assert!(number >= state.published, "state {number} after {}", state.published);
        state.published = number;
        if let Some(in_memory) = in_memory {
            // The last one to hold a table frees it, and not with this lock held.
            let before = std::mem::replace(&mut state.in_memory, in_memory.clone());
            drop(state);
            drop(before);
        }
    }

    /// Opens the newest state.
    pub(crate) fn open(self: &Arc<Self>) -> OpenView {
        let mut state = self.state();
        let number = state.published;
        *state.open.entry(number).or_insert(0) += 1;
        let in_memory = state.in_memory.clone();
        OpenView { number, in_memory, views: Arc::clone(self) }
    }

    /// The oldest state anybody can look at, now or later.
    pub(crate) fn oldest(&self) -> SeqNo {
        let state = self.state();
        state.open.keys().next().copied().unwrap_or(state.published)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics with this lock held")
    }
}

impl Drop for OpenView {
    fn drop(&mut self) {
        let mut state = self.views.state();
        match state.open.get_mut(&self.number) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(state.open.remove(&self.number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Views;

    #[test]
    fn the_oldest_open_state_holds_back_reclamation() {
        let views = Arc::new(Views::new(3));
        assert_eq!(views.oldest(), 3);
        let (first, again) = (views.open(), views.open());
        views.publish(5, None);
        let second = views.open();
        views.publish(9, None);
        assert_eq!((first.number, second.number, views.oldest()), (3, 5, 3));
        drop(first);
        assert_eq!(views.oldest(), 3, "it is open twice");
        drop(again);
        assert_eq!(views.oldest(), 5);
        drop(second);
        assert_eq!(views.oldest(), 9);
    }
}
