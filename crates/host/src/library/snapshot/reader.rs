//! Reads one snapshot; what is read to its end is what was written, or an error.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use kontiki_codec::crc;
use kontiki_codec::snapshot_manifest::FileEntry;
use kontiki_types::{Membership, Position};

use super::files::{Stored, damaged};

/// A whole snapshot.
#[derive(Debug)]
pub struct SnapshotReader(Arc<Stored>);

impl SnapshotReader {
    pub(super) fn new(stored: Arc<Stored>) -> Self {
        Self(stored)
    }

    /// The last entry whose effects the snapshot holds.
    pub fn position(&self) -> Position {
        self.0.manifest.meta.position
    }

    /// Who belonged to the group then.
    pub fn membership(&self) -> &Membership {
        &self.0.manifest.meta.membership
    }

    /// Its files, in the order they were written.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.0.manifest.files.iter().map(|file| file.name.as_str())
    }

    /// Open a file. The last read, which finds the end, compares length and checksum.
    ///
    /// # Errors
    /// There is none of this name, or the disk refuses.
    pub fn open(&self, name: &str) -> io::Result<SnapshotRead> {
        let entry = self.0.manifest.files.iter().find(|file| file.name == name);
        let entry = entry.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("{name} is not in the snapshot"))
        })?;
        SnapshotRead::open(&self.0, entry)
    }

    /// All of a file, checked.
    ///
    /// # Errors
    /// As [`SnapshotReader::open`], and when it is damaged.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        self.open(name)?.read_to_end(&mut data)?;
        Ok(data)
    }
}

/// A file of a snapshot.
#[derive(Debug)]
pub struct SnapshotRead {
    file: BufReader<File>,
    stored: Arc<Stored>,
    expected: FileEntry,
    crc: u32,
    bytes: u64,
}

impl SnapshotRead {
    pub(super) fn open(stored: &Arc<Stored>, entry: &FileEntry) -> io::Result<Self> {
        let file = BufReader::new(File::open(stored.path.join(&entry.name))?);
        let crc = crc::salted(crc::SALT_FILE, b"");
        Ok(Self { file, stored: Arc::clone(stored), expected: entry.clone(), crc, bytes: 0 })
    }

    /// How long it is.
    #[expect(clippy::len_without_is_empty, reason = "a file, not a collection")]
    pub fn len(&self) -> u64 {
        self.expected.bytes
    }
}

impl Read for SnapshotRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            let found = (self.bytes, self.crc);
            if found != (self.expected.bytes, self.expected.crc) {
                let path = self.stored.path.join(&self.expected.name);
                return Err(damaged(&path, "length or checksum does not match the manifest"));
            }
        }
        self.crc = crc::append(self.crc, buffer.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }
}
