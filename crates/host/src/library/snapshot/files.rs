//! The snapshots of one group on disk: the newest one, and the way a new one takes its place.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use kontiki_codec::snapshot_manifest::{self, Manifest};
use kontiki_types::{Index, SnapshotMeta};

use super::throttle::Throttle;
use super::{SnapshotReader, SnapshotWriter};

pub(crate) const MANIFEST: &str = "manifest";
const TEMPORARY: &str = "tmp-";

/// See the module.
pub(crate) struct SnapshotFiles {
    dir: PathBuf,
    newest: Mutex<Option<Arc<Stored>>>,
    /// Number of the next temporary directory.
    next: AtomicU64,
}

/// A whole snapshot on disk.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) path: PathBuf,
    pub(crate) manifest: Manifest,
}

impl Stored {
    pub(crate) fn index(&self) -> Index {
        self.manifest.meta.position.index
    }

    pub(crate) fn reader(self: &Arc<Self>) -> SnapshotReader {
        SnapshotReader::new(Arc::clone(self))
    }
}

impl SnapshotFiles {
    /// What this directory holds; it need not exist yet. Leftovers are removed.
    ///
    /// # Errors
    /// The disk refuses, or the newest snapshot is damaged: an older one may not do, the log below
    /// the newest is gone.
    pub(crate) fn open(dir: PathBuf) -> io::Result<Self> {
        let mut places = Vec::new();
        match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(entries) => {
                for entry in entries {
                    let entry = entry?;
                    let name = entry.file_name().to_string_lossy().into_owned();
                    match place(&name) {
                        Some(place) => places.push((place, entry.path())),
                        None if name.starts_with(TEMPORARY) => fs::remove_dir_all(entry.path())?,
                        None => {}
                    }
                }
            }
        }
        places.sort();
        let newest = places.pop().map(|(_, path)| read(path)).transpose()?;
        for (_, old) in places {
            fs::remove_dir_all(old)?;
        }
        let newest = Mutex::new(newest.map(Arc::new));
        Ok(Self { dir, newest, next: AtomicU64::new(0) })
    }

    /// The newest whole snapshot.
    pub(crate) fn newest(&self) -> Option<Arc<Stored>> {
        self.lock().clone()
    }

    /// Begin a new one.
    pub(crate) fn begin(
        &self,
        meta: SnapshotMeta,
        throttle: Option<Arc<Throttle>>,
    ) -> io::Result<SnapshotWriter> {
        if !self.dir.exists() {
            fs::create_dir_all(&self.dir)?;
            if let Some(parent) = self.dir.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{TEMPORARY}{number}"));
        fs::create_dir(&path)?;
        Ok(SnapshotWriter::new(path, meta, throttle))
    }

    /// Make it durable and the newest one, unless a newer one has come meanwhile. Returns the
    /// newest.
    pub(crate) fn commit(&self, writer: SnapshotWriter) -> io::Result<Arc<Stored>> {
        let (temporary, manifest) = writer.finish()?;
        let position = manifest.meta.position;
        let name = format!("{:020}-{}", position.index.0, position.term.0);
        let path = self.dir.join(name);
        let mut newest = self.lock();
        if let Some(newer) = newest.as_ref().filter(|newer| newer.index() >= position.index) {
            fs::remove_dir_all(&temporary)?;
            return Ok(Arc::clone(newer));
        }
        fs::rename(&temporary, &path)?;
        File::open(&self.dir)?.sync_all()?;
        let stored = Arc::new(Stored { path, manifest });
        let old = newest.replace(Arc::clone(&stored));
        drop(newest);
        if let Some(old) = old
            && let Err(error) = fs::remove_dir_all(&old.path)
        {
            // The next start removes it.
            tracing::warn!(%error, path = %old.path.display(), "an old snapshot stays");
        }
        Ok(stored)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Stored>>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Index and term of a snapshot's directory.
fn place(name: &str) -> Option<(u64, u64)> {
    let (index, term) = name.split_once('-')?;
    Some((index.parse().ok()?, term.parse().ok()?))
}

fn read(path: PathBuf) -> io::Result<Stored> {
    let bytes = fs::read(path.join(MANIFEST))?;
    let manifest = snapshot_manifest::from_bytes(Bytes::from(bytes))
        .map_err(|error| damaged(&path, &error.to_string()))?;
    Ok(Stored { path, manifest })
}

pub(crate) fn damaged(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use kontiki_types::{Membership, Position, Term};

    use super::*;

    fn meta(index: u64) -> SnapshotMeta {
        let position = Position::new(Term(1), Index(index));
        SnapshotMeta { position, membership: Membership::of_voters(1) }
    }

    fn save(files: &SnapshotFiles, index: u64, data: &[u8]) -> Arc<Stored> {
        let mut writer = files.begin(meta(index), None).expect("begun");
        let mut file = writer.file("data").expect("a file");
        file.write_all(data).expect("written");
        file.finish().expect("finished");
        files.commit(writer).expect("committed")
    }

    #[test]
    fn the_newest_is_found_again_and_the_rest_is_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = SnapshotFiles::open(dir.path().join("1")).expect("opened");
        assert!(files.newest().is_none());
        save(&files, 3, b"three");
        save(&files, 7, b"seven");
        assert_eq!(save(&files, 5, b"five").index(), Index(7), "an older one comes too late");
        // A crash while one is being written.
        std::mem::forget(files.begin(meta(9), None).expect("begun"));
        let files = SnapshotFiles::open(dir.path().join("1")).expect("opened");
        let stored = files.newest().expect("there");
        assert_eq!(stored.reader().read("data").expect("read"), b"seven");
        assert_eq!(fs::read_dir(dir.path().join("1")).expect("listed").count(), 1);
    }

    #[test]
    fn damage_is_seen() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = SnapshotFiles::open(dir.path().to_owned()).expect("opened");
        let stored = save(&files, 3, b"three");
        fs::write(stored.path.join("data"), b"thrEe").expect("written");
        stored.reader().read("data").expect_err("the checksum does not match");
        fs::write(stored.path.join("data"), b"thr").expect("written");
        stored.reader().read("data").expect_err("it is too short");
        fs::write(stored.path.join(MANIFEST), b"no").expect("written");
        assert!(SnapshotFiles::open(dir.path().to_owned()).is_err());
    }
}
