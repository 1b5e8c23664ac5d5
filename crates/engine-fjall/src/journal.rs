//! Reading fjall's journal files before fjall does, because fjall trusts them too much.
//!
//! Called while a directory is opened. Left alone, fjall 3 (a) refuses a directory whose journal
//! ends in a batch that was half written when the power went, which is no damage at all, and
//! (b) silently drops everything behind the first byte it cannot read, also when that was synced
//! long ago. So this file finds the end of the last good batch and what is behind it; `opening.rs`
//! judges. It never changes a file.
//!
//! ```text
//! journal  batch … then zeros (the file is made 64 MiB long at birth) or the end of the file
//! batch    1 | item count u32 | sequence number u64
//!          2 | type u8 | compression u8 | keyspace u64 | key len u16 | value len u32
//!            | stored len u32 | key | value  (once per item; the checksum covers these records)
//!          4 | keyspace u64            ("clear"; we never write it)
//!          3 | xxh3 checksum u64 | "FJL" 3              integers are little-endian
//! ```

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use crate::mark::{MARK_KEY, mark_number};

/// Bytes read at once: journals are read from end to end.
const READ_BYTES: usize = 256 << 10;

const TAG_START: u8 = 1;
const TAG_ITEM: u8 = 2;
const TAG_END: u8 = 3;
const TAG_CLEAR: u8 = 4;
const TRAILER: &[u8; 4] = b"FJL\x03";

/// One journal file of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Journal {
    /// Ascends with time; the file with the highest one is being written.
    pub(crate) id: u64,
    pub(crate) path: PathBuf,
}

/// What a journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// Where the last good batch ends, in bytes from the start.
    pub(crate) good_bytes: u64,
    /// Whether there is nothing but zeros behind it, as in a journal that was closed in peace.
    pub(crate) is_clean: bool,
    /// The newest sync mark in the good part.
    pub(crate) mark: Option<u64>,
    /// The sequence number of the last good batch, or of the journal before.
    pub(crate) last_sequence: Option<u64>,
}

/// The journals of a directory, oldest first.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<Journal>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let id =
            path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse().ok());
        if let Some(id) = id {
            journals.push(Journal { id, path });
        }
    }
    journals.sort_unstable_by_key(|journal| journal.id);
    Ok(journals)
}

/// Reads a journal to the end of its last good batch and looks at what follows.
///
/// `last_sequence` is that of the journal before: sequence numbers ascend, and as the checksum
/// does not cover them, this is the only way to see that one was changed.
pub(crate) fn read(path: &Path, last_sequence: Option<u64>) -> io::Result<Content> {
    let file = File::open(path)?;
    let file_bytes = file.metadata()?.len();
    let mut reader =
        Reader { input: BufReader::with_capacity(READ_BYTES, file), scratch: Vec::new() };
    let mut content = Content { good_bytes: 0, is_clean: false, mark: None, last_sequence };
    loop {
        match reader.batch(file_bytes - content.good_bytes) {
            Ok(batch) if content.last_sequence.is_some_and(|last| last >= batch.sequence) => break,
            Ok(batch) => {
                content.last_sequence = Some(batch.sequence);
                content.good_bytes += batch.bytes;
                content.mark = content.mark.max(batch.mark);
            }
            Err(error) if is_bad_content(&error) => break,
            Err(error) => return Err(error),
        }
    }
    assert!(
        content.good_bytes <= file_bytes,
        "{} good bytes in a journal of {file_bytes}",
        content.good_bytes
    );
    content.is_clean = is_zero_from(path, content.good_bytes)?;
    Ok(content)
}

/// The end of the file and bytes that are no batch end the good part; other errors are the disk's.
fn is_bad_content(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData)
}

fn is_zero_from(path: &Path, start: u64) -> io::Result<bool> {
    use std::io::Seek;
    let mut file = File::open(path)?;
    file.seek(io::SeekFrom::Start(start))?;
    let zeros = vec![0; READ_BYTES];
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(true);
        }
        if buffer.get(..count) != zeros.get(..count) {
            return Ok(false);
        }
    }
}

/// A batch that passed its checksum.
struct GoodBatch {
    sequence: u64,
    bytes: u64,
    mark: Option<u64>,
}

struct Reader {
    input: BufReader<File>,
    /// Key and value of one item; reused.
    scratch: Vec<u8>,
}

impl Reader {
    /// Reads one batch, which cannot be longer than the rest of the file.
    fn batch(&mut self, rest_bytes: u64) -> io::Result<GoodBatch> {
        if self.array::<1>()? != [TAG_START] {
            return Err(ErrorKind::InvalidData.into());
        }
        let item_count = u32::from_le_bytes(self.array()?);
        let sequence = u64::from_le_bytes(self.array()?);
        let mut batch = GoodBatch { sequence, bytes: 1 + 4 + 8, mark: None };
        let mut checksum = Xxh3::new();
        for _ in 0..item_count {
            self.item(&mut batch, &mut checksum, rest_bytes)?;
        }
        if self.array::<1>()? != [TAG_END] {
            return Err(ErrorKind::InvalidData.into());
        }
        let expected = u64::from_le_bytes(self.array()?);
        if self.array::<4>()? != *TRAILER || expected != checksum.digest() {
            return Err(ErrorKind::InvalidData.into());
        }
        batch.bytes += 1 + 8 + 4;
        Ok(batch)
    }

    fn item(
        &mut self,
        batch: &mut GoodBatch,
        checksum: &mut Xxh3,
        rest_bytes: u64,
    ) -> io::Result<()> {
        let tag = self.array::<1>()?;
        checksum.update(&tag);
        batch.bytes += 1;
        match tag {
            [TAG_ITEM] => {}
            [TAG_CLEAR] => {
                checksum.update(&self.array::<8>()?);
                batch.bytes += 8;
                return Ok(());
            }
            _ => return Err(ErrorKind::InvalidData.into()),
        }
        let head: [u8; 2 + 8 + 2 + 4 + 4] = self.array()?;
        let [_kind, _compression, _, _, _, _, _, _, _, _, k0, k1, _, _, _, _, v0, v1, v2, v3] =
            head;
        let key_bytes = u16::from_le_bytes([k0, k1]);
        let stored_bytes = u32::from_le_bytes([v0, v1, v2, v3]);
        let body_bytes = u64::from(key_bytes) + u64::from(stored_bytes);
        batch.bytes += head.len() as u64 + body_bytes;
        // Checked before memory is taken: damage may claim any length.
        if batch.bytes > rest_bytes {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.scratch.resize(usize::from(key_bytes) + stored_bytes as usize, 0);
        self.input.read_exact(&mut self.scratch)?;
        checksum.update(&head);
        checksum.update(&self.scratch);
        if let Some((key, value)) = self.scratch.split_at_checked(usize::from(key_bytes))
            && key == MARK_KEY
        {
            batch.mark = batch.mark.max(mark_number(value));
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
