//! Garbage collection: the oldest segment goes when nothing in it is needed.

use kontiki_types::RegionId;

/// What one [`crate::Log::collect`] did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Collected {
    /// Segments freed; their files are recycled or removed once the note of it is durable.
    pub retired: usize,
    /// Bytes rewritten to free the oldest segment.
    pub rewritten_bytes: usize,
    /// Groups whose entries hold the oldest segment back and are too many to rewrite, the ones
    /// that hold most first: they must compact.
    pub laggards: Vec<RegionId>,
    /// There is more to do at once: call again after the next sync.
    pub more: bool,
}
