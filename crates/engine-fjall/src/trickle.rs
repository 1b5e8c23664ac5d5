//! Syncs tables while they are being written.
//!
//! The tree syncs a table once, when it is whole: tens of MiB at a time, and on the same disk the
//! sync of the Raft log waits behind all of them, a tenth of a second for a big table. So while a
//! flush or a merge runs, this thread sends what it has written so far to the disk in small steps.
//! It promises nothing: the tree's own sync decides, and reports every error, whoever met it first.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two steps. A merge writes some hundred MB/s: a few MiB a step.
const STEP: Duration = Duration::from_millis(10);

/// The running thread.
pub(crate) struct Trickle {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    tables: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Flushes and merges under way.
    writer_count: usize,
    is_stopped: bool,
}

/// A flush or merge is under way until this is dropped.
pub(crate) struct Writing<'a>(&'a Shared);

impl Trickle {
    /// Starts the thread, for the tables of this directory.
    pub(crate) fn start(tables: &Path) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            tables: tables.to_path_buf(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("engine-trickle".into())
            .spawn(move || of_thread.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Tables are written from now on.
    pub(crate) fn writing(&self) -> Writing<'_> {
        self.shared.state().writer_count += 1;
        self.shared.changed.notify_all();
        Writing(&self.shared)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.state().writer_count -= 1;
    }
}

impl Drop for Trickle {
    fn drop(&mut self) {
        self.shared.state().is_stopped = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been told on its way out.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut sizes = BTreeMap::new();
        while self.wait() {
            // A table that is gone again, a full disk: the tree will meet the same, and say so.
            let _ = self.step(&mut sizes);
        }
    }

    /// Until the next step is due; false at the end.
    fn wait(&self) -> bool {
        let idle = |state: &mut State| state.writer_count == 0 && !state.is_stopped;
        let state = self.changed.wait_while(self.state(), idle);
        let state = state.expect("nothing panics with this lock held");
        let busy = |state: &mut State| !state.is_stopped;
        let (state, _) = self
            .changed
            .wait_timeout_while(state, STEP, busy)
            .expect("nothing panics with this lock held");
        !state.is_stopped
    }

    /// Syncs every table that has grown since the last step.
    fn step(&self, sizes: &mut BTreeMap<OsString, u64>) -> io::Result<()> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&self.tables)? {
            let entry = entry?;
            let (name, size) = (entry.file_name(), entry.metadata()?.len());
            if sizes.get(&name).is_none_or(|before| *before < size) {
                File::open(entry.path())?.sync_data()?;
            }
            found.insert(name, size);
        }
        *sizes = found;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics with this lock held")
    }
}
