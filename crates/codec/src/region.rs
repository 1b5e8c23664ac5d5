//! Region descriptors: a row of the meta family, part of refusals and of snapshots.

use bytes::Bytes;
use kontiki_types::{Epoch, KeyRange, Region, RegionId};

use crate::wire::{Reader, put_bytes, put_option_bytes, put_u8, put_varint, whole};
use crate::{Result, membership};

const VERSION: u8 = 1;

/// Appends a descriptor: id, start, end, epoch, peers; at least 6 bytes.
///
/// # Panics
/// When the peers are not in order of id.
pub fn encode(out: &mut Vec<u8>, region: &Region) {
    put_varint(out, region.id.0);
    encode_range(out, &region.range);
    put_varint(out, region.epoch.conf_ver);
    put_varint(out, region.epoch.version);
    membership::encode_peers(out, &region.peers);
}

/// Reads a descriptor.
///
/// # Errors
/// When the bytes are not one.
pub fn decode(reader: &mut Reader) -> Result<Region> {
    let id = RegionId(reader.varint()?);
    let range = decode_range(reader)?;
    let epoch = Epoch { conf_ver: reader.varint()?, version: reader.varint()? };
    let peers = membership::decode_peers(reader)?;
    Ok(Region { id, range, epoch, peers })
}

/// The row of a descriptor.
///
/// # Panics
/// As [`encode`].
pub fn to_bytes(region: &Region) -> Bytes {
    let mut out = Vec::with_capacity(64);
    put_u8(&mut out, VERSION);
    encode(&mut out, region);
    Bytes::from(out)
}

/// Reads the row of a descriptor.
///
/// # Errors
/// When the bytes are not one, or of another version.
pub fn from_bytes(row: Bytes) -> Result<Region> {
    whole(row, |reader| {
        reader.version(VERSION)?;
        decode(reader)
    })
}

pub(crate) fn encode_range(out: &mut Vec<u8>, range: &KeyRange) {
    put_bytes(out, &range.start);
    put_option_bytes(out, range.end.as_deref());
}

pub(crate) fn decode_range(reader: &mut Reader) -> Result<KeyRange> {
    let start = reader.bytes()?;
    Ok(KeyRange { start, end: reader.option_bytes()? })
}
