//! The rows in memory, and how writers, flushes and merges become visible.
//!
//! Every batch and every change of the manifest has a number, and a state that is looked at has
//! one too: it sees the batches below it, through the tables in memory of its time and the newest
//! manifest below it. So a flush or a merge shows its tables as a batch shows its rows: by
//! publishing a number above its own. Without that, readers would go on through the tables of
//! before until somebody writes.

use std::sync::{Arc, Mutex, MutexGuard};

use kontiki_engine::Batch;
use lsm_tree::SequenceNumberCounter;

use crate::memtable::Memtable;
use crate::views::Views;

/// The tables in memory of a state.
#[derive(Clone, Default)]
pub(crate) struct InMemory {
    /// Where batches go.
    pub(crate) active: Arc<Memtable>,
    /// What is being written to disk; older than all of `active`.
    pub(crate) sealed: Option<Arc<Memtable>>,
}

impl InMemory {
    /// The newest first.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.sealed)
    }
}

/// See the module.
pub(crate) struct Newest {
    /// The number of the next batch or change of the manifest.
    sequence: SequenceNumberCounter,
    views: Arc<Views>,
    /// Held while a batch goes in, and while a table is put aside: a table on disk holds whole
    /// batches only.
    in_memory: Mutex<InMemory>,
}

impl Newest {
    pub(crate) fn new(sequence: SequenceNumberCounter, views: Arc<Views>) -> Self {
        let in_memory = Mutex::new(views.open().in_memory.clone());
        Self { sequence, views, in_memory }
    }

    /// Writes a batch, which is seen when it is whole. Returns the bytes now in the active table.
    pub(crate) fn insert(&self, batch: &Batch) -> u64 {
        let in_memory = self.in_memory();
        let number = self.sequence.next();
        let bytes = in_memory.active.insert(batch.ops(), number);
        self.views.publish(number + 1, None);
        bytes
    }

    /// Puts the active table aside, to be written to disk; later batches go into another one.
    /// None when there is nothing in it.
    ///
    /// # Panics
    /// When one is aside already: flushes come one at a time, and none after one that failed.
    pub(crate) fn seal(&self) -> Option<Arc<Memtable>> {
        let mut in_memory = self.in_memory();
        assert!(in_memory.sealed.is_none(), "two flushes at a time");
        if in_memory.active.rows().is_empty() {
            return None;
        }
        let sealed = std::mem::take(&mut in_memory.active);
        in_memory.sealed = Some(Arc::clone(&sealed));
        self.views.publish(self.sequence.get(), Some(&in_memory));
        Some(sealed)
    }

    /// The sealed table is on disk: lets readers look for it there.
    pub(crate) fn show_flushed(&self) {
        let mut in_memory = self.in_memory();
        in_memory.sealed = None;
        self.views.publish(self.sequence.get(), Some(&in_memory));
    }

    /// Lets readers look through the newest manifest. No batch is half written meanwhile.
    pub(crate) fn show_tables(&self) {
        let _whole = self.in_memory();
        self.views.publish(self.sequence.get(), None);
    }

    fn in_memory(&self) -> MutexGuard<'_, InMemory> {
        self.in_memory.lock().expect("nothing panics with this lock held")
    }
}
#[cfg(test)]
mod tests {
    use std::fs;

    use kontiki_engine::{Batch, Engine as _, Family, Read as _};

    use crate::{FjallEngine, opening};

    #[test]
    fn readers_look_through_new_tables_before_the_next_write() {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = FjallEngine::open(directory.path()).expect("open");
        let mut batch = Batch::default();
        batch.put(Family::Default, "key", "value");
        engine.write(batch).expect("write");
        engine.sync().expect("sync");
        for table in fs::read_dir(opening::tables(directory.path())).expect("tables") {
            fs::write(table.expect("a table").path(), [0; 4096]).expect("damage it");
        }
        let found = engine.get(Family::Default, b"key");
        assert!(found.is_err(), "{found:?} is not from the table");
    }
}
