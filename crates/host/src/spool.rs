//! Snapshots that arrived, as files, until they are installed.
//!
//! A snapshot is first stored whole and synced, and only then offered to Raft: so an install can
//! be run again after a crash in its middle. A spool that nobody asks for after a start is removed.
//!
//! ```text
//! file "spool-<number>":  ( length u32 | chunk )*      chunks carry their own checksums
//! ```

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use kontiki_multiraft::Error;
use kontiki_types::limits;

/// Longest chunk that is taken for one: a chunk and its frame.
const CHUNK_BYTES_MAX: usize = limits::SNAPSHOT_CHUNK_BYTES + limits::BATCH_BYTES_MAX;

/// The spools of a store: a directory of files.
pub(crate) struct Spools {
    dir: PathBuf,
    next: AtomicU64,
}

impl Spools {
    /// Use this directory, made if missing.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub(crate) fn open(dir: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        let newest = numbers(&dir)?.into_iter().max().unwrap_or(0);
        Ok(Self { dir, next: AtomicU64::new(newest + 1) })
    }

    /// Remove every spool but these.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn retain(&self, keep: &[u64]) -> std::io::Result<()> {
        for number in numbers(&self.dir)? {
            if !keep.contains(&number) {
                self.remove(number);
            }
        }
        Ok(())
    }

    /// Begin a new spool.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(crate) fn create(&self) -> std::io::Result<SpoolWriter> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path(number);
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(SpoolWriter { number, path, file: Some(BufWriter::new(file)), dir: self.dir.clone() })
    }

    /// The chunks of a spool, in order.
    pub(crate) fn read(&self, number: u64) -> Chunks {
        Chunks(match File::open(self.path(number)) {
            Ok(file) => State::Open(BufReader::new(file)),
            Err(error) => State::Failed(error),
        })
    }

    /// Remove a spool; one that is gone already is fine.
    pub(crate) fn remove(&self, number: u64) {
        if let Err(error) = std::fs::remove_file(self.path(number)) {
            tracing::debug!(number, %error, "spool not removed");
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("spool-{number}"))
    }
}

fn numbers(dir: &std::path::Path) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|n| n.strip_prefix("spool-")?.parse().ok());
        numbers.extend(number);
    }
    Ok(numbers)
}

/// A spool being written. Dropped before [`SpoolWriter::finish`], it leaves nothing.
pub(crate) struct SpoolWriter {
    number: u64,
    path: PathBuf,
    dir: PathBuf,
    file: Option<BufWriter<File>>,
}

impl SpoolWriter {
    /// Append a chunk.
    ///
    /// # Errors
    /// The disk refused it, or the chunk is longer than any chunk is.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> std::io::Result<()> {
        let file = self.file.as_mut().expect("open until finished");
        if chunk.len() > CHUNK_BYTES_MAX {
            return Err(std::io::Error::other("snapshot chunk exceeds its limit"));
        }
        let length = u32::try_from(chunk.len()).expect("bounded just above");
        file.write_all(&length.to_le_bytes())?;
        file.write_all(chunk)
    }

    /// Make it durable and give its number.
    ///
    /// # Errors
    /// The disk refused it.
    pub(crate) fn finish(mut self) -> std::io::Result<u64> {
        let file = self.file.take().expect("open until finished");
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        File::open(&self.dir)?.sync_all()?;
        Ok(self.number)
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // A half-received snapshot is of no use; the next start would remove it anyway.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// See [`Spools::read`]. Ends after the first error.
pub(crate) struct Chunks(State);

enum State {
    Open(BufReader<File>),
    Failed(std::io::Error),
    Ended,
}

impl Iterator for Chunks {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let damaged = |error: std::io::Error| Error::Snapshot(format!("spool: {error}"));
        match std::mem::replace(&mut self.0, State::Ended) {
            State::Ended => None,
            State::Failed(error) => Some(Err(damaged(error))),
            State::Open(mut file) => match read_chunk(&mut file) {
                Ok(None) => None,
                Ok(Some(chunk)) => {
                    self.0 = State::Open(file);
                    Some(Ok(chunk))
                }
                Err(error) => Some(Err(damaged(error))),
            },
        }
    }
}

fn read_chunk(file: &mut impl Read) -> std::io::Result<Option<Bytes>> {
    let mut length = [0; 4];
    let mut read = 0;
    while read < length.len() {
        match file.read(&mut length[read..])? {
            0 if read == 0 => return Ok(None),
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => read += n,
        }
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > CHUNK_BYTES_MAX {
        return Err(std::io::Error::other("chunk exceeds its limit"));
    }
    let mut chunk = vec![0; length];
    file.read_exact(&mut chunk)?;
    Ok(Some(Bytes::from(chunk)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(spools: &Spools, number: u64) -> Vec<Result<Bytes, String>> {
        spools.read(number).map(|chunk| chunk.map_err(|e| e.to_string())).collect()
    }

    #[test]
    fn a_spool_reads_back_what_was_pushed() {
        let dir = tempfile::tempdir().expect("a directory");
        let spools = Spools::open(dir.path().join("s")).expect("opened");
        let mut writer = spools.create().expect("created");
        writer.push(b"one").expect("pushed");
        writer.push(b"").expect("pushed");
        let number = writer.finish().expect("finished");
        let chunks = read_all(&spools, number);
        assert_eq!(chunks, [Ok(Bytes::from_static(b"one")), Ok(Bytes::new())]);
    }

    #[test]
    fn an_unfinished_spool_leaves_nothing_and_a_cut_one_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let spools = Spools::open(dir.path().to_owned()).expect("opened");
        let mut writer = spools.create().expect("created");
        writer.push(b"half").expect("pushed");
        drop(writer);
        assert_eq!(numbers(dir.path()).expect("listed"), []);

        let mut writer = spools.create().expect("created");
        writer.push(b"whole").expect("pushed");
        let number = writer.finish().expect("finished");
        let file = OpenOptions::new().write(true).open(spools.path(number)).expect("opened");
        file.set_len(6).expect("cut");
        let chunks = read_all(&spools, number);
        assert!(matches!(chunks.as_slice(), [Err(_)]), "{chunks:?}");
    }

    #[test]
    fn spools_nobody_needs_go_and_numbers_are_not_reused() {
        let dir = tempfile::tempdir().expect("a directory");
        let spools = Spools::open(dir.path().to_owned()).expect("opened");
        let first = spools.create().expect("created").finish().expect("finished");
        let second = spools.create().expect("created").finish().expect("finished");
        spools.retain(&[second]).expect("retained");
        assert_eq!(numbers(dir.path()).expect("listed"), [second]);
        let again = Spools::open(dir.path().to_owned()).expect("opened");
        let third = again.create().expect("created").finish().expect("finished");
        assert!(third > second && second > first);
    }
}
