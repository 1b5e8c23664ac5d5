//! Numbers about the log, for metrics and `status`.
//!
//! Counters since open; gauges as of now. Pure copies: reading them never touches the disk.

/// What one [`crate::Log::write`] did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct WriteStats {
    /// Frames written; one unless the records were many.
    pub frames: u64,
    /// Bytes written, padding included.
    pub bytes: u64,
    /// Times a segment was full and the next one taken; each cost a sync.
    pub rotations: u64,
    /// Appends that took the place of entries logged before.
    pub suffixes_cut: u64,
}

/// Counters and gauges of the log.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Frames written since open.
    pub frames: u64,
    /// Bytes written since open, padding included.
    pub bytes: u64,
    /// Syncs of segments since open.
    pub syncs: u64,
    /// Segments filled since open.
    pub rotations: u64,
    /// Segments that had to be prepared while writers waited: the pool was empty.
    pub prepared_inline: u64,
    /// Bytes of leftovers rewritten to free old segments.
    pub rewritten_bytes: u64,
    /// Segments freed since open.
    pub retired: u64,
    /// Segments the log needs now, the one being written included.
    pub segments: usize,
    /// Ready segments in the pool now.
    pub ready: usize,
    /// Groups the log knows now.
    pub groups: usize,
    /// Sequence number of the newest frame.
    pub last_frame: u64,
    /// Sequence number of the newest frame known durable.
    pub synced_frame: u64,
}
