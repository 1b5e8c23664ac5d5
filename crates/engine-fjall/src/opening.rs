//! Opening a directory: everything that is checked before and around fjall's own recovery.
//!
//! 1. `leftovers`: a creation that was cut short is cleared away, so that it can start again.
//! 2. `journals`: sealed journals must be whole; the newest one is cut behind its last good batch,
//!    which is what a power cut leaves; both against the sync mark (`mark.rs`).
//! 3. `database`: fjall opens. It panics on some kinds of damage; that is reported as damage.
//!
//! Steps 1 and 2 hold the lock file that fjall itself uses, so they can never cut a journal that
//! another process is writing.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fjall::Database;

use crate::error::{Error, open_error};
use crate::journal;
use crate::mark::{MARK_FILE, Mark, MarkFile};
use crate::options;

/// Names that fjall makes in a directory it owns.
const VERSION_FILE: &str = "version";
const VERSION_BYTES: u64 = 4;
const LOCK_FILE: &str = "lock";
const KEYSPACES_DIRECTORY: &str = "keyspaces";
const FIRST_JOURNAL: &str = "0.jnl";

/// What an opening found.
pub(crate) struct Opened {
    pub(crate) database: Database,
    pub(crate) marks: MarkFile,
    /// The number the next sync must exceed.
    pub(crate) mark_number: u64,
}

/// Opens or creates the database in a directory.
pub(crate) fn open(directory: &Path) -> Result<Opened, Error> {
    let io_error = |source| Error::Io { directory: directory.to_path_buf(), source };
    fs::create_dir_all(directory).map_err(io_error)?;
    let lock = lock(directory)?;
    leftovers(directory)?;
    let marks = MarkFile::open(directory).map_err(io_error)?;
    let mark = marks.read().map_err(io_error)?;
    let mark_number = journals(directory, mark)?;
    // fjall takes the same lock; it must be free for that. Whoever comes between does no harm:
    // the steps above are the same for everybody, and fjall lets in only one.
    lock.unlock().map_err(io_error)?;
    let database = database(directory)?;
    Ok(Opened { database, marks, mark_number })
}

fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join(LOCK_FILE);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = file.map_err(|source| Error::Io { directory: directory.to_path_buf(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { directory: directory.to_path_buf() }),
        Err(TryLockError::Error(source)) => {
            Err(Error::Io { directory: directory.to_path_buf(), source })
        }
    }
}

/// Makes way for a new creation if the last one never got to its version file, which fjall writes
/// last; refuses a directory that holds anything else.
fn leftovers(directory: &Path) -> Result<(), Error> {
    let io_error = |source| Error::Io { directory: directory.to_path_buf(), source };
    let version = directory.join(VERSION_FILE);
    if fs::metadata(&version).is_ok_and(|version| version.len() >= VERSION_BYTES) {
        return Ok(());
    }
    for entry in fs::read_dir(directory).map_err(io_error)? {
        let name = entry.map_err(io_error)?.file_name();
        let is_ours = [VERSION_FILE, LOCK_FILE, KEYSPACES_DIRECTORY, FIRST_JOURNAL, MARK_FILE]
            .iter()
            .any(|known| name == *known);
        if !is_ours {
            return Err(Error::Damaged {
                directory: directory.to_path_buf(),
                what: format!("it holds {} but no version file", name.display()),
            });
        }
    }
    let mark = MarkFile::open(directory).and_then(|marks| marks.read()).map_err(io_error)?;
    if mark != Mark::default() {
        return Err(Error::Damaged {
            directory: directory.to_path_buf(),
            what: "it was in use, but its version file is gone".into(),
        });
    }
    for name in [VERSION_FILE, FIRST_JOURNAL] {
        ignore_absent(fs::remove_file(directory.join(name))).map_err(io_error)?;
    }
    ignore_absent(fs::remove_dir_all(directory.join(KEYSPACES_DIRECTORY))).map_err(io_error)
}

fn ignore_absent(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Holds the journals against the last sync and cuts the torn end of the newest. Returns the
/// highest mark number in use.
fn journals(directory: &Path, mark: Mark) -> Result<u64, Error> {
    let io_error = |source| Error::Io { directory: directory.to_path_buf(), source };
    let damaged = |what| Error::Damaged { directory: directory.to_path_buf(), what };
    let mut number = mark.number;
    let journals = journal::list(directory).map_err(io_error)?;
    let Some((newest, sealed)) = journals.split_last() else {
        if mark == Mark::default() {
            return Ok(number);
        }
        return Err(damaged("its journal is gone".into()));
    };
    let mut last_sequence = None;
    for journal in sealed {
        let content = journal::read(&journal.path, last_sequence).map_err(io_error)?;
        last_sequence = content.last_sequence;
        if !content.is_clean {
            let (id, at) = (journal.id, content.good_bytes);
            return Err(damaged(format!("journal {id} is broken at byte {at}")));
        }
        number = number.max(content.mark.unwrap_or_default());
    }
    let content = journal::read(&newest.path, last_sequence).map_err(io_error)?;
    let is_kept = match newest.id.cmp(&mark.journal_id) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => content.mark.unwrap_or_default() >= mark.number,
        // What was synced is in sealed journals, whole as just seen, or long in tables.
        std::cmp::Ordering::Greater => true,
    };
    if !is_kept {
        let (id, at) = (newest.id, content.good_bytes);
        return Err(damaged(format!("journal {id} ends at byte {at}, before its last sync")));
    }
    if !content.is_clean {
        // The batches behind were written after the last sync, and nobody was promised them.
        let file = OpenOptions::new().write(true).open(&newest.path).map_err(io_error)?;
        file.set_len(content.good_bytes).map_err(io_error)?;
        file.sync_all().map_err(io_error)?;
    }
    Ok(number.max(content.mark.unwrap_or_default()))
}

fn database(directory: &Path) -> Result<Database, Error> {
    let outcome = catch_unwind(AssertUnwindSafe(|| options::database(directory).open()));
    match outcome {
        Ok(opened) => opened.map_err(|error| open_error(directory, error)),
        Err(_) => Err(Error::Damaged {
            directory: directory.to_path_buf(),
            what: "the storage library gave up on its content".into(),
        }),
    }
}
