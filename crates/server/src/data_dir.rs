//! The directory of a store: who it belongs to, in which format, and that nobody else uses it.
//!
//! ```text
//! DIR/IDENT      text: format version, cluster id, store id, a number of its own, and whether it
//!                takes the place of a lost one; never changed
//! DIR/STARTS     text: how often a process has started on it
//! DIR/PEERS      text: in which life each other store was last seen (`known_stores.rs`)
//! DIR/LOCK       held while the store runs (flock): a second process is refused
//! DIR/log/       segments of the shared log
//! DIR/engine/    the storage engine
//! DIR/spool/     snapshots on their way in
//! ```
//!
//! A directory of another cluster, of another store or of a newer format is refused before anything
//! in it is touched.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use kontiki_types::{ClusterId, StoreId};
use rustix::fs::{FlockOperation, flock};

use crate::random::random_u64;

/// The format this release writes. Raised when a directory of it could not be read by an older one.
const FORMAT: u32 = 1;
const STARTS: &str = "STARTS";
/// The bit of [`Incarnation::rejoined`] beside the count of starts, in the handshake.
const REJOINED: u32 = 1 << 31;

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process uses it.
    #[error("{dir} is in use by another process: stop it, or give another --data-dir")]
    InUse {
        /// Which.
        dir: String,
    },
    /// It belongs to another cluster or store.
    #[error(
        "{dir} belongs to store {found_store} of cluster {found_cluster}, not to store \
         {store} of cluster {cluster}: give its own --store-id and --cluster-id, or another \
         --data-dir"
    )]
    OtherOwner {
        /// Which.
        dir: String,
        /// Whose it is.
        found_cluster: u64,
        /// Whose it is.
        found_store: u64,
        /// Who asked.
        cluster: u64,
        /// Who asked.
        store: u64,
    },
    /// It was written by a newer release.
    #[error("{dir} has format {found}, this release reads up to {FORMAT}: use the newer release")]
    Newer {
        /// Which.
        dir: String,
        /// Its format.
        found: u32,
    },
    /// `IDENT` is not what it should be.
    #[error("{dir}/IDENT is damaged: restore it from a backup, or replace this store")]
    Damaged {
        /// Which.
        dir: String,
    },
    /// It has files but no `IDENT`.
    #[error("{dir} is not empty and not a data directory of kontiki: give another --data-dir")]
    NotOurs {
        /// Which.
        dir: String,
    },
    /// Only an empty directory can take the place of a lost one.
    #[error(
        "{dir} is a data directory of a store already: start it, or give the path of the one that \
         was lost"
    )]
    InPlace {
        /// Which.
        dir: String,
    },
    /// The file system refused.
    #[error("{dir}: {source}")]
    Io {
        /// Which.
        dir: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Which life of which directory a store is in: by this the others know a store that lost its data,
/// or that came back with an old copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Incarnation {
    /// Drawn at random when the directory was made.
    pub directory: u32,
    /// How often a process has started on it.
    pub start: u32,
    /// It took the place of a lost one ([`prepare_rejoin`]): its replicas never speak under the
    /// ids of those that were lost.
    pub rejoined: bool,
}

impl Incarnation {
    /// As one number, for the handshake.
    pub(crate) fn to_u64(self) -> u64 {
        let start = self.start | if self.rejoined { REJOINED } else { 0 };
        u64::from(self.directory) << 32 | u64::from(start)
    }

    /// The reverse of [`Self::to_u64`].
    pub(crate) fn from_u64(number: u64) -> Self {
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).expect("masked");
        let (start, rejoined) = (half(number) & !REJOINED, half(number) & REJOINED != 0);
        Self { directory: half(number >> 32), start, rejoined }
    }
}

/// A directory that belongs to this store and is locked until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// It was made just now.
    pub fresh: bool,
    /// This life of it.
    pub incarnation: Incarnation,
    _lock: File,
}

