//! The thread that merges tables, and what others ask of it.
//!
//! A flush wakes it; it merges until its strategy finds nothing more to do. A failed merge poisons
//! the engine. It is joined when the engine is dropped: a tree that is still written to must never
//! be opened a second time.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use kontiki_engine::{Error as EngineError, Poison};
use lsm_tree::compaction::filter::Context;
use lsm_tree::compaction::{CompactionFilter, Factory, ItemAccessor, Verdict};
use lsm_tree::{AbstractTree, AnyTree};

use crate::error::engine_error;
use crate::newest::Newest;
use crate::options;
use crate::trickle::Trickle;
use crate::views::Views;

/// How much the thread steps back behind others, as `nice` counts. A merge takes a processor for
/// seconds and nobody waits for it, while what is put and got waits for the processor it takes.
/// Not more: a merge that never ran would leave gets ever more young tables to ask.
const NICE: i32 = 5;

/// The running thread.
pub(crate) struct Compactor {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and its callers share.
pub(crate) struct Shared {
    pub(crate) tree: AnyTree,
    pub(crate) views: Arc<Views>,
    pub(crate) newest: Arc<Newest>,
    pub(crate) poison: Arc<Poison>,
    pub(crate) trickle: Arc<Trickle>,
    pub(crate) stop: Stop,
    /// Whether there may be something to merge; at first, as the last life may have left some.
    pub(crate) is_wanted: Mutex<bool>,
    pub(crate) changed: Condvar,
}

impl Compactor {
    /// Starts the thread.
    pub(crate) fn start(shared: Shared) -> io::Result<Self> {
        let shared = Arc::new(shared);
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("engine-compact".into())
            .spawn(move || of_thread.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Says that there is a new table.
    pub(crate) fn wake(&self) {
        *self.shared.is_wanted() = true;
        self.shared.changed.notify_all();
    }

    /// Waits until there are few enough young tables for one more.
    ///
    /// # Errors
    /// The engine is poisoned: there will never be fewer.
    pub(crate) fn wait_for_room(&self) -> Result<(), EngineError> {
        let shared = &self.shared;
        let mut held = shared.is_wanted();
        while shared.tree.l0_run_count() >= options::YOUNG_TABLES_MAX {
            shared.poison.check()?;
            held = shared.changed.wait(held).expect("nothing panics with this lock held");
        }
        Ok(())
    }
}

impl Drop for Compactor {
    fn drop(&mut self) {
        self.shared.stop.0.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been told on its way out.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        // On Linux that is this thread alone. Where it is refused, the thread runs like any other.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
        while self.wait_for_work() {
            let merged = self.merge_all().map_err(|error| engine_error("merge tables", error));
            if let Err(error) = merged
                && !self.stop.is_asked()
            {
                self.poison.spill(&error);
            }
        }
        self.tell();
    }

    /// Wakes who waits for room. With the lock in between, so that nobody who has just looked
    /// misses it.
    fn tell(&self) {
        drop(self.is_wanted());
        self.changed.notify_all();
    }

    /// False when the engine is being dropped.
    fn wait_for_work(&self) -> bool {
        let mut is_wanted = self.is_wanted();
        while !*is_wanted && !self.stop.is_asked() {
            is_wanted = self.changed.wait(is_wanted).expect("nothing panics with this lock held");
        }
        *is_wanted = false;
        !self.stop.is_asked() && !self.poison.is_poisoned()
    }

    fn merge_all(&self) -> lsm_tree::Result<()> {
        let strategy = options::compaction();
        let _writing = self.trickle.writing();
        loop {
            let before = self.tree.current_version().id();
            self.tree.compact(strategy.clone(), self.views.oldest())?;
            let is_done = self.tree.current_version().id() == before;
            if !is_done {
                self.newest.show_tables();
            }
            self.tell();
            if is_done || self.stop.is_asked() {
                return Ok(());
            }
        }
    }

    fn is_wanted(&self) -> MutexGuard<'_, bool> {
        self.is_wanted.lock().expect("nothing panics with this lock held")
    }
}

/// Ends a merge in its middle: a filter that keeps every row and fails once it is asked to stop.
/// What was merged so far is thrown away by the next opening.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    fn is_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Factory for Stop {
    fn name(&self) -> &'static str {
        "stop"
    }

    fn make_filter(&self, _context: &Context) -> Box<dyn CompactionFilter> {
        Box::new(self.clone())
    }
}

impl CompactionFilter for Stop {
    fn filter_item(&mut self, _: ItemAccessor<'_>, _: &Context) -> lsm_tree::Result<Verdict> {
        if self.is_asked() {
            return Err(lsm_tree::Error::Io(ErrorKind::Interrupted.into()));
        }
        Ok(Verdict::Keep)
    }
}
