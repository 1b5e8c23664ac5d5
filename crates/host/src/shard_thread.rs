//! Who takes the turns of a shard: a thread of its own, or whoever brings something while that
//! thread sleeps.
//!
//! To wake a thread costs more than most turns do, and a request of a single caller waits for every
//! wake-up on its way. So what a caller or a peer's connection brings to an idle shard is taken in
//! on the spot. Under load the shard's thread is awake, takes in all that came meanwhile in one go,
//! and the others are spared the work.
//!
//! Callbacks are the thread's alone: whoever calls the host may hold a lock that they take.
//!
//! Turns never run side by side: they are taken under one lock, which nobody but the thread waits
//! for. Nothing is left lying: whoever brings something leaves it in the mailbox first, and whoever
//! was taking a turn meanwhile looks into the mailbox once more after it let go of the lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use kontiki_multiraft::{Event, Shard};
use kontiki_types::Moment;

use crate::mailbox::{Mailbox, Rejected};
use crate::turns::Turns;

/// What reaches the shard.
pub(crate) enum Input {
    /// Something happened.
    Event(Event),
    /// Several things happened.
    Events(Vec<Event>),
    /// Somebody wants to look at the shard.
    Inspect(Look),
    /// Somebody adds a group, or brings one back.
    Edit(Edit),
}

/// Looks at the shard after a turn, on its own thread.
pub(crate) type Look = Box<dyn FnOnce(&Shard) + Send>;

/// Changes the shard between two events.
pub(crate) type Edit = Box<dyn FnOnce(&mut Shard, Moment) + Send>;

/// What is done in a turn; a test counts.
pub(crate) trait TakesTurns {
    /// Take in all that waits in the mailbox, and what is due by now. False when there will be no
    /// more turns: the mailbox is closed and empty, or the store must stop.
    fn take(&mut self) -> bool;
    /// Callers are to be told of something, or the host is.
    fn owes(&self) -> bool;
    /// Tell them.
    fn answer(&mut self);
    /// When the next turn is due, even if nothing comes.
    fn deadline(&self) -> Option<Moment>;
    /// The time.
    fn now(&self) -> Moment;
    /// After the last turn, which may have panicked: then half of it is done, and the store stops.
    fn end(self, panicked: bool);
}

/// See the module.
pub(crate) struct ShardThread<T = Turns, I = Input> {
    inputs: Arc<Mailbox<I>>,
    /// Others take turns as well; see [`crate::Transport::sends_within_calls`].
    is_shared: bool,
    /// Which thread it is, once it runs.
    own: OnceLock<ThreadId>,
    /// Only the thread waits for this lock.
    state: Mutex<State<T>>,
}

struct State<T> {
    /// Nothing before the thread runs and after the last turn.
    turns: Option<T>,
    /// Until then the thread sleeps, or is about to; nothing: until something comes.
    sleeps_until: Option<Moment>,
}

impl<T: TakesTurns, I> ShardThread<T, I> {
    pub(crate) fn new(inputs: Arc<Mailbox<I>>, is_shared: bool) -> Self {
        let state = State { turns: None, sleeps_until: None };
        Self { inputs, is_shared, own: OnceLock::new(), state: Mutex::new(state) }
    }

    /// This is the thread itself: whoever waits for it here waits in vain.
    pub(crate) fn is_here(&self) -> bool {
        self.own.get() == Some(&std::thread::current().id())
    }

    /// The thread: until there are no more turns.
    pub(crate) fn run(&self, turns: T) {
        self.own.get_or_init(|| std::thread::current().id());
        self.lock().turns = Some(turns);
        let ended = catch_unwind(AssertUnwindSafe(|| self.take_turns()));
        let turns = self.state.lock().unwrap_or_else(PoisonError::into_inner).turns.take();
        if let Some(turns) = turns {
            turns.end(ended.is_err());
        }
        // Whoever put something in and waits for an answer learns that nobody will give one.
        self.inputs.close();
        self.inputs.drain(&mut Vec::new(), Some(Duration::ZERO));
    }

    fn take_turns(&self) {
        loop {
            let timeout = self.lock().rest();
            self.inputs.wait(timeout);
            let mut state = self.lock();
            let turns = state.turns.as_mut().expect("only this thread ends them");
            let goes_on = turns.take();
            turns.answer();
            if !goes_on {
                return;
            }
        }
    }

    /// Bring something; when the thread sleeps, the turn is taken here and now.
    ///
    /// # Errors
    /// The mailbox is full or closed: nothing happened.
    pub(crate) fn bring(&self, input: I) -> Result<(), (I, Rejected)> {
        if !self.is_shared {
            return self.inputs.offer(input);
        }
        if self.inputs.offer_unheard(input)? {
            self.take_turn();
        }
        Ok(())
    }

    fn take_turn(&self) {
        // Whoever has the lock looks into the mailbox afterwards; after a panic the thread ends.
        let Ok(mut state) = self.state.try_lock() else { return };
        let unwinding = WakeOnPanic(&self.inputs);
        let is_due_sooner = state.take_turn();
        drop(state);
        drop(unwinding);
        if is_due_sooner {
            self.inputs.wake();
        } else {
            self.inputs.wake_for_items();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("no turn panicked")
    }
}

/// The thread hears of it when a turn panics that it does not take itself.
struct WakeOnPanic<'a, I>(&'a Mailbox<I>);

impl<I> Drop for WakeOnPanic<'_, I> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.wake();
        }
    }
}

impl<T: TakesTurns> State<T> {
    /// How long the thread may sleep, unless something comes; nothing: for ever.
    fn rest(&mut self) -> Option<Duration> {
        let turns = self.turns.as_ref()?;
        self.sleeps_until = turns.deadline();
        self.sleeps_until.map(|deadline| deadline.since(turns.now()))
    }

    /// A turn in place of the thread; true when the thread must be woken: it has callers to tell,
    /// or the next turn is due before it would wake up, or there is none.
    fn take_turn(&mut self) -> bool {
        let Some(turns) = &mut self.turns else { return false };
        if !turns.take() || turns.owes() {
            return true;
        }
        match (turns.deadline(), self.sleeps_until) {
            (Some(due), Some(sleeps_until)) => due < sleeps_until,
            (due, _) => due.is_some(),
        }
    }
}

#[cfg(test)]
mod tests;