impl DataDir {
    /// Open or make the directory.
    ///
    /// # Errors
    /// See [`Error`]; nothing was changed then, except that the directory itself may exist.
    pub fn open(path: &Path, cluster: ClusterId, store: StoreId) -> Result<Self, Error> {
        let dir = path.display().to_string();
        let io = |source| Error::Io { dir: dir.clone(), source };
        std::fs::create_dir_all(path).map_err(io)?;
        let ident = path.join("IDENT");
        let known = ident.exists();
        if !known && has_foreign_files(path).map_err(io)? {
            return Err(Error::NotOurs { dir });
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("LOCK"))
            .map_err(io)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(Error::InUse { dir });
        }
        if !known {
            write_ident(path, cluster, store, false).map_err(io)?;
        }
        let text = std::fs::read_to_string(&ident).map_err(io)?;
        let (directory, rejoined) = check_ident(&dir, &text, cluster, store)?;
        let start = count_start(path).map_err(io)?;
        let incarnation = Incarnation { directory, start, rejoined };
        Ok(Self { path: path.to_owned(), fresh: !known, incarnation, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Make an empty directory that takes the place of one this store lost. What the store promised on
/// that is forgotten, so it comes back as somebody else: every replica it holds is a new one, which
/// the others let in, fill and give a vote.
///
/// # Errors
/// The directory is not empty, or cannot be made.
pub fn prepare_rejoin(path: &Path, cluster: ClusterId, store: StoreId) -> Result<(), Error> {
    let dir = path.display().to_string();
    let io = |source| Error::Io { dir: dir.clone(), source };
    std::fs::create_dir_all(path).map_err(io)?;
    if path.join("IDENT").exists() {
        return Err(Error::InPlace { dir });
    }
    if has_foreign_files(path).map_err(io)? {
        return Err(Error::NotOurs { dir });
    }
    write_ident(path, cluster, store, true).map_err(io)
}

/// Anything beside a lock file or our half-written first file.
fn has_foreign_files(path: &Path) -> std::io::Result<bool> {
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        if name != "LOCK" && name != "IDENT.new" && name != "log.txt" {
            return Ok(true);
        }
    }
    Ok(false)
}

fn write_ident(
    path: &Path,
    cluster: ClusterId,
    store: StoreId,
    rejoined: bool,
) -> std::io::Result<()> {
    let directory = Incarnation::from_u64(random_u64()?).directory;
    let (cluster, store) = (cluster.0, store.0);
    let mut text =
        format!("format {FORMAT}\ncluster {cluster}\nstore {store}\ndirectory {directory}\n");
    if rejoined {
        text.push_str("rejoined 1\n");
    }
    replace_file(path, "IDENT", &text)
}

/// Counts one more start, durably: nothing is said to anyone under a number used before.
fn count_start(path: &Path) -> std::io::Result<u32> {
    let before = match std::fs::read_to_string(path.join(STARTS)) {
        Ok(text) => text.trim().parse::<u32>().map_err(std::io::Error::other)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let start = before.saturating_add(1).min(REJOINED - 1);
    replace_file(path, STARTS, &format!("{start}\n"))?;
    Ok(start)
}

/// Writes a small file anew: after a crash it is the old one or the new one, whole.
pub(crate) fn replace_file(dir: &Path, name: &str, text: &str) -> std::io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// Answers the number of the directory, and whether it took the place of a lost one.
fn check_ident(
    dir: &str,
    text: &str,
    cluster: ClusterId,
    store: StoreId,
) -> Result<(u32, bool), Error> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<u64>().ok()
    };
    let dir = dir.to_owned();
    let Some(format) = field("format ") else { return Err(Error::Damaged { dir }) };
    if format > u64::from(FORMAT) {
        return Err(Error::Newer { dir, found: u32::try_from(format).unwrap_or(u32::MAX) });
    }
    let (Some(found_cluster), Some(found_store)) = (field("cluster "), field("store ")) else {
        return Err(Error::Damaged { dir });
    };
    if (found_cluster, found_store) != (cluster.0, store.0) {
        let (cluster, store) = (cluster.0, store.0);
        return Err(Error::OtherOwner { dir, found_cluster, found_store, cluster, store });
    }
    // Directories made before they had a number share this one.
    let directory = field("directory ").and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    Ok((directory, field("rejoined ") == Some(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: (ClusterId, StoreId) = (ClusterId(7), StoreId(2));

    #[test]
    fn a_directory_remembers_its_owner() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(DataDir::open(dir.path(), MINE.0, MINE.1).expect("made").fresh);
        assert!(!DataDir::open(dir.path(), MINE.0, MINE.1).expect("opened").fresh);
        let third = DataDir::open(dir.path(), MINE.0, MINE.1).expect("opened").incarnation;
        let fourth = DataDir::open(dir.path(), MINE.0, MINE.1).expect("opened").incarnation;
        assert_eq!((third.start, fourth.start), (3, 4));
        assert_eq!(third.directory, fourth.directory);
        assert_eq!(Incarnation::from_u64(fourth.to_u64()), fourth);
        let other = tempfile::tempdir().expect("a directory");
        let other = DataDir::open(other.path(), MINE.0, MINE.1).expect("made").incarnation;
        assert_ne!(other.directory, fourth.directory);
        for (cluster, store) in [(ClusterId(8), MINE.1), (MINE.0, StoreId(1))] {
            let error = DataDir::open(dir.path(), cluster, store).expect_err("refused");
            assert!(matches!(error, Error::OtherOwner { .. }), "{error}");
        }
    }

    #[test]
    fn a_directory_in_place_of_a_lost_one_says_so_for_ever() {
        let dir = tempfile::tempdir().expect("a directory");
        prepare_rejoin(dir.path(), MINE.0, MINE.1).expect("empty");
        let twice = prepare_rejoin(dir.path(), MINE.0, MINE.1).expect_err("refused");
        assert!(matches!(twice, Error::InPlace { .. }), "{twice}");
        for start in 1..3 {
            let opened = DataDir::open(dir.path(), MINE.0, MINE.1).expect("opened").incarnation;
            assert_eq!((opened.rejoined, opened.start), (true, start));
            assert_eq!(Incarnation::from_u64(opened.to_u64()), opened);
        }
    }

    #[test]
    fn a_second_user_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = DataDir::open(dir.path(), MINE.0, MINE.1).expect("made");
        let error = DataDir::open(dir.path(), MINE.0, MINE.1).expect_err("refused");
        assert!(matches!(error, Error::InUse { .. }), "{error}");
        drop(first);
        DataDir::open(dir.path(), MINE.0, MINE.1).expect("free again");
    }

    #[test]
    fn newer_damaged_and_foreign_directories_are_refused_unchanged() {
        let dir = tempfile::tempdir().expect("a directory");
        let ident = dir.path().join("IDENT");
        for text in ["format 2\ncluster 7\nstore 2\nnew thing\n", "", "format x\n", "format 1\n"] {
            std::fs::write(&ident, text).expect("written");
            let error = DataDir::open(dir.path(), MINE.0, MINE.1).expect_err("refused");
            assert!(matches!(error, Error::Newer { .. } | Error::Damaged { .. }), "{error}");
            assert_eq!(std::fs::read_to_string(&ident).expect("read"), text);
        }
        let other = tempfile::tempdir().expect("a directory");
        std::fs::write(other.path().join("thesis.tex"), "mine").expect("written");
        let error = DataDir::open(other.path(), MINE.0, MINE.1).expect_err("refused");
        assert!(matches!(error, Error::NotOurs { .. }), "{error}");
        assert!(!other.path().join("LOCK").exists());
    }
}
