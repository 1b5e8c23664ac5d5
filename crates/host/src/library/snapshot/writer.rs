//! Writes one snapshot: any number of files, checksummed on the way.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use kontiki_codec::crc;
use kontiki_codec::snapshot_manifest::{self, FILES_MAX, FileEntry, Manifest, is_name};
use kontiki_types::{Position, SnapshotMeta};

use super::files::MANIFEST;
use super::throttle::Throttle;

/// A snapshot being written. Given up when it is dropped.
#[derive(Debug)]
pub struct SnapshotWriter {
    /// Emptied when the snapshot is whole.
    path: Option<PathBuf>,
    meta: SnapshotMeta,
    files: Vec<FileEntry>,
    /// Files begun, finished or not.
    begun: usize,
    throttle: Option<Arc<Throttle>>,
}

impl SnapshotWriter {
    pub(super) fn new(path: PathBuf, meta: SnapshotMeta, throttle: Option<Arc<Throttle>>) -> Self {
        Self { path: Some(path), meta, files: Vec::new(), begun: 0, throttle }
    }

    /// The last entry whose effects the snapshot holds.
    pub fn position(&self) -> Position {
        self.meta.position
    }

    /// Write a whole file at once.
    ///
    /// # Errors
    /// As [`SnapshotWriter::file`], and when the disk refuses.
    pub fn put(&mut self, name: &str, data: &[u8]) -> io::Result<()> {
        let mut file = self.file(name)?;
        file.write_all(data)?;
        file.finish()
    }

    /// Begin a file; end it with [`SnapshotFile::finish`].
    ///
    /// # Errors
    /// The name is not of letters, digits, `-`, `_` and `.`, or taken; there are 256 files already;
    /// the disk refuses.
    pub fn file(&mut self, name: &str) -> io::Result<SnapshotFile<'_>> {
        let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why.to_owned()));
        if !is_name(name) || name == MANIFEST {
            return refuse("not a name for a file of a snapshot");
        }
        if self.begun == FILES_MAX {
            return refuse("a snapshot has no more files than this");
        }
        let path = self.path.as_ref().expect("until finished").join(name);
        let file = File::create_new(path)?;
        self.begun += 1;
        let crc = crc::salted(crc::SALT_FILE, b"");
        let entry = FileEntry { name: name.to_owned(), bytes: 0, crc };
        Ok(SnapshotFile { writer: self, entry, out: BufWriter::new(file) })
    }

    /// Write the manifest and make everything durable, still under the temporary name.
    pub(super) fn finish(mut self) -> io::Result<(PathBuf, Manifest)> {
        if self.files.len() != self.begun {
            return Err(io::Error::other("a file of the snapshot was begun and not finished"));
        }
        let files = std::mem::take(&mut self.files);
        let manifest = Manifest { meta: self.meta.clone(), files };
        let path = self.path.clone().expect("until finished");
        let mut file = File::create_new(path.join(MANIFEST))?;
        file.write_all(&snapshot_manifest::to_bytes(&manifest))?;
        file.sync_all()?;
        File::open(&path)?.sync_all()?;
        self.path = None;
        Ok((path, manifest))
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // What stays is removed by the next start.
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// A file of a snapshot being written.
#[derive(Debug)]
pub struct SnapshotFile<'a> {
    writer: &'a mut SnapshotWriter,
    entry: FileEntry,
    out: BufWriter<File>,
}

impl SnapshotFile<'_> {
    /// The checksum of what was written so far.
    pub(super) fn crc(&self) -> u32 {
        self.entry.crc
    }

    /// Make it durable, as a part of the snapshot.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(self) -> io::Result<()> {
        let Self { writer, entry, out } = self;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        writer.files.push(entry);
        Ok(())
    }
}

impl Write for SnapshotFile<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if let Some(throttle) = &self.writer.throttle {
            throttle.take(data.len());
        }
        let count = self.out.write(data)?;
        let written = data.get(..count).unwrap_or(data);
        self.entry.crc = crc::append(self.entry.crc, written);
        self.entry.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
