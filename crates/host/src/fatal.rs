//! The end of a store that can no longer keep its promises: a failed write, a failed sync, a
//! storage engine that failed.
//!
//! The first cause is kept and reported; every thread of the host checks the flag before it
//! acknowledges anything more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Called once with the first cause; a server exits here.
pub type OnFatal = Box<dyn FnOnce(String) + Send>;

/// Shared by the threads of a host.
#[derive(Clone)]
pub(crate) struct Fatal {
    inner: Arc<Inner>,
}

struct Inner {
    raised: AtomicBool,
    on_fatal: Mutex<Option<OnFatal>>,
}

impl Fatal {
    pub(crate) fn new(on_fatal: OnFatal) -> Self {
        let on_fatal = Mutex::new(Some(on_fatal));
        Self { inner: Arc::new(Inner { raised: AtomicBool::new(false), on_fatal }) }
    }

    /// Something failed that must stop the store.
    pub(crate) fn raise(&self, cause: String) {
        self.inner.raised.store(true, Ordering::SeqCst);
        let on_fatal =
            self.inner.on_fatal.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(on_fatal) = on_fatal {
            tracing::error!(%cause, "the store stops: it can no longer keep what it promises");
            on_fatal(cause);
        }
    }

    /// While this lives, a panic of the thread is a failure like any other: the others would wait
    /// for it for ever.
    pub(crate) fn watch(&self, thread: &str) -> Watched {
        Watched { fatal: self.clone(), thread: thread.to_owned() }
    }

    /// No more acknowledgements.
    pub(crate) fn is_raised(&self) -> bool {
        self.inner.raised.load(Ordering::SeqCst)
    }
}

/// See [`Fatal::watch`].
pub(crate) struct Watched {
    fatal: Fatal,
    thread: String,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.fatal.raise(format!("the thread `{}` panicked", self.thread));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn a_panic_of_a_watched_thread_is_the_cause_and_its_end_is_none() {
        let (sender, receiver) = sync_channel(1);
        let fatal = Fatal::new(Box::new(move |cause| sender.send(cause).expect("heard")));
        let watched = fatal.watch("calm");
        std::thread::scope(|scope| {
            scope.spawn(move || drop(watched));
        });
        assert!(!fatal.is_raised());
        let watched = fatal.watch("log");
        let thread = std::thread::Builder::new().spawn(move || {
            let _watched = watched;
            panic!("on purpose");
        });
        assert!(thread.expect("it runs").join().is_err());
        assert!(fatal.is_raised());
        assert_eq!(receiver.recv().as_deref(), Ok("the thread `log` panicked"));
    }
}
