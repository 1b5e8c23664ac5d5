//! The engine: fjall behind the contract of `kontiki-engine`.
//!
//! One fjall database per store, one keyspace per family. A batch is one atomic fjall batch whose
//! journal record is handed to the operating system before it returns; `sync` makes the journal
//! durable. The first failed write or sync closes the latch for good.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fjall::{Database, OwnedWriteBatch, PersistMode};
use kontiki_engine::{
    Batch, Direction, Engine, Error as EngineError, Family, Op, Poison, Range, Read, Stats, View,
};

use crate::error::{Error, engine_error, open_error};
use crate::options;
use crate::view::{FjallView, Keyspaces, get, keyspace, scan};

/// An engine on a directory, through fjall.
pub struct FjallEngine {
    database: Database,
    keyspaces: Keyspaces,
    poison: Poison,
    directory: PathBuf,
}

impl FjallEngine {
    /// Opens a directory; creates it when there is none.
    ///
    /// # Errors
    ///
    /// See [`Error`]: each case says what to do.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let fail = |error| open_error(directory, error);
        let database = options::database(directory).open().map_err(fail)?;
        let open = |family: Family| {
            database.keyspace(family.name(), || options::keyspace(family)).map_err(fail)
        };
        let keyspaces = [
            open(Family::Default)?,
            open(Family::Lock)?,
            open(Family::Write)?,
            open(Family::Meta)?,
        ];
        Ok(Self {
            database,
            keyspaces,
            poison: Poison::default(),
            directory: directory.to_path_buf(),
        })
    }

    /// The directory this engine lives in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let mut rows = OwnedWriteBatch::with_capacity(self.database.clone(), batch.len())
            // Handed to the operating system at once: it survives the death of this process.
            .durability(Some(PersistMode::Buffer));
        for op in batch.into_ops() {
            match op {
                Op::Put { family, key, value } => {
                    rows.insert(keyspace(&self.keyspaces, family), key, value);
                }
                Op::Delete { family, key } => rows.remove(keyspace(&self.keyspaces, family), key),
            }
        }
        rows.commit().map_err(|error| engine_error("write a batch", error))
    }
}

impl Read for FjallEngine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        get(&self.database.snapshot(), keyspace(&self.keyspaces, family), key)
    }

    fn scan(
        &self,
        family: Family,
        range: &Range,
        direction: Direction,
        visit: &mut dyn FnMut(&Bytes, &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        let snapshot = self.database.snapshot();
        scan(&snapshot, keyspace(&self.keyspaces, family), range, direction, visit)
    }
}

impl Engine for FjallEngine {
    fn write(&self, batch: Batch) -> Result<(), EngineError> {
        self.poison.check()?;
        self.poison.guard(self.commit(batch))
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.poison.check()?;
        let outcome = self
            .database
            .persist(PersistMode::SyncAll)
            .map_err(|error| engine_error("sync the journal", error));
        self.poison.guard(outcome)
    }

    fn view(&self) -> Result<Box<dyn View>, EngineError> {
        Ok(Box::new(FjallView::new(self.database.snapshot(), self.keyspaces.clone())))
    }

    fn stats(&self) -> Stats {
        Stats {
            name: "fjall",
            // A poisoned journal has no size to tell; the number is an estimate anyway.
            disk_bytes: self.database.disk_space().unwrap_or_default(),
            memory_bytes: self.database.write_buffer_size() + self.database.cache_capacity(),
        }
    }
}
