//! Why bytes were refused.
//!
//! Every decoder of this crate answers one of these; none of them panics. The caller decides what
//! a refusal means: a torn tail, a damaged group, a peer of another version, a hostile client.

/// Bytes that do not say what they should.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end inside a value.
    #[error("bytes end inside a value")]
    Truncated,
    /// A value that no encoder writes.
    #[error("bytes are damaged: {0}")]
    Corrupt(&'static str),
    /// The checksum does not match what it covers.
    #[error("checksum does not match: stored {stored:08x}, computed {computed:08x}")]
    Checksum {
        /// What the bytes claim.
        stored: u32,
        /// What they are.
        computed: u32,
    },
    /// A format this build does not know: written by a newer one, or not ours at all.
    #[error("format version {0} is not known to this build; run a newer one")]
    Version(u32),
}

/// What decoders answer.
pub type Result<T> = std::result::Result<T, Error>;
