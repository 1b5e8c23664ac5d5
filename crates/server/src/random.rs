//! Randomness from the operating system: seeds, incarnations, client ids. Drawn here and passed on.

use std::fs::File;
use std::io::Read;

/// Sixty-four random bits.
///
/// # Errors
/// The operating system has none to give.
pub(crate) fn random_u64() -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
