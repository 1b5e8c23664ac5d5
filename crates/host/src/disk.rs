//! The real disk under the log: a directory of files, written at offsets, synced by fdatasync.
//!
//! Implements `kontiki_log::Disk` and nothing else. What a sync means here is what the operating
//! system and the device make of it; an error of one is passed on and never tried again.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kontiki_log::Disk;
use rustix::fs::{FlockOperation, flock};

/// A directory that this process alone uses. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct RealDisk {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    /// The directory itself, for syncing its entries; holds the lock.
    handle: File,
}

impl RealDisk {
    /// Use this directory, made if missing, until the last handle is dropped.
    ///
    /// # Errors
    /// `WouldBlock` when another process (or another disk of this one) uses it; else whatever the
    /// operating system reports.
    pub fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let handle = File::open(dir)?;
        flock(&handle, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            // The lock does not tell which of the two.
            let reason = format!(
                "{} is in use by another process, or by a host of this one that was not shut down",
                dir.display()
            );
            let kind = io::Error::from(error).kind();
            io::Error::new(kind, reason)
        })?;
        Ok(Self { inner: Arc::new(Inner { dir: dir.to_owned(), handle }) })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.inner.dir.join(name)
    }
}

impl Disk for RealDisk {
    type File = RealFile;

    fn create(&self, name: &str) -> io::Result<RealFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        options.open(self.path(name)).map(RealFile)
    }

    fn open(&self, name: &str) -> io::Result<RealFile> {
        OpenOptions::new().read(true).write(true).open(self.path(name)).map(RealFile)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.inner.dir)? {
            // The log's own names are plain; a name that is no text is not one of them.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.inner.handle.sync_all()
    }
}

/// A file of a [`RealDisk`].
#[derive(Debug)]
pub struct RealFile(File);

impl kontiki_log::File for RealFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }
}

#[cfg(test)]
mod tests {
    use kontiki_log::File as _;

    use super::*;

    #[test]
    fn files_read_back_what_was_written_at_offsets() {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = RealDisk::open(dir.path()).expect("opened");
        let mut file = disk.create("a").expect("created");
        file.write_at(4, b"four").expect("written");
        file.sync().expect("synced");
        disk.rename("a", "b").expect("renamed");
        disk.sync_dir().expect("synced");
        let file = disk.open("b").expect("opened");
        let mut buffer = [9; 16];
        assert_eq!(file.read_at(0, &mut buffer).expect("read"), 8);
        assert_eq!(&buffer[..8], b"\0\0\0\0four");
        assert_eq!(disk.list().expect("listed"), ["b"]);
    }

    #[test]
    fn a_second_user_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = RealDisk::open(dir.path()).expect("opened");
        let error = RealDisk::open(dir.path()).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        RealDisk::open(dir.path()).expect("free again");
    }
}
