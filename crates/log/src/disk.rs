//! What the log asks of a disk: a flat directory of files, written at offsets and synced by hand.
//!
//! `kontiki_host::disk` implements it with real files, [`crate::SimDisk`] with an image that loses,
//! tears and corrupts. The log never opens a file by any other way. Nothing here promises
//! durability except `sync` and `sync_dir`.

use std::io;

/// A directory of files. Clones are handles to the same directory.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: File;

    /// Creates an empty file, replacing one of this name.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// `NotFound` when there is none; else whatever the disk reports.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Names of all files, in any order.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Gives a file another name, replacing a file that has it. Durable after `sync_dir`.
    ///
    /// # Errors
    /// `NotFound` when there is none; else whatever the disk reports.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Durable after `sync_dir`.
    ///
    /// # Errors
    /// `NotFound` when there is none; else whatever the disk reports.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every creation, renaming and removal so far durable.
    ///
    /// # Errors
    /// After one, nothing is known about the directory: the caller must not go on.
    fn sync_dir(&self) -> io::Result<()>;
}

/// An open file.
pub trait File: Send + 'static {
    /// Writes all bytes at the offset, extending the file when needed. Not durable.
    ///
    /// # Errors
    /// Any part of the bytes may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads until the buffer is full or the file ends; returns the number of bytes read.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Makes everything written so far durable (fdatasync).
    ///
    /// # Errors
    /// After one, nothing is known about what was written: never sync again and trust it.
    fn sync(&mut self) -> io::Result<()>;

    /// Length in bytes.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn len(&self) -> io::Result<u64>;

    /// True when the file has no bytes.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}
