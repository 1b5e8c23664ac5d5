//! Peer frames: what one store says to another in one go, many groups at a time.
//!
//! ```text
//! version (1) | count (u32) | (group, message) * count | crc32c over all before (u32)
//! ```
//!
//! Transports carry frames as opaque bytes. A frame that is damaged in any byte is refused whole;
//! Raft repeats what was lost.

use bytes::Bytes;
use kontiki_types::limits::MESSAGE_BYTES_MAX;
use kontiki_types::{Message, RegionId};

use crate::wire::{Reader, put_u8, put_u32};
use crate::{Error, Result, crc, message};

/// The version this build writes, and the only one it reads.
pub const VERSION: u8 = 1;

const HEADER_BYTES: usize = 1 + 4;
const CRC_BYTES: usize = 4;

/// Collects messages into one frame.
#[derive(Debug)]
pub struct Builder {
    out: Vec<u8>,
    count: u32,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// An empty frame.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty frame with room for so many bytes of messages.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes + HEADER_BYTES + CRC_BYTES);
        put_u8(&mut out, VERSION);
        put_u32(&mut out, 0);
        Self { out, count: 0 }
    }

    /// Adds a message of a group.
    ///
    /// # Panics
    /// As [`message::encode`].
    pub fn push(&mut self, group: RegionId, message: &Message) {
        self.out.reserve(message::size_hint(message));
        message::encode(&mut self.out, group, message);
        self.count += 1;
    }

    /// Bytes of the frame if it were finished now.
    pub fn bytes(&self) -> usize {
        self.out.len() + CRC_BYTES
    }

    /// Messages in it.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// True when nothing was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The frame.
    pub fn finish(mut self) -> Bytes {
        for (slot, byte) in self.out.iter_mut().skip(1).zip(self.count.to_le_bytes()) {
            *slot = byte;
        }
        let crc = crc::salted(crc::SALT_FRAME, &self.out);
        put_u32(&mut self.out, crc);
        Bytes::from(self.out)
    }
}

/// A frame of these messages.
pub fn encode<'a>(messages: impl IntoIterator<Item = (RegionId, &'a Message)>) -> Bytes {
    let mut builder = Builder::new();
    for (group, message) in messages {
        builder.push(group, message);
    }
    builder.finish()
}

/// The messages of a frame; entries share its memory.
///
/// # Errors
/// When it is longer than [`MESSAGE_BYTES_MAX`], of another version, or damaged anywhere.
pub fn decode(mut frame: Bytes) -> Result<Vec<(RegionId, Message)>> {
    if frame.len() > MESSAGE_BYTES_MAX {
        return Err(Error::Corrupt("frame exceeds its limit"));
    }
    // The version first: a newer one may place its checksum elsewhere.
    Reader::new(frame.clone()).version(VERSION)?;
    let covered = frame.len().checked_sub(CRC_BYTES).ok_or(Error::Truncated)?;
    let stored = Reader::new(frame.split_off(covered)).u32()?;
    let computed = crc::salted(crc::SALT_FRAME, &frame);
    if stored != computed {
        return Err(Error::Checksum { stored, computed });
    }
    let mut reader = Reader::new(frame);
    reader.version(VERSION)?;
    let count = usize::try_from(reader.u32()?).map_err(|_| Error::Truncated)?;
    if count > reader.remaining() / message::MESSAGE_BYTES_MIN {
        return Err(Error::Corrupt("frame counts more messages than it has bytes for"));
    }
    let messages = reader.items(count, message::decode)?;
    reader.finish()?;
    Ok(messages)
}
