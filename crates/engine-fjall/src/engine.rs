//! The engine: a log-structured tree behind the contract of `kontiki-engine`.
//!
//! One tree per store. A batch goes into the table in memory under one number and is seen when it
//! is whole; `sync` writes that table to disk, beside the writers, and names it in the manifest.
//! There is no journal: what is not in a table yet is in the Raft log. The first failed write,
//! sync or merge closes the latch for good.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use kontiki_engine::{
    Batch, Direction, Engine, Error as EngineError, Family, Poison, Range, Read, Stats, View,
};
use lsm_tree::{AbstractTree, AnyTree, Cache};

use crate::compactor::{Compactor, Shared};
use crate::error::{Error, engine_error};
use crate::memtable::Memtable;
use crate::newest::Newest;
use crate::opening::{self, Opened};
use crate::options;
use crate::trickle::Trickle;
use crate::view::{TreeView, get, scan};
use crate::views::Views;

/// An engine on a directory.
pub struct FjallEngine {
    // Dropped first: the threads must have ended before the directory is free for others.
    compactor: Compactor,
    trickle: Arc<Trickle>,
    pub(crate) tree: AnyTree,
    cache: Arc<Cache>,
    pub(crate) views: Arc<Views>,
    pub(crate) newest: Arc<Newest>,
    poison: Arc<Poison>,
    directory: PathBuf,
    lock: Arc<File>,
}

impl FjallEngine {
    /// Opens a directory; creates it when there is none.
    ///
    /// # Errors
    ///
    /// See [`Error`]: each case says what to do.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        Self::open_with(directory, options::CACHE_BYTES)
    }

    /// The same, with so many bytes for blocks of tables in memory.
    ///
    /// # Errors
    ///
    /// As [`FjallEngine::open`].
    pub fn open_with(directory: &Path, cache_bytes: u64) -> Result<Self, Error> {
        let cache = Arc::new(Cache::with_capacity_bytes(cache_bytes));
        let Opened { tree, sequence, stop, lock } = opening::open(directory, Arc::clone(&cache))?;
        // Every number of the last life is below; 0 would mean "no state" to the tree.
        let first = tree.get_highest_persisted_seqno().unwrap_or_default() + 1;
        sequence.fetch_max(first);
        let views = Arc::new(Views::new(first));
        let newest = Arc::new(Newest::new(sequence, Arc::clone(&views)));
        let poison = Arc::new(Poison::default());
        let io_error = |source| Error::Io { directory: directory.to_path_buf(), source };
        let trickle = Arc::new(Trickle::start(&opening::tables(directory)).map_err(io_error)?);
        let compactor = Compactor::start(Shared {
            tree: tree.clone(),
            views: Arc::clone(&views),
            newest: Arc::clone(&newest),
            poison: Arc::clone(&poison),
            trickle: Arc::clone(&trickle),
            stop,
            is_wanted: Mutex::new(true),
            changed: Condvar::new(),
        });
        Ok(Self {
            compactor: compactor.map_err(io_error)?,
            trickle,
            tree,
            cache,
            views,
            newest,
            poison,
            directory: directory.to_path_buf(),
            lock: Arc::new(lock),
        })
    }

    /// The directory this engine lives in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes the rows in memory to a table, and names it in the manifest. Writers go on.
    fn flush(&self) -> lsm_tree::Result<()> {
        let _writing = self.trickle.writing();
        let Some(sealed) = self.newest.seal() else { return Ok(()) };
        self.register(&sealed)?;
        self.newest.show_flushed();
        self.compactor.wake();
        Ok(())
    }

    /// Writes a sealed table, and names it in the manifest.
    pub(crate) fn register(&self, sealed: &Memtable) -> lsm_tree::Result<()> {
        let written = self.tree.flush_to_tables(sealed.rows().to_write())?;
        let (tables, _) = written.expect("a tree without blobs always says what it wrote");
        self.tree.register_tables(&tables, None, None, &[], self.views.oldest())
    }

    fn sync_rows(&self) -> Result<(), EngineError> {
        self.compactor.wait_for_room()?;
        let _one_at_a_time = self.tree.get_flush_lock();
        self.poison.check()?;
        let flushed = self.flush().map_err(|error| engine_error("write rows to a table", error));
        self.poison.guard(flushed)
    }
}

impl Read for FjallEngine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        get(&self.tree, &self.views.open(), family, key)
    }

    fn scan(
        &self,
        family: Family,
        range: &Range,
        direction: Direction,
        visit: &mut dyn FnMut(&Bytes, &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        scan(&self.tree, &self.views.open(), family, range, direction, visit)
    }
}

impl Engine for FjallEngine {
    fn write(&self, batch: Batch) -> Result<(), EngineError> {
        self.poison.check()?;
        if self.newest.insert(&batch) < options::MEMTABLE_BYTES_MAX {
            return Ok(());
        }
        self.sync_rows()
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.poison.check()?;
        self.sync_rows()
    }

    fn view(&self) -> Result<Box<dyn View>, EngineError> {
        let (tree, lock) = (self.tree.clone(), Arc::clone(&self.lock));
        Ok(Box::new(TreeView { tree, open: self.views.open(), _lock: lock }))
    }

    fn stats(&self) -> Stats {
        let in_memory =
            self.views.open().in_memory.tables().map(|table| table.bytes()).sum::<u64>();
        Stats {
            name: "fjall",
            disk_bytes: self.tree.disk_space(),
            memory_bytes: in_memory + self.cache.size(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use bytes::Bytes;
    use kontiki_engine::{Batch, Direction, Engine as _, Family, Range, Read};

    use super::FjallEngine;

    fn seen(read: &dyn Read) -> Vec<(Bytes, Bytes)> {
        let mut seen = Vec::new();
        let whole = Range { start: Bytes::new(), end: None };
        let mut visit = |key: &Bytes, value: &Bytes| {
            seen.push((key.clone(), value.clone()));
            ControlFlow::Continue(())
        };
        read.scan(Family::Default, &whole, Direction::Forward, &mut visit).expect("scan");
        for (key, value) in &seen {
            let got = read.get(Family::Default, key).expect("get");
            assert_eq!(got.as_ref(), Some(value), "{key:?}");
        }
        seen
    }

    #[test]
    fn the_newest_table_that_knows_a_row_decides() {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = FjallEngine::open(directory.path()).expect("open");
        let write = |value: &'static str, gone: &'static str| {
            let mut batch = Batch::default();
            for key in ["a", "b", "c", "d"] {
                batch.put(Family::Default, key, value);
            }
            batch.delete(Family::Default, gone);
            engine.write(batch).expect("write");
        };
        let rows = |keys: [&'static str; 3], value: &'static str| {
            keys.map(|key| (Bytes::from(key), Bytes::from(value))).to_vec()
        };
        write("on disk", "a");
        engine.sync().expect("sync");
        write("sealed", "b");
        let sealed = engine.newest.seal().expect("rows");
        assert_eq!(seen(&engine), rows(["a", "c", "d"], "sealed"));
        let view = engine.view().expect("a view");
        write("active", "c");
        assert_eq!(seen(&engine), rows(["a", "b", "d"], "active"));
        drop(sealed);
        assert_eq!(seen(&*view), rows(["a", "c", "d"], "sealed"), "the view of before");
    }
}
