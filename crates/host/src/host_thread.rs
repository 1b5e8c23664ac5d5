//! Which threads are a host's own, and what may be done there.
//!
//! User code runs on threads of hosts, some of it under locks of theirs. To end a host or a node,
//! or to make one, is to wait for such threads and such locks: done there, it would wait for
//! itself. So every thread that may call user code carries a mark, and what waits asks for it.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    /// How many marks the thread carries.
    static MARKS: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, its thread is one of a host. Stays on that thread.
pub(crate) struct Mark(PhantomData<*const ()>);

impl Mark {
    /// This thread, from now on.
    pub(crate) fn set() -> Self {
        MARKS.set(MARKS.get() + 1);
        Self(PhantomData)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        MARKS.set(MARKS.get() - 1);
    }
}

/// This thread is one of a host, whichever.
pub(crate) fn is_here() -> bool {
    MARKS.get() > 0
}

/// Do this here; if this is a thread of a host, on a new one, and do not wait for it.
pub(crate) fn elsewhere(name: &str, work: impl FnOnce() + Send + 'static) {
    if !is_here() {
        return work();
    }
    if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(work) {
        tracing::error!(%error, name, "not done: there is no thread for it");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn work_is_done_here_or_on_a_thread_of_its_own_where_this_one_is_a_hosts() {
        let (sender, receiver) = sync_channel(1);
        let work = || {
            let sender = sender.clone();
            move || sender.send(std::thread::current().id()).expect("room")
        };
        let here = std::thread::current().id();
        elsewhere("work", work());
        assert_eq!(receiver.recv(), Ok(here));
        let (outer, inner) = (Mark::set(), Mark::set());
        drop(inner);
        elsewhere("work", work());
        assert!(receiver.recv().is_ok_and(|thread| thread != here));
        drop(outer);
        elsewhere("work", work());
        assert_eq!(receiver.recv(), Ok(here));
    }
}
