//! Estimates an engine gives about itself, for status pages and heartbeats.
//!
//! Numbers are approximate and may lag; no decision of correctness may rest on them.

/// What an engine occupies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Which engine this is: `memory`, `fjall`, ….
    pub name: &'static str,
    /// Bytes on disk; 0 for an engine that has none.
    pub disk_bytes: u64,
    /// Bytes in memory: write buffers and caches, or the data itself for a memory engine.
    pub memory_bytes: u64,
}
