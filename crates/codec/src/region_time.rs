//! The time of a region, within rows and chunks of the store.

use kontiki_types::RegionTime;

use crate::Result;
use crate::wire::{Reader, put_varint};

/// Appends a time.
pub(crate) fn encode(out: &mut Vec<u8>, time: RegionTime) {
    put_varint(out, time.now_ms);
    put_varint(out, time.seen_ms);
    put_varint(out, time.lived_ms);
}

/// Reads a time.
pub(crate) fn decode(reader: &mut Reader) -> Result<RegionTime> {
    let now_ms = reader.varint()?;
    let seen_ms = reader.varint()?;
    Ok(RegionTime { now_ms, seen_ms, lived_ms: reader.varint()? })
}
