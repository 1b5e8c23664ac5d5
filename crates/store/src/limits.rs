//! Every bound of this crate. Those that clients and other crates must know are in
//! `kontiki_types::limits`.

use kontiki_types::limits::{SNAPSHOT_CHUNK_BYTES, VALUE_BYTES_MAX};

/// Outcome records a region keeps before it folds them into session rows. Opening a store replays
/// this many small rows per region; folding rewrites each session touched since the last time.
pub const RECORDS_MAX: usize = 64;

/// Bytes of outcome records before they are folded: conditional writes remember values.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// What the outcomes of one session may take in memory; beyond, its writes are refused as
/// `SessionFull` until the client acknowledges some. Room for several full values.
pub const SESSION_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What the outcomes of all sessions of a region may take; beyond, the session unused longest is
/// forgotten.
pub const SESSIONS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Memory an outcome takes beside the value it remembers.
pub const OUTCOME_OVERHEAD_BYTES: usize = 64;

/// Expired sessions forgotten per payload: the work of a burst of expiries is spread, and equally
/// on every replica, because it is counted in payloads.
pub const EXPIRED_PER_PAYLOAD: usize = 16;

/// Rows a range delete removes in one engine batch.
pub const DELETE_CHUNK_ROWS: usize = 8192;

/// Bytes of an incoming snapshot that are checked in memory before anything is destroyed. A larger
/// snapshot that turns out damaged leaves the region empty until another one arrives.
pub const INSTALL_CHECK_BYTES: usize = 64 * 1024 * 1024;

/// State hashes a region remembers, the newest ones.
pub const STATE_HASHES_KEPT: usize = 8;

/// State hashes of one region under way at the same time; further requests are answered, but not
/// computed on this replica.
pub const STATE_HASH_JOBS_MAX: usize = 2;

// A session is not full after a single outcome, and one session does not evict all others.
const _: () = assert!(SESSION_BYTES_MAX > 2 * (VALUE_BYTES_MAX + OUTCOME_OVERHEAD_BYTES));
const _: () = assert!(SESSIONS_BYTES_MAX >= 2 * SESSION_BYTES_MAX);
const _: () = assert!(INSTALL_CHECK_BYTES > SNAPSHOT_CHUNK_BYTES);
