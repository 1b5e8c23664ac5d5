//! The image of a memory engine: all its rows as a stream of checked blocks.
//!
//! Written and read by [`MemoryEngine`](crate::MemoryEngine) only; where the bytes go is the
//! business of an [`ImageStore`]. A damaged image is reported, never partly loaded.
//!
//! ```text
//! image    magic "KNTKMEM" (7) | version (1) | block …           integers are little-endian
//! block    payload length u32 | crc32c of payload u32 | payload
//! payload  block number u32 | kind u8 | body
//! body     kind 0: rows …   row = family u8 | key length u32 | value length u32 | key | value
//!          kind 1: row count u64, the last block; nothing may follow it
//! ```
//!
//! Rows ascend by (family, key). The block number is under the checksum, so a lost, repeated or
//! swapped block is found; the last block finds a lost tail.

use std::error::Error as StdError;

use bytes::{BufMut, Bytes, BytesMut};

use crate::limits::{IMAGE_BLOCK_BYTES, IMAGE_BLOCK_BYTES_MAX, IMAGE_ROW_HEADER_BYTES};
use crate::rows::Rows;
use crate::{Error, Family};

/// What a store of images may fail with: the layer below knows its own errors.
pub type StoreError = Box<dyn StdError + Send + Sync>;

/// The chunks of a stored image, in order; the cuts between chunks mean nothing.
pub type Chunks<'a> = Box<dyn Iterator<Item = Result<Bytes, StoreError>> + 'a>;

/// A place that holds one image and replaces it atomically.
pub trait ImageStore: Send + Sync + 'static {
    /// The chunks of the newest image that was saved completely; `None` when there never was one.
    ///
    /// # Errors
    ///
    /// Whatever keeps the image from being read.
    fn load(&self) -> Result<Option<Chunks<'_>>, StoreError>;

    /// Replaces the image by these chunks and makes it durable before it returns.
    ///
    /// Atomic: after a failure or crash inside, `load` yields the old image or the new one.
    ///
    /// # Errors
    ///
    /// Whatever kept the image from being durable.
    fn save(&self, chunks: &mut dyn Iterator<Item = Bytes>) -> Result<(), StoreError>;
}

const MAGIC: &[u8; 8] = b"KNTKMEM\x01";
const BLOCK_HEADER_BYTES: usize = 4 + 4;
const PAYLOAD_HEADER_BYTES: usize = 4 + 1;
const KIND_ROWS: u8 = 0;
const KIND_END: u8 = 1;

/// The chunks of the image of some rows: one per block, made on demand, so that saving needs one
/// block of memory beside the rows.
pub(crate) fn encode(rows: &Rows) -> impl Iterator<Item = Bytes> {
    let mut left = Family::ALL
        .into_iter()
        .flat_map(|family| rows.map(family).iter().map(move |(key, value)| (family, key, value)))
        .peekable();
    let mut block_number = 0;
    let mut ended = false;
    let blocks = std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let mut payload = BytesMut::with_capacity(IMAGE_BLOCK_BYTES + 1024);
        payload.put_u32_le(block_number);
        block_number += 1;
        if left.peek().is_some() {
            payload.put_u8(KIND_ROWS);
            while payload.len() < IMAGE_BLOCK_BYTES
                && let Some((family, key, value)) = left.next()
            {
                put_row(&mut payload, family, key, value);
            }
        } else {
            ended = true;
            payload.put_u8(KIND_END);
            payload.put_u64_le(rows.len() as u64);
        }
        Some(seal(&payload))
    });
    std::iter::once(Bytes::from_static(MAGIC)).chain(blocks)
}

/// The rows of a stored image.
///
/// # Errors
///
/// [`Error::Damaged`] when anything is not exactly as [`encode`] wrote it; [`Error::Backend`]
/// when the chunks cannot be read.
pub(crate) fn decode(chunks: Chunks<'_>) -> Result<Rows, Error> {
    let mut source = Source { chunks, held: BytesMut::new(), passed: 0 };
    let magic = source.take(MAGIC.len())?;
    if magic != MAGIC[..] {
        return Err(Error::damaged(format!("memory image begins with {}", magic.escape_ascii())));
    }
    let mut rows = Rows::default();
    let mut last: Option<(Family, Bytes)> = None;
    for block_number in 0.. {
        let mut payload = source.block(block_number)?;
        match payload.byte()? {
            KIND_ROWS => {
                while !payload.rest.is_empty() {
                    let (family, key, value) = payload.row()?;
                    let row = (family, key);
                    if last.as_ref().is_some_and(|last| *last >= row) {
                        return Err(Error::damaged(format!(
                            "memory image is not sorted in block {block_number}"
                        )));
                    }
                    rows.insert(family, row.1.clone(), value);
                    last = Some(row);
                }
            }
            KIND_END => {
                let expected = payload.word64()?;
                if expected != rows.len() as u64 || !payload.rest.is_empty() {
                    return Err(Error::damaged(format!(
                        "memory image holds {} rows instead of {expected}",
                        rows.len()
                    )));
                }
                break;
            }
            kind => {
                return Err(Error::damaged(format!("memory image has a block of kind {kind}")));
            }
        }
    }
    source.expect_end()?;
    Ok(rows)
}

