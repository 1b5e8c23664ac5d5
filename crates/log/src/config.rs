//! Settings of a log, checked once at open.
//!
//! The host makes one from the user's configuration; tests make segments small. Must never reach
//! for defaults behind the caller's back: every value is here.

use crate::Error;
use crate::limits;

/// Settings of a log.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bytes of a segment file; a multiple of [`limits::PAGE_BYTES`]. Segments of other sizes that
    /// are already there stay as they are. Default 64 MiB.
    pub segment_bytes: u64,
    /// Ready segments to keep in the pool. Default 2.
    pub ready_segments: usize,
    /// Segments to keep before leftovers are rewritten to free the oldest. Default 4.
    pub keep_segments: usize,
    /// A number unlikely to be drawn twice: salts checksums, so that bytes of another life of a
    /// file, or bytes a client made up, never pass for a frame. The host draws it at random, the
    /// simulator from its seed.
    pub salt: u64,
}

impl Config {
    /// The defaults with this salt.
    pub fn new(salt: u64) -> Self {
        Self {
            segment_bytes: limits::SEGMENT_BYTES_DEFAULT,
            ready_segments: limits::READY_SEGMENTS_DEFAULT,
            keep_segments: limits::KEEP_SEGMENTS_DEFAULT,
            salt,
        }
    }

    /// Refuses settings that cannot work.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let bytes = self.segment_bytes;
        let range = limits::SEGMENT_BYTES_MIN..=limits::SEGMENT_BYTES_MAX;
        if !range.contains(&bytes) || !bytes.is_multiple_of(limits::PAGE_BYTES) {
            return Err(Error::Config {
                name: "segment_bytes",
                value: bytes,
                expected: "a multiple of 4096 between 8192 and 1073741824",
            });
        }
        Ok(())
    }
}
