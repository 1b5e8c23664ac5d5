//! CRC-32C, salted, so that bytes which are whole but stand in the wrong place are refused too.
//!
//! The log salts with the segment's id (a recycled segment holds valid frames of an older life);
//! peer frames and snapshot chunks salt with a constant each, so that one is never taken for the
//! other. A checksum finds accidents, not attackers.

/// Salt of peer frames.
pub const SALT_FRAME: u64 = 0x6672_616d;
/// Salt of snapshot chunks.
pub const SALT_CHUNK: u64 = 0x6368_756e;

/// Salt of a snapshot's files.
pub const SALT_FILE: u64 = 0x6669_6c65;
/// Salt of a snapshot's manifest.
pub const SALT_MANIFEST: u64 = 0x6d61_6e69;

/// The checksum of `bytes` under `salt`.
pub fn salted(salt: u64, bytes: &[u8]) -> u32 {
    append(crc32c::crc32c(&salt.to_le_bytes()), bytes)
}

/// Continues a checksum: `append(salted(s, a), b)` equals `salted(s, ab)`.
pub fn append(crc: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc, bytes)
}

#[cfg(test)]
mod tests {
    use super::{append, salted};

    #[test]
    fn parts_make_the_whole_and_salts_differ() {
        assert_eq!(append(salted(7, b"one"), b"two"), salted(7, b"onetwo"));
        assert_ne!(salted(7, b"one"), salted(8, b"one"));
        // A zeroed sector must not pass for an empty frame.
        assert_ne!(salted(0, b""), 0);
        // Frozen: every file on every disk depends on it.
        assert_eq!(salted(1, b"kontiki"), 4_109_181_908);
    }
}
