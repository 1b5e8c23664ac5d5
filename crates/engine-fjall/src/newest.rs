//! The rows in memory, and how writers, flushes and merges become visible.
//!
//! Every batch and every change of the manifest has a number, and a state that is looked at has
//! one too: it sees the batches below it, through the newest manifest below it. So a flush or a
//! merge shows its tables as a batch shows its rows: by publishing a number above its own. Without
//! that, readers would go on through the tables of before until somebody writes.

use std::sync::{Arc, Mutex, MutexGuard};

use kontiki_engine::{Batch, Op};
use lsm_tree::{
    AbstractTree, AnyTree, InternalValue, Memtable, SequenceNumberCounter, Slice, ValueType,
};

use crate::view::row_key;
use crate::views::Views;

/// See the module.
pub(crate) struct Newest {
    tree: AnyTree,
    /// The number of the next batch or change of the manifest.
    sequence: SequenceNumberCounter,
    views: Arc<Views>,
    /// The table in memory. Held while a batch goes into it, and while it is put aside: a table on
    /// disk holds whole batches only. Kept here, because the tree hands it out under a lock that
    /// it also holds while it syncs a manifest.
    table: Mutex<Arc<Memtable>>,
}

impl Newest {
    pub(crate) fn new(tree: AnyTree, sequence: SequenceNumberCounter, views: Arc<Views>) -> Self {
        let table = Mutex::new(tree.active_memtable());
        Self { tree, sequence, views, table }
    }

    /// Writes a batch, which is seen when it is whole. Returns the bytes now in memory.
    pub(crate) fn insert(&self, batch: &Batch) -> u64 {
        let table = self.table();
        let number = self.sequence.next();
        for op in batch.ops() {
            // Copied: a row stays in memory until it is in a table, and a slice would keep the
            // whole network buffer it was cut from. It costs 0.1 µs a row (measured).
            table.insert(match op {
                Op::Put { family, key, value } => InternalValue::from_components(
                    row_key(*family, key),
                    Slice::from(&value[..]),
                    number,
                    ValueType::Value,
                ),
                Op::Delete { family, key } => {
                    InternalValue::new_tombstone(row_key(*family, key), number)
                }
            });
        }
        self.views.publish(number + 1);
        table.size()
    }

    /// Puts the rows in memory aside, to be flushed; later batches go into another table.
    pub(crate) fn rotate(&self) {
        let mut table = self.table();
        self.tree.rotate_memtable();
        *table = self.tree.active_memtable();
    }

    /// Lets readers look through the newest manifest. No batch is half written meanwhile.
    pub(crate) fn show_tables(&self) {
        let _whole = self.table();
        self.views.publish(self.sequence.get());
    }

    fn table(&self) -> MutexGuard<'_, Arc<Memtable>> {
        self.table.lock().expect("nothing panics with this lock held")
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
