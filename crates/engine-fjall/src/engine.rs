//! The engine: fjall behind the contract of `kontiki-engine`.
//!
//! One fjall database per store, one keyspace per family. A batch is one atomic fjall batch whose
//! journal record is handed to the operating system before it returns; `sync` makes the journal
//! durable beside the writers, not in their way. The first failed write or sync closes the latch
//! for good.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode};
use kontiki_engine::{
    Batch, Direction, Engine, Error as EngineError, Family, Op, Poison, Range, Read, Stats, View,
};

use crate::error::{Error, engine_error, open_error};
use crate::journal::{self, Journal};
use crate::mark::{MARK_KEY, MARK_KEYSPACE, Mark, MarkFile, mark_value};
use crate::opening::{self, Opened};
use crate::options;
use crate::view::{FjallView, Keyspaces, get, keyspace, scan};

/// An engine on a directory, through fjall.
pub struct FjallEngine {
    database: Database,
    keyspaces: Keyspaces,
    /// Batches handed to fjall so far: a sync without new ones has nothing to do.
    write_count: AtomicU64,
    sync: Mutex<SyncState>,
    poison: Poison,
    directory: PathBuf,
}

/// What the one sync at a time works with.
struct SyncState {
    mark_keyspace: Keyspace,
    marks: MarkFile,
    /// The number of the newest mark.
    mark_number: u64,
    /// `write_count` that the newest mark covers; none yet in this life of the engine.
    synced_count: Option<u64>,
    /// The newest journal, open: the file stays good while fjall moves on to the next.
    journal: Option<(Journal, File)>,
}

impl FjallEngine {
    /// Opens a directory; creates it when there is none.
    ///
    /// # Errors
    ///
    /// See [`Error`]: each case says what to do.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let fail = |error| open_error(directory, error);
        let Opened { database, marks, mark_number } = opening::open(directory)?;
        let open = |family: Family| {
            database.keyspace(family.name(), || options::keyspace(family)).map_err(fail)
        };
        let keyspaces = [
            open(Family::Default)?,
            open(Family::Lock)?,
            open(Family::Write)?,
            open(Family::Meta)?,
        ];
        let mark_keyspace =
            database.keyspace(MARK_KEYSPACE, options::mark_keyspace).map_err(fail)?;
        let sync =
            SyncState { mark_keyspace, marks, mark_number, synced_count: None, journal: None };
        Ok(Self {
            database,
            keyspaces,
            write_count: AtomicU64::new(0),
            sync: Mutex::new(sync),
            poison: Poison::default(),
            directory: directory.to_path_buf(),
        })
    }

    /// The directory this engine lives in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Moves all rows from memory to tables and waits for it: a checkpoint before a long rest, and
    /// how tests get tables. Rows written meanwhile may stay in memory.
    ///
    /// # Errors
    ///
    /// Whatever keeps a table from being written; the engine is poisoned then.
    pub fn flush_to_tables(&self) -> Result<(), EngineError> {
        self.poison.check()?;
        for keyspace in &self.keyspaces {
            let outcome = keyspace
                .rotate_memtable_and_wait()
                .map_err(|error| engine_error("flush rows to tables", error));
            self.poison.guard(outcome)?;
        }
        Ok(())
    }

    fn commit(&self, batch: &Batch) -> Result<(), EngineError> {
        let mut rows = OwnedWriteBatch::with_capacity(self.database.clone(), batch.len())
            // Handed to the operating system at once: it survives the death of this process.
            .durability(Some(PersistMode::Buffer));
        for op in batch.ops() {
            // Copied: a row stays in memory until its family is flushed, and a slice would keep
            // the whole network buffer it was cut from. It costs 0.1 µs a row (measured).
            match op {
                Op::Put { family, key, value } => {
                    rows.insert(keyspace(&self.keyspaces, *family), &key[..], &value[..]);
                }
                Op::Delete { family, key } => {
                    rows.remove(keyspace(&self.keyspaces, *family), &key[..]);
                }
            }
        }
        let outcome = rows.commit().map_err(|error| engine_error("write a batch", error));
        // Counted after the commit: a sync that reads the old count has not promised this batch.
        self.write_count.fetch_add(1, Ordering::Release);
        outcome
    }

    /// Makes the journal durable up to now, and then says so in the mark file.
    ///
    /// fjall's own `persist` holds up every writer while the disk works. A sync through a second
    /// handle of the same file does not: all rows are with the operating system already, and
    /// fjall itself syncs a journal before it starts the next one.
    fn sync_journal(&self, state: &mut SyncState) -> Result<(), EngineError> {
        let write_count = self.write_count.load(Ordering::Acquire);
        if Some(write_count) == state.synced_count {
            return Ok(());
        }
        assert!(
            state.synced_count.is_none_or(|synced| synced < write_count),
            "synced {:?} batches of {write_count}",
            state.synced_count
        );
        let number = state.mark_number + 1;
        let journal_id = self.write_mark(state, number)?;
        let io_error = |error: io::Error| EngineError::backend("sync the journal", error);
        let Some((_, file)) = &state.journal else {
            unreachable!("the mark was just written to this journal")
        };
        file.sync_data().map_err(io_error)?;
        state.marks.write(Mark { number, journal_id }).map_err(io_error)?;
        state.mark_number = number;
        state.synced_count = Some(write_count);
        Ok(())
    }

    /// Writes the mark row and returns the journal it is in for certain.
    fn write_mark(&self, state: &mut SyncState, number: u64) -> Result<u64, EngineError> {
        for _ in 0..MARK_ATTEMPTS {
            let before = self.newest_journal(state)?;
            let mut row = OwnedWriteBatch::with_capacity(self.database.clone(), 1)
                .durability(Some(PersistMode::Buffer));
            row.insert(&state.mark_keyspace, MARK_KEY, &mark_value(number)[..]);
            row.commit().map_err(|error| engine_error("write a sync mark", error))?;
            // fjall may have started a new journal meanwhile; then nobody knows which has the row.
            if self.newest_journal(state)? == before {
                return Ok(before);
            }
        }
        Err(EngineError::backend("write a sync mark", "the journal changes faster than it is read"))
    }

    /// Opens the newest journal, if it is not open already, and returns its id.
    fn newest_journal(&self, state: &mut SyncState) -> Result<u64, EngineError> {
        let io_error = |error: io::Error| EngineError::backend("find the journal", error);
        for _ in 0..MARK_ATTEMPTS {
            let journals = journal::list(&self.directory).map_err(io_error)?;
            let Some(newest) = journals.into_iter().next_back() else {
                return Err(io_error(ErrorKind::NotFound.into()));
            };
            if let Some((open, _)) = &state.journal
                && *open == newest
            {
                return Ok(newest.id);
            }
            match File::open(&newest.path) {
                Ok(file) => {
                    let id = newest.id;
                    state.journal = Some((newest, file));
                    return Ok(id);
                }
                // Sealed, flushed and removed between the two looks: there is a newer one.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(io_error(error)),
            }
        }
        Err(io_error(ErrorKind::NotFound.into()))
    }
}

/// Looks at the journal directory before a sync gives up: fjall starts a journal every 64 MB, so
/// a second look is rare and a third one is never seen.
const MARK_ATTEMPTS: usize = 16;

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
        self.poison.guard(self.commit(&batch))
    }

    fn sync(&self) -> Result<(), EngineError> {
        let mut state = self.sync.lock().expect("a panic in a sync is not survivable");
        // Asked with the lock held, so that a sync that waited behind a failed one fails too.
        self.poison.check()?;
        let outcome = self.sync_journal(&mut state);
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
