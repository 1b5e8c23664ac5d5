//! Every bound that more than one crate must agree on, with the arithmetic that links them.

/// Longest user key, in bytes.
pub const KEY_BYTES_MAX: usize = 4 * 1024;
/// Longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Most commands in one [`crate::WriteBatch`].
pub const BATCH_COMMANDS_MAX: usize = 4096;
/// Most payload bytes of one [`crate::WriteBatch`].
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes that merge into one log entry; one payload alone may reach it.
pub const ENTRY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most bytes of one append message.
pub const APPEND_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most bytes of one peer frame or one client message on the wire.
pub const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most outcomes a region keeps per client session: the window of outstanding writes of a client.
pub const SESSION_OUTCOMES_MAX: usize = 8192;
/// Most sessions a region keeps; the one unused longest goes first, or, if that was used a moment
/// ago, no other is opened.
pub const SESSIONS_MAX: usize = 65_536;
/// Most that a region lives from one payload to the next: more is a clock that jumped, or a region
/// in which nothing happened, and neither is a reason to forget anybody.
pub const SESSION_STEP_MS: u64 = 5 * 1000;
/// A session unused for this long, in milliseconds that the region lived, is forgotten.
pub const SESSION_TTL_MS: u64 = 60 * 60 * 1000;
/// A session used within this time, in milliseconds that the region lived, is never forgotten to
/// make room: a retry of a write whose answer was lost could open it again, and take effect twice.
pub const SESSION_KEPT_MS: u64 = 2 * 60 * 1000;
/// How long ago a write may have left for the first time when a client still asks its region to
/// open the session it does not know, in the client's own milliseconds.
pub const SESSION_OPEN_MS: u64 = SESSION_KEPT_MS / 2;
/// Most rows one scan answers, and most bytes of keys and values.
pub const SCAN_ROWS_MAX: usize = 10_000;
/// See [`SCAN_ROWS_MAX`].
pub const SCAN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of one snapshot chunk, before its frame.
pub const SNAPSHOT_CHUNK_BYTES: usize = 256 * 1024;

// A full value with its key fits a batch; a full batch fits an entry; an entry fits an append; an
// append fits a frame with room for the headers.
const _: () = assert!(KEY_BYTES_MAX + VALUE_BYTES_MAX < BATCH_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_MAX < ENTRY_BYTES_MAX);
const _: () = assert!(ENTRY_BYTES_MAX <= APPEND_BYTES_MAX);
const _: () = assert!(APPEND_BYTES_MAX * 2 < MESSAGE_BYTES_MAX);
// A session is not forgotten while its first requests may still be tried again.
const _: () = assert!(SESSION_OPEN_MS < SESSION_KEPT_MS && SESSION_KEPT_MS < SESSION_TTL_MS);
// Nor when clocks jump while they are.
const _: () = assert!(SESSION_OPEN_MS + 10 * SESSION_STEP_MS < SESSION_KEPT_MS);
// A client's window of outstanding writes is at least one full batch.
const _: () = assert!(BATCH_COMMANDS_MAX <= SESSION_OUTCOMES_MAX);
