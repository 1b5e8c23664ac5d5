//! Who the replica of a region on this store is, when it is not the one the region was born with
//! here: written, durably, before an heir says its first word, and again for each heir after it.

use bytes::Bytes;
use kontiki_types::PeerId;

use crate::Result;
use crate::wire::{put_u8, put_varint, whole};

const VERSION: u8 = 1;

/// The row of an heir.
pub fn to_bytes(peer: PeerId) -> Bytes {
    let mut out = Vec::with_capacity(11);
    put_u8(&mut out, VERSION);
    put_varint(&mut out, peer.0);
    Bytes::from(out)
}

/// Reads the row of an heir.
///
/// # Errors
/// When the bytes are not one, or of another version.
pub fn from_bytes(row: Bytes) -> Result<PeerId> {
    whole(row, |reader| {
        reader.version(VERSION)?;
        Ok(PeerId(reader.varint()?))
    })
}
