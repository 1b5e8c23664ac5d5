//! A bounded queue into one thread: many push, one drains everything at once.
//!
//! The reader pays one lock per drain, not per item; a writer pays a wake-up only when the reader
//! is really asleep. So whoever is busy finds several items waiting when it is done: batches form
//! by themselves and no timer is needed.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// The queue is full, or its reader has gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rejected {
    /// As many items wait as may.
    Full,
    /// The reader has stopped.
    Closed,
}

/// A bounded queue into one thread.
pub(crate) struct Mailbox<T> {
    state: Mutex<State<T>>,
    wake: Condvar,
    items_max: usize,
}

struct State<T> {
    items: Vec<T>,
    asleep: bool,
    /// The reader is to look up, whether or not there is something.
    called: bool,
    closed: bool,
}

impl<T> State<T> {
    /// There is no reason for the reader to look up.
    fn is_calm(&self) -> bool {
        self.items.is_empty() && !self.closed && !self.called
    }
}

impl<T> Mailbox<T> {
    /// A queue in which at most `items_max` items of [`Mailbox::offer`] wait.
    pub(crate) fn new(items_max: usize) -> Self {
        let state = State { items: Vec::new(), asleep: false, called: false, closed: false };
        Self { state: Mutex::new(state), wake: Condvar::new(), items_max }
    }

    /// Queue an item unless the queue is full: the way in for work from outside.
    pub(crate) fn offer(&self, item: T) -> Result<(), (T, Rejected)> {
        let state = self.put(item)?;
        self.wake_up(state);
        Ok(())
    }

    /// The same without waking the reader: true when it sleeps, and whoever put the item here must
    /// see to it.
    pub(crate) fn offer_unheard(&self, item: T) -> Result<bool, (T, Rejected)> {
        self.put(item).map(|state| state.asleep)
    }

    fn put(&self, item: T) -> Result<MutexGuard<'_, State<T>>, (T, Rejected)> {
        let mut state = self.lock();
        if state.closed {
            return Err((item, Rejected::Closed));
        }
        if state.items.len() >= self.items_max {
            return Err((item, Rejected::Full));
        }
        state.items.push(item);
        Ok(state)
    }

    /// Queue items whatever waits: the way in for what the host itself owes the reader (a sync
    /// that completed, entries applied), bounded by what is under way. Dropped after the end.
    pub(crate) fn push_all(&self, items: impl IntoIterator<Item = T>) {
        let mut state = self.lock();
        if !state.closed {
            state.items.extend(items);
            if !state.items.is_empty() {
                self.wake_up(state);
            }
        }
    }

    /// See [`Mailbox::push_all`].
    pub(crate) fn push(&self, item: T) {
        self.push_all(std::iter::once(item));
    }

    /// Wait for items, at most `timeout` (`None`: for ever), and move all of them to the end of
    /// `into`. False once the queue is closed and empty.
    pub(crate) fn drain(&self, into: &mut Vec<T>, timeout: Option<Duration>) -> bool {
        let mut state = self.sleep(timeout);
        let open = !state.closed || !state.items.is_empty();
        if into.is_empty() {
            std::mem::swap(into, &mut state.items);
        } else {
            into.append(&mut state.items);
        }
        open
    }

    /// Wait for items, at most `timeout` (`None`: for ever), and leave them there.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        self.sleep(timeout).called = false;
    }

    /// Let the reader look up: from its sleep, or from the next one, which then ends at once.
    pub(crate) fn wake(&self) {
        let mut state = self.lock();
        state.called = true;
        self.wake_up(state);
    }

    /// Let the reader look up if it sleeps over items.
    pub(crate) fn wake_for_items(&self) {
        let state = self.lock();
        if !state.items.is_empty() {
            self.wake_up(state);
        }
    }

    /// Nobody has woken the reader since it fell asleep.
    #[cfg(test)]
    pub(crate) fn is_reader_asleep(&self) -> bool {
        self.lock().asleep
    }

    fn sleep(&self, timeout: Option<Duration>) -> MutexGuard<'_, State<T>> {
        let mut state = self.lock();
        if state.is_calm() && timeout != Some(Duration::ZERO) {
            state.asleep = true;
            state = match timeout {
                None => self.wake.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner),
                Some(timeout) => {
                    let waited = self.wake.wait_timeout(state, timeout);
                    waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
                }
            };
            state.asleep = false;
        }
        state
    }

    /// No more items; the reader gets what waits and then the end.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        drop(state);
        self.wake.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A panic while holding the lock leaves a queue that is still whole.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wake_up(&self, mut state: MutexGuard<'_, State<T>>) {
        if state.asleep {
            state.asleep = false;
            drop(state);
            self.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_beyond_the_bound_are_refused_and_pushes_are_not() {
        let mailbox = Mailbox::new(2);
        assert!(mailbox.offer(1).is_ok());
        assert!(mailbox.offer(2).is_ok());
        assert_eq!(mailbox.offer(3), Err((3, Rejected::Full)));
        mailbox.push(4);
        let mut items = Vec::new();
        assert!(mailbox.drain(&mut items, None));
        assert_eq!(items, [1, 2, 4]);
    }

    #[test]
    fn a_closed_mailbox_gives_what_waits_then_ends() {
        let mailbox = Mailbox::new(2);
        mailbox.push(1);
        mailbox.close();
        assert_eq!(mailbox.offer(2), Err((2, Rejected::Closed)));
        let mut items = Vec::new();
        assert!(mailbox.drain(&mut items, None));
        assert_eq!(items, [1]);
        items.clear();
        assert!(!mailbox.drain(&mut items, None));
        assert!(items.is_empty());
    }

    #[test]
    fn a_reader_that_was_called_before_it_slept_does_not_sleep_once() {
        let mailbox = Mailbox::<u8>::new(2);
        mailbox.wake();
        assert!(!mailbox.lock().is_calm(), "or the next line would wait for ever");
        mailbox.wait(None);
        assert!(mailbox.lock().is_calm(), "it was called once");
    }

    #[test]
    fn a_sleeping_reader_is_woken() {
        let mailbox = std::sync::Arc::new(Mailbox::new(8));
        let reader = {
            let mailbox = std::sync::Arc::clone(&mailbox);
            std::thread::Builder::new()
                .spawn(move || {
                    let mut items = Vec::new();
                    while items.len() < 100 && mailbox.drain(&mut items, None) {}
                    items
                })
                .expect("a thread")
        };
        for n in 0..100 {
            mailbox.push(n);
        }
        assert_eq!(reader.join().expect("no panic"), (0..100).collect::<Vec<_>>());
    }
}
