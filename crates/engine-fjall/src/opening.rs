//! Opening a directory: everything that is checked around the tree's own recovery.
//!
//! 1. `lock`: one engine to a directory.
//! 2. `manifest`: the file `current` names the manifest of the newest sync and its checksum, which
//!    the tree itself does not look at. Where there is none, the directory must be empty, or hold
//!    no more than a creation that was cut short.
//! 3. `tree`: recovery. It panics on some kinds of damage; that is reported as damage.
//!
//! A sync ends with an atomic exchange of `current`, so a directory is always as some sync left
//! it: tables that no manifest names were being written, and are removed.
//!
//! ```text
//! current    manifest number u64 | its xxh3 checksum u128 | 0u8      integers are little-endian
//! v<number>  the manifest: which tables form which level
//! tables/    the tables, by number
//! lock       held while an engine is open
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsm_tree::{AnyTree, Cache, SequenceNumberCounter};
use xxhash_rust::xxh3::xxh3_128;

use crate::compactor::Stop;
use crate::error::{Error, open_error};
use crate::options;

const LOCK_FILE: &str = "lock";
const CURRENT_FILE: &str = "current";
const CURRENT_BYTES: usize = 8 + 16 + 1;
const FIRST_MANIFEST: &str = "v0";
const TABLES_DIRECTORY: &str = "tables";
/// What a half written `current` is called.
const TEMPORARY_PREFIX: &str = ".tmp";

/// What an opening found.
pub(crate) struct Opened {
    pub(crate) tree: AnyTree,
    pub(crate) sequence: SequenceNumberCounter,
    /// Ends the merges of this tree.
    pub(crate) stop: Stop,
    pub(crate) lock: File,
}

/// Opens or creates the tree in a directory.
pub(crate) fn open(directory: &Path, cache: Arc<Cache>) -> Result<Opened, Error> {
    let io_error = |source| Error::Io { directory: directory.to_path_buf(), source };
    fs::create_dir_all(directory).map_err(io_error)?;
    let lock = lock(directory)?;
    match fs::read(directory.join(CURRENT_FILE)) {
        Ok(current) => manifest(directory, &current)?,
        Err(error) if error.kind() == ErrorKind::NotFound => nothing_yet(directory)?,
        Err(error) => return Err(io_error(error)),
    }
    let (sequence, stop) = (SequenceNumberCounter::default(), Stop::default());
    let tree = tree(directory, cache, &sequence, &stop)?;
    Ok(Opened { tree, sequence, stop, lock })
}

/// Where the tables of a directory are.
pub(crate) fn tables(directory: &Path) -> PathBuf {
    directory.join(TABLES_DIRECTORY)
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

/// Holds the newest manifest against the checksum it was written with.
fn manifest(directory: &Path, current: &[u8]) -> Result<(), Error> {
    let damaged = |what: String| Error::Damaged { directory: directory.to_path_buf(), what };
    let Some((number, checksum)) = parse_current(current) else {
        return Err(damaged(format!("the file {CURRENT_FILE} is not whole")));
    };
    let path = directory.join(format!("v{number}"));
    let bytes = fs::read(&path)
        .map_err(|error| damaged(format!("manifest {number} cannot be read: {error}")))?;
    if xxh3_128(&bytes) != checksum {
        return Err(damaged(format!("manifest {number} does not match its checksum")));
    }
    Ok(())
}

fn parse_current(bytes: &[u8]) -> Option<(u64, u128)> {
    let bytes: &[u8; CURRENT_BYTES] = bytes.try_into().ok()?;
    let (number, checksum) = bytes.split_at(8);
    let checksum = checksum.get(..16)?;
    Some((
        u64::from_le_bytes(number.try_into().ok()?),
        u128::from_le_bytes(checksum.try_into().ok()?),
    ))
}

/// Refuses to create a tree over anything but a creation that was cut short.
fn nothing_yet(directory: &Path) -> Result<(), Error> {
    let io_error = |source| Error::Io { directory: directory.to_path_buf(), source };
    for entry in fs::read_dir(directory).map_err(io_error)? {
        let entry = entry.map_err(io_error)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_leftover = match &*name {
            LOCK_FILE | FIRST_MANIFEST => true,
            TABLES_DIRECTORY => fs::read_dir(entry.path()).map_err(io_error)?.next().is_none(),
            other => other.starts_with(TEMPORARY_PREFIX),
        };
        if !is_leftover {
            return Err(Error::Damaged {
                directory: directory.to_path_buf(),
                what: format!("it holds {name} but no file {CURRENT_FILE}"),
            });
        }
    }
    Ok(())
}

fn tree(
    directory: &Path,
    cache: Arc<Cache>,
    sequence: &SequenceNumberCounter,
    stop: &Stop,
) -> Result<AnyTree, Error> {
    let config = options::tree(directory, cache, sequence, Arc::new(stop.clone()));
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(opened) => opened.map_err(|error| open_error(directory, error)),
        Err(_) => Err(Error::Damaged {
            directory: directory.to_path_buf(),
            what: "the storage library panicked while opening it".into(),
        }),
    }
}
