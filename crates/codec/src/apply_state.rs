//! How far a region is applied: a row of the meta family, written with every batch of data.
//!
//! A command too large for one engine batch is applied in several; in between, `partial` says how
//! far the entry after `position` is, so that a restart continues there and repeats nothing.

use bytes::Bytes;
use kontiki_types::{Position, RegionTime};

use crate::wire::{Reader, put_flag, put_u8, put_varint, whole};
use crate::{Result, position, region_time};

const VERSION: u8 = 2;

/// How far a region is applied.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ApplyState {
    /// The last entry whose effects are complete.
    pub position: Position,
    /// The time of the region.
    pub time: RegionTime,
    /// How far the next entry is, when it was begun.
    pub partial: Option<Partial>,
}

/// Where applying an entry stopped. Everything before this place took effect.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Partial {
    /// Payload of the entry, counted from 0; its session was touched.
    pub payload: u64,
    /// Command of the payload, counted from 0; begun and not finished.
    pub command: u64,
    /// Rows this command removed so far.
    pub removed: u64,
}

/// The row of an apply state.
pub fn to_bytes(state: &ApplyState) -> Bytes {
    let mut out = Vec::with_capacity(32);
    put_u8(&mut out, VERSION);
    position::encode(&mut out, state.position);
    region_time::encode(&mut out, state.time);
    put_flag(&mut out, state.partial.is_some());
    if let Some(partial) = state.partial {
        put_varint(&mut out, partial.payload);
        put_varint(&mut out, partial.command);
        put_varint(&mut out, partial.removed);
    }
    Bytes::from(out)
}

/// Reads the row of an apply state.
///
/// # Errors
/// When the bytes are not one, or of another version.
pub fn from_bytes(row: Bytes) -> Result<ApplyState> {
    whole(row, |reader| {
        reader.version(VERSION)?;
        let position = position::decode(reader)?;
        let time = region_time::decode(reader)?;
        let partial = if reader.flag()? { Some(decode_partial(reader)?) } else { None };
        Ok(ApplyState { position, time, partial })
    })
}

fn decode_partial(reader: &mut Reader) -> Result<Partial> {
    let payload = reader.varint()?;
    let command = reader.varint()?;
    Ok(Partial { payload, command, removed: reader.varint()? })
}
