//! The frame of one chunk of a snapshot, whatever the state machine.
//!
//! ```text
//! version (1) | sequence | kind (1) | body | crc32c over all before (u32)
//! ```
//!
//! Chunks are counted from 0, so that a missing or repeated one is seen. What kinds and bodies
//! mean belongs to the state machine: a region's are in [`crate::region_snapshot`].

use bytes::Bytes;

use crate::wire::{Reader, put_u8, put_u32, put_varint};
use crate::{Error, Result, crc};

/// The version this build writes, and the only one it reads.
pub const VERSION: u8 = 1;

const CRC_BYTES: usize = 4;

/// A chunk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Its place, counted from 0.
    pub sequence: u64,
    /// What the body is, in the terms of the state machine.
    pub kind: u8,
    /// The body; shares the memory of the chunk when read.
    pub body: Bytes,
}

/// The bytes of a chunk.
pub fn encode(sequence: u64, kind: u8, body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(body.len() + 16);
    put_u8(&mut out, VERSION);
    put_varint(&mut out, sequence);
    put_u8(&mut out, kind);
    out.extend_from_slice(body);
    let crc = crc::salted(crc::SALT_CHUNK, &out);
    put_u32(&mut out, crc);
    Bytes::from(out)
}

/// Reads a chunk.
///
/// # Errors
/// When it is of another version, or damaged anywhere.
pub fn decode(mut chunk: Bytes) -> Result<Chunk> {
    Reader::new(chunk.clone()).version(VERSION)?;
    let covered = chunk.len().checked_sub(CRC_BYTES).ok_or(Error::Truncated)?;
    let stored = Reader::new(chunk.split_off(covered)).u32()?;
    let computed = crc::salted(crc::SALT_CHUNK, &chunk);
    if stored != computed {
        return Err(Error::Checksum { stored, computed });
    }
    let mut reader = Reader::new(chunk);
    reader.version(VERSION)?;
    let sequence = reader.varint()?;
    let kind = reader.u8()?;
    Ok(Chunk { sequence, kind, body: reader.into_rest() })
}