fn put_row(payload: &mut BytesMut, family: Family, key: &Bytes, value: &Bytes) {
    // Lengths fit: batches assert the bounds of limits.rs.
    payload.put_u8(u8::try_from(family.index()).expect("four families"));
    payload.put_u32_le(u32::try_from(key.len()).expect("keys are bounded"));
    payload.put_u32_le(u32::try_from(value.len()).expect("values are bounded"));
    payload.put_slice(key);
    payload.put_slice(value);
}

fn seal(payload: &[u8]) -> Bytes {
    assert!(payload.len() <= IMAGE_BLOCK_BYTES_MAX, "image block of {} bytes", payload.len());
    let mut block = BytesMut::with_capacity(BLOCK_HEADER_BYTES + payload.len());
    block.put_u32_le(u32::try_from(payload.len()).expect("asserted just above"));
    block.put_u32_le(crc32c::crc32c(payload));
    block.put_slice(payload);
    block.freeze()
}

/// Cuts exact pieces out of chunks of any size.
struct Source<'a> {
    chunks: Chunks<'a>,
    held: BytesMut,
    /// Bytes handed out so far, to say where damage is.
    passed: usize,
}

impl Source<'_> {
    fn take(&mut self, count: usize) -> Result<Bytes, Error> {
        while self.held.len() < count {
            let Some(chunk) = self.chunks.next() else {
                return Err(Error::damaged(format!(
                    "memory image ends at byte {} inside a block",
                    self.passed + self.held.len()
                )));
            };
            let chunk = chunk.map_err(|source| Error::backend("read the memory image", source))?;
            self.held.extend_from_slice(&chunk);
        }
        self.passed += count;
        Ok(self.held.split_to(count).freeze())
    }

    fn block(&mut self, expected_number: u32) -> Result<Payload, Error> {
        let mut header = Payload { rest: self.take(BLOCK_HEADER_BYTES)? };
        let (payload_bytes, crc) = (header.word32()? as usize, header.word32()?);
        // Checked before the bytes are collected, so that damage cannot ask for all memory.
        if !(PAYLOAD_HEADER_BYTES..=IMAGE_BLOCK_BYTES_MAX).contains(&payload_bytes) {
            return Err(Error::damaged(format!(
                "memory image has a block of {payload_bytes} bytes at byte {}",
                self.passed
            )));
        }
        let payload = self.take(payload_bytes)?;
        if crc32c::crc32c(&payload) != crc {
            return Err(Error::damaged(format!(
                "memory image fails its checksum in block {expected_number}"
            )));
        }
        let mut payload = Payload { rest: payload };
        let number = payload.word32()?;
        if number != expected_number {
            return Err(Error::damaged(format!(
                "memory image has block {number} in place of {expected_number}"
            )));
        }
        Ok(payload)
    }

    fn expect_end(&mut self) -> Result<(), Error> {
        let mut extra = self.held.len();
        for chunk in self.chunks.by_ref() {
            extra += chunk.map_err(|source| Error::backend("read the memory image", source))?.len();
        }
        if extra == 0 {
            return Ok(());
        }
        Err(Error::damaged(format!("memory image has {extra} bytes behind its end")))
    }
}

/// The unread rest of a block that passed its checksum.
struct Payload {
    rest: Bytes,
}

impl Payload {
    fn cut(&mut self, count: usize) -> Result<Bytes, Error> {
        if count > self.rest.len() {
            return Err(Error::damaged("memory image has a row that leaves its block"));
        }
        Ok(self.rest.split_to(count))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.cut(N)?;
        Ok(<[u8; N]>::try_from(&bytes[..]).expect("cut to this length"))
    }

    fn byte(&mut self) -> Result<u8, Error> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn word32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn word64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn row(&mut self) -> Result<(Family, Bytes, Bytes), Error> {
        let index = self.byte()?;
        let Some(family) = Family::from_index(usize::from(index)) else {
            return Err(Error::damaged(format!("memory image names family {index}")));
        };
        let (key_bytes, value_bytes) = (self.word32()? as usize, self.word32()? as usize);
        // Copied, so that an old row does not keep its whole block in memory.
        let key = Bytes::copy_from_slice(&self.cut(key_bytes)?);
        let value = Bytes::copy_from_slice(&self.cut(value_bytes)?);
        Ok((family, key, value))
    }
}

const _: () = assert!(PAYLOAD_HEADER_BYTES < IMAGE_ROW_HEADER_BYTES, "blocks fit their maximum");

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
