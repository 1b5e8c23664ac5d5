//! Raw values as they stand in the engine: a flags byte, an optional expiry, the user's bytes.
//!
//! ```text
//! 0x00 | user bytes
//! 0x01 | expiry, milliseconds since 1970 (u64) | user bytes
//! ```
//!
//! The store writes them at apply and takes them apart when it reads.

use bytes::Bytes;

use crate::wire::{Reader, put_u8, put_u64};
use crate::{Error, Result};

const PLAIN: u8 = 0;
const EXPIRING: u8 = 1;

/// A value and when it ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    /// From this replicated time on the key counts as missing; milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// The user's bytes.
    pub data: Bytes,
}

/// The row of a value that does not expire.
pub fn plain(data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(1 + data.len());
    put_u8(&mut out, PLAIN);
    out.extend_from_slice(data);
    Bytes::from(out)
}

/// The row of a value.
pub fn to_bytes(value: &Value) -> Bytes {
    let Some(expires_ms) = value.expires_ms else { return plain(&value.data) };
    let mut out = Vec::with_capacity(1 + 8 + value.data.len());
    put_u8(&mut out, EXPIRING);
    put_u64(&mut out, expires_ms);
    out.extend_from_slice(&value.data);
    Bytes::from(out)
}

/// Reads the row of a value, sharing its memory.
///
/// # Errors
/// When the flags are unknown or the expiry is cut off.
pub fn from_bytes(row: Bytes) -> Result<Value> {
    let mut reader = Reader::new(row);
    let expires_ms = match reader.u8()? {
        PLAIN => None,
        EXPIRING => Some(reader.u64()?),
        _ => return Err(Error::Corrupt("unknown flags of a value")),
    };
    Ok(Value { expires_ms, data: reader.into_rest() })
}
