//! A result that is not there yet: wait for it on a thread, or `await` it anywhere.
//!
//! Made in pairs: whoever does the work keeps the [`Promise`], the caller the [`Handle`]. Needs no
//! runtime; a handle is an ordinary future for whichever the caller uses.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::error::Error;

/// The caller's half.
#[must_use = "the result is lost when nobody waits for it"]
#[derive(Debug)]
pub struct Handle<T>(Arc<Shared<T>>);

/// The worker's half. Dropped without a word, it tells the caller that the host was shut down.
#[derive(Debug)]
pub struct Promise<T>(Option<Arc<Shared<T>>>);

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
}

#[derive(Debug)]
struct State<T> {
    result: Option<Result<T, Error>>,
    waker: Option<Waker>,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both halves of a result.
pub fn promised<T>() -> (Promise<T>, Handle<T>) {
    let state = Mutex::new(State { result: None, waker: None });
    let shared = Arc::new(Shared { state, ready: Condvar::new() });
    (Promise(Some(Arc::clone(&shared))), Handle(shared))
}

/// A request that came to nothing before it began.
pub(super) fn refused<T>(error: Error) -> Handle<T> {
    let (promise, handle) = promised();
    promise.keep(Err(error));
    handle
}

impl<T> Promise<T> {
    /// Give the result.
    pub fn keep(mut self, result: Result<T, Error>) {
        self.set(result);
    }

    fn set(&mut self, result: Result<T, Error>) {
        let Some(shared) = self.0.take() else { return };
        let mut state = shared.lock();
        state.result = Some(result);
        let waker = state.waker.take();
        drop(state);
        shared.ready.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.set(Err(Error::ShutDown));
    }
}

impl<T> Handle<T> {
    /// Wait for the result.
    ///
    /// # Errors
    /// Whatever ended the request.
    pub fn wait(self) -> Result<T, Error> {
        let mut state = self.0.lock();
        loop {
            if let Some(result) = state.result.take() {
                return result;
            }
            state = self.0.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wait for the result, but no longer than this; longer than the clock goes: for ever.
    ///
    /// # Errors
    /// [`Error::TimedOut`]: the request goes on, its result is lost. Else whatever ended it.
    pub fn wait_timeout(self, timeout: Duration) -> Result<T, Error> {
        let Some(deadline) = Instant::now().checked_add(timeout) else { return self.wait() };
        let mut state = self.0.lock();
        loop {
            if let Some(result) = state.result.take() {
                return result;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::TimedOut);
            }
            let waited = self.0.ready.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<T> Future for Handle<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        if let Some(result) = state.result.take() {
            return Poll::Ready(result);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Flag(std::sync::atomic::AtomicBool);

    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }

    #[test]
    fn a_result_is_waited_for_or_awaited() {
        let (promise, handle) = promised();
        promise.keep(Ok(7));
        assert_eq!(handle.wait(), Ok(7));

        let (promise, mut handle) = promised();
        let flag = Arc::new(Flag(false.into()));
        let waker = Waker::from(Arc::clone(&flag));
        let mut context = Context::from_waker(&waker);
        assert!(Pin::new(&mut handle).poll(&mut context).is_pending());
        promise.keep(Ok(8));
        assert!(flag.0.load(std::sync::atomic::Ordering::SeqCst), "the waker was called");
        assert_eq!(Pin::new(&mut handle).poll(&mut context), Poll::Ready(Ok(8)));
    }

    #[test]
    fn the_longest_wait_is_one_for_ever() {
        let (promise, handle) = promised();
        promise.keep(Ok(7));
        assert_eq!(handle.wait_timeout(Duration::MAX), Ok(7));
    }

    #[test]
    fn a_broken_promise_and_an_impatient_caller_are_told_apart() {
        let (promise, handle) = promised::<()>();
        drop(promise);
        assert_eq!(handle.wait(), Err(Error::ShutDown));
        let (_promise, handle) = promised::<()>();
        assert_eq!(handle.wait_timeout(Duration::from_millis(1)), Err(Error::TimedOut));
    }
}
