//! Every bound of the log, with the arithmetic that links it to its neighbours.
//!
//! Read by all modules of the crate and by hosts that size their batches. Nothing here is tuned at
//! run time; what a user may tune is in [`crate::Config`].

use kontiki_types::limits::{APPEND_BYTES_MAX, ENTRY_BYTES_MAX};

/// Bytes of a segment unless configured otherwise.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// Smallest segment: the header block and one page of frames. Only tests want it this small.
pub const SEGMENT_BYTES_MIN: u64 = 2 * PAGE_BYTES;
/// Largest segment: recovery holds one in memory.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Writes end on a multiple of this (padded with zeroes), so that the kernel never has to read the
/// rest of a page of a recycled file before it may change it.
pub const PAGE_BYTES: u64 = 4096;
/// Frames begin on multiples of this, which makes the search for frames behind damage quick.
pub const FRAME_ALIGN: u64 = 8;
/// Most bytes of one frame; more records become several frames, recovered in order.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of records, by their upper bounds, at which a frame ends unless one record is larger: a
/// frame is built, summed and written while it is still in the processor's cache.
pub const FRAME_BYTES_TARGET: usize = 1024 * 1024;
/// Bytes the log adds to an entry at most: its codec header and its share of record, section and
/// frame heads.
pub const ENTRY_OVERHEAD_BYTES: usize = 256;
/// Ready segments kept in the pool unless configured otherwise: one to rotate into while the next
/// is being prepared.
pub const READY_SEGMENTS_DEFAULT: usize = 2;
/// Segments the log keeps before it starts to rewrite what holds the oldest one back.
pub const KEEP_SEGMENTS_DEFAULT: usize = 4;
/// Most bytes of one group that [`crate::Log::collect`] rewrites, and about the most of one call,
/// so that a sync never waits long behind it. A group with more must compact.
pub const REWRITE_BYTES_MAX: usize = 1024 * 1024;
/// At so many times the segments to keep, even a group with more is rewritten, up to a frame.
pub const CROWDED_TIMES: usize = 2;
/// Groups that hold the oldest segment back, named by one [`crate::Log::collect`]; more where these
/// hold less than two segments.
pub const LAGGARDS_MIN: usize = 64;
/// Bytes written between two syncs while a segment is pre-written: the flush of a whole segment at
/// once would stand in the way of the syncs of the log itself.
pub const PREWRITE_SYNC_BYTES: u64 = 1024 * 1024;

// The largest entry fits a frame, and a full append message does too; a frame fits a segment.
const _: () = assert!(ENTRY_BYTES_MAX + ENTRY_OVERHEAD_BYTES <= FRAME_BYTES_MAX);
const _: () = assert!(APPEND_BYTES_MAX + ENTRY_OVERHEAD_BYTES <= FRAME_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX as u64 + PAGE_BYTES <= SEGMENT_BYTES_DEFAULT);
// Lengths inside a segment are stored in 32 bits.
const _: () = assert!(SEGMENT_BYTES_MAX <= u32::MAX as u64);
const _: () = assert!(PREWRITE_SYNC_BYTES.is_multiple_of(PAGE_BYTES));
