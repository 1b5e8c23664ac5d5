//! The sync mark: how an opening engine knows what had been promised.
//!
//! Each sync writes its number as a row into the journal, makes the journal durable, and then
//! writes number and journal id into the file `synced`. If a later opening finds the file but not
//! the row, synced data is gone, and the directory is damaged; without this, a journal that lost
//! its end in the middle would look like one that was torn at its end, and the store would vote
//! and serve with a hole. Only `engine.rs` and `opening.rs` call it.
//!
//! The file has two slots in different sectors, written in turn: a torn write leaves the other.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

/// The name of the mark file in the data directory; fjall leaves names it does not know alone.
pub(crate) const MARK_FILE: &str = "synced";

/// The keyspace of the mark row, which is no family: nobody else sees it.
pub(crate) const MARK_KEYSPACE: &str = "sync_mark";

/// The key of the mark row, by which the journal reader finds it.
pub(crate) const MARK_KEY: &[u8] = b"\xff\xfekontiki.sync_mark";

const SLOT_BYTES: usize = 24;

/// Slots lie this far apart: no device writes two of them as one sector.
const SLOT_STRIDE_BYTES: u64 = 4096;

/// Length of the file: two slots, each with its sector to itself.
const FILE_BYTES: usize = 2 * 4096;

const _: () = assert!(FILE_BYTES as u64 == 2 * SLOT_STRIDE_BYTES, "two slots");

/// What the last complete sync promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Ascends by one or more with each sync; 0 is "never synced".
    pub(crate) number: u64,
    /// The journal that holds the row of this number.
    pub(crate) journal_id: u64,
}

/// The value of the mark row.
pub(crate) fn mark_value(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

/// The number in the value of a mark row.
pub(crate) fn mark_number(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_le_bytes)
}

/// The mark file, open for writing.
pub(crate) struct MarkFile {
    file: File,
}

impl MarkFile {
    /// Opens the file, or creates it with both slots written, so that later syncs only overwrite.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join(MARK_FILE);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let length = file.metadata()?.len();
        if length < FILE_BYTES as u64 {
            // Behind what is there: a file that was cut keeps the slot it has.
            let missing = FILE_BYTES - usize::try_from(length).expect("below the file length");
            file.write_all_at(&vec![0; missing], length)?;
            file.sync_all()?;
            File::open(directory)?.sync_all()?;
        }
        Ok(Self { file })
    }

    /// The newest mark that was written whole.
    pub(crate) fn read(&self) -> io::Result<Mark> {
        let mut newest = Mark::default();
        for slot in 0..2 {
            let mut bytes = [0; SLOT_BYTES];
            self.file.read_exact_at(&mut bytes, slot * SLOT_STRIDE_BYTES)?;
            if let Some(mark) = decode(&bytes)
                && mark.number > newest.number
            {
                newest = mark;
            }
        }
        Ok(newest)
    }

    /// Makes a mark durable.
    pub(crate) fn write(&self, mark: Mark) -> io::Result<()> {
        assert!(mark.number > 0, "mark 0 means that nothing was ever synced");
        self.file.write_all_at(&encode(mark), mark.number % 2 * SLOT_STRIDE_BYTES)?;
        self.file.sync_data()
    }
}

fn encode(mark: Mark) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    let (body, checksum) = bytes.split_at_mut(16);
    let (number, journal_id) = body.split_at_mut(8);
    number.copy_from_slice(&mark.number.to_le_bytes());
    journal_id.copy_from_slice(&mark.journal_id.to_le_bytes());
    checksum.copy_from_slice(&xxh3_64(body).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<Mark> {
    let (body, checksum) = bytes.split_at(16);
    let (number, journal_id) = body.split_at(8);
    if u64::from_le_bytes(checksum.try_into().ok()?) != xxh3_64(body) {
        return None;
    }
    Some(Mark {
        number: u64::from_le_bytes(number.try_into().ok()?),
        journal_id: u64::from_le_bytes(journal_id.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::{Mark, MarkFile, SLOT_STRIDE_BYTES};

    #[test]
    fn a_torn_slot_leaves_the_mark_before() {
        let directory = tempfile::TempDir::new().unwrap();
        let marks = MarkFile::open(directory.path()).unwrap();
        assert_eq!(marks.read().unwrap(), Mark::default());
        for number in 1..=5 {
            marks.write(Mark { number, journal_id: number / 3 }).unwrap();
            let reopened = MarkFile::open(directory.path()).unwrap();
            assert_eq!(reopened.read().unwrap(), Mark { number, journal_id: number / 3 });
        }
        marks.file.write_all_at(b"torn", SLOT_STRIDE_BYTES + 4).unwrap();
        assert_eq!(marks.read().unwrap(), Mark { number: 4, journal_id: 1 });
    }
}
