//! Whose data this is: a row of the meta family, written once when a store is made. A directory
//! of another cluster or store is refused before anything is read from it.

use bytes::Bytes;
use kontiki_types::{ClusterId, StoreId};

use crate::Result;
use crate::wire::{Reader, put_u8, put_u64, whole};

const VERSION: u8 = 1;

/// Cluster and store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreIdent {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Its id there.
    pub store: StoreId,
}

/// The row of an identity.
pub fn to_bytes(ident: StoreIdent) -> Bytes {
    let mut out = Vec::with_capacity(17);
    put_u8(&mut out, VERSION);
    put_u64(&mut out, ident.cluster.0);
    put_u64(&mut out, ident.store.0);
    Bytes::from(out)
}

/// Reads the row of an identity.
///
/// # Errors
/// When the bytes are not one, or of another version.
pub fn from_bytes(row: Bytes) -> Result<StoreIdent> {
    whole(row, |reader: &mut Reader| {
        reader.version(VERSION)?;
        Ok(StoreIdent { cluster: ClusterId(reader.u64()?), store: StoreId(reader.u64()?) })
    })
}
