//! What a snapshot stands for: position and membership. Written by the log and sent in messages;
//! the rows of a snapshot travel apart, see [`crate::snapshot_chunk`].

use kontiki_types::SnapshotMeta;

use crate::wire::Reader;
use crate::{Result, membership, position};

/// Appends a snapshot's meta.
pub fn encode(out: &mut Vec<u8>, meta: &SnapshotMeta) {
    position::encode(out, meta.position);
    membership::encode(out, &meta.membership);
}

/// Reads a snapshot's meta.
///
/// # Errors
/// When the bytes are not one.
pub fn decode(reader: &mut Reader) -> Result<SnapshotMeta> {
    let position = position::decode(reader)?;
    let membership = membership::decode(reader)?;
    Ok(SnapshotMeta { position, membership })
}
