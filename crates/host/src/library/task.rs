//! A task: what a caller wants in the log of a group, and whom to tell how it went.
//!
//! Made by users, taken by `Node::apply`. The completion ([`Done`]) stays on the node where the
//! task was submitted: the state machine meets it there when the entry is applied, and nowhere
//! else.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kontiki_types::{Term, limits};

use super::error::Error;
use super::handle::{Handle, promised};

/// Most bytes of a task's data.
pub const TASK_BYTES_MAX: usize = limits::BATCH_BYTES_MAX;

/// Something to be replicated.
#[derive(Debug)]
pub struct Task {
    pub(crate) data: Bytes,
    pub(crate) done: Option<Done>,
    pub(crate) expected_term: Option<Term>,
}

impl Task {
    /// Replicate these bytes; nobody waits for it.
    pub fn new(data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), done: None, expected_term: None }
    }

    /// Call this once with the state machine's reply, or with why there is none. It runs on a
    /// thread of the host and must not block.
    #[must_use]
    pub fn with_done(mut self, done: impl FnOnce(Result<Bytes, Error>) + Send + 'static) -> Self {
        self.done = Some(Done::new(Box::new(done)));
        self
    }

    /// Wait for the reply with a handle.
    pub fn with_handle(self) -> (Self, Handle<Bytes>) {
        let (promise, handle) = promised();
        (self.with_done(move |result| promise.keep(result)), handle)
    }

    /// Call this once the entry is committed, before it is applied. Not called when the task is
    /// refused; must not block.
    #[must_use]
    pub fn with_on_committed(mut self, committed: impl FnOnce() + Send + 'static) -> Self {
        let done = self.done.get_or_insert_with(|| Done::new(Box::new(|_| {})));
        done.inner().on_committed = Some(Box::new(committed));
        self
    }

    /// A value that the state machine of this very node finds with the completion, so that it need
    /// not decode the data again. It does not travel to other nodes.
    #[must_use]
    pub fn with_context(mut self, context: impl Any + Send) -> Self {
        let done = self.done.get_or_insert_with(|| Done::new(Box::new(|_| {})));
        done.inner().context = Some(Box::new(context));
        self
    }

    /// Refuse the task unless the leader is in this term when it is appended.
    #[must_use]
    pub fn with_expected_term(mut self, term: Term) -> Self {
        self.expected_term = Some(term);
        self
    }
}

/// Told the result.
type Run = Box<dyn FnOnce(Result<Bytes, Error>) + Send>;

/// The completion of a task; called exactly once. Dropped by a state machine without a call, it
/// reports an empty reply if the batch it belongs to was applied, and [`Error::OutcomeUnknown`] if
/// that failed: the task is committed, and takes effect on the other nodes.
pub struct Done {
    inner: Option<Box<Inner>>,
    batch: Option<Arc<BatchEnd>>,
}

struct Inner {
    run: Run,
    on_committed: Option<Box<dyn FnOnce() + Send>>,
    context: Option<Box<dyn Any + Send>>,
}

impl std::fmt::Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Done").finish_non_exhaustive()
    }
}

impl Done {
    fn new(run: Run) -> Self {
        let inner = Inner { run, on_committed: None, context: None };
        Self { inner: Some(Box::new(inner)), batch: None }
    }

    fn inner(&mut self) -> &mut Inner {
        self.inner.as_mut().expect("taken only by run and drop")
    }

    /// The task took effect, and this is the reply.
    pub fn reply(self, reply: impl Into<Bytes>) {
        self.run(Ok(reply.into()));
    }

    /// Tell the caller.
    pub fn run(mut self, result: Result<Bytes, Error>) {
        if let Some(inner) = self.inner.take() {
            inner.call(result);
        }
    }

    /// What [`Task::with_context`] attached, if it is of this type. Given once.
    pub fn take_context<T: Any>(&mut self) -> Option<Box<T>> {
        let context = self.inner().context.take()?;
        match context.downcast() {
            Ok(context) => Some(context),
            Err(other) => {
                self.inner().context = Some(other);
                None
            }
        }
    }

    /// The entry is committed and about to be applied, as part of this batch.
    pub(crate) fn committed(&mut self, batch: &Arc<BatchEnd>) {
        self.batch = Some(Arc::clone(batch));
        if let Some(committed) = self.inner().on_committed.take() {
            guarded(committed);
        }
    }
}

impl Inner {
    fn call(self, result: Result<Bytes, Error>) {
        guarded(|| (self.run)(result));
    }
}

/// A callback that panics has told its caller nothing; the host goes on.
pub(super) fn guarded(callback: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(callback)).is_err() {
        tracing::error!("a completion panicked");
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        match self.batch.take() {
            Some(batch) => batch.dropped(*inner),
            None => inner.call(Err(Error::ShutDown)),
        }
    }
}

/// How a batch of entries ended, for completions that its state machine dropped.
#[derive(Default)]
pub(crate) struct BatchEnd {
    state: Mutex<End>,
}

#[derive(Default)]
struct End {
    result: Option<Result<(), Error>>,
    dropped: Vec<Inner>,
}

impl BatchEnd {
    /// Tell everyone whose completion was dropped, now and later.
    pub(crate) fn end(&self, result: &Result<(), Error>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.result = Some(result.clone());
        let dropped = std::mem::take(&mut state.dropped);
        drop(state);
        for inner in dropped {
            inner.call(result.clone().map(|()| Bytes::new()));
        }
    }

    fn dropped(&self, inner: Inner) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.result.clone() {
            None => state.dropped.push(inner),
            Some(result) => {
                drop(state);
                inner.call(result.map(|()| Bytes::new()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(task: Task) -> Done {
        task.done.expect("it has one")
    }

    #[test]
    fn a_dropped_completion_tells_how_its_batch_ended() {
        let failed = Err(Error::OutcomeUnknown);
        for result in [Ok(()), failed] {
            let batch = Arc::new(BatchEnd::default());
            let (task, early) = Task::new("a").with_handle();
            let mut first = done(task);
            first.committed(&batch);
            let (task, late) = Task::new("b").with_handle();
            let mut second = done(task);
            second.committed(&batch);
            drop(first);
            batch.end(&result);
            drop(second);
            let expected = result.map(|()| Bytes::new());
            assert_eq!((early.wait(), late.wait()), (expected.clone(), expected));
        }
    }

    #[test]
    fn committed_comes_before_the_reply_and_the_context_is_there() {
        let (sender, receiver) = std::sync::mpsc::sync_channel(2);
        let replies = sender.clone();
        let task = Task::new("a")
            .with_done(move |result| replies.send(format!("{result:?}")).expect("room"))
            .with_on_committed(move || sender.send("committed".to_owned()).expect("room"))
            .with_context(7_u32);
        let mut done = done(task);
        done.committed(&Arc::default());
        assert!(done.take_context::<String>().is_none());
        assert_eq!(done.take_context::<u32>(), Some(Box::new(7)));
        done.reply("x");
        assert_eq!(receiver.recv().as_deref(), Ok("committed"));
        assert_eq!(receiver.recv().as_deref(), Ok("Ok(b\"x\")"));
    }

    #[test]
    fn a_panic_in_a_callback_stays_there() {
        let task = Task::new("a").with_done(|_| panic!("on purpose"));
        done(task).reply("x");
    }
}
