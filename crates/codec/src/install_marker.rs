//! The mark that a snapshot is being installed: durable before anything is destroyed, gone in the
//! same batch that completes the install. A store that finds one repeats the install.

use bytes::Bytes;
use kontiki_types::SnapshotMeta;

use crate::wire::{put_u8, put_varint, whole};
use crate::{Result, snapshot};

const VERSION: u8 = 1;

/// Which snapshot is being installed, and where its chunks are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstallMarker {
    /// The host's name for the received chunks.
    pub spool: u64,
    /// What the snapshot replaces.
    pub meta: SnapshotMeta,
}

/// The row of a marker.
pub fn to_bytes(marker: &InstallMarker) -> Bytes {
    let mut out = Vec::with_capacity(64);
    put_u8(&mut out, VERSION);
    put_varint(&mut out, marker.spool);
    snapshot::encode(&mut out, &marker.meta);
    Bytes::from(out)
}

/// Reads the row of a marker.
///
/// # Errors
/// When the bytes are not one, or of another version.
pub fn from_bytes(row: Bytes) -> Result<InstallMarker> {
    whole(row, |reader| {
        reader.version(VERSION)?;
        let spool = reader.varint()?;
        Ok(InstallMarker { spool, meta: snapshot::decode(reader)? })
    })
}
