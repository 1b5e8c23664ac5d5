//! Bounds that belong to the protocol itself rather than to one peer's [`crate::Config`].

use std::time::Duration;

/// Shortest election timeout: in less a busy machine does not even run the threads of a leader, and
/// its peers would depose it all the time.
pub const ELECTION_TIMEOUT_MIN: Duration = Duration::from_millis(10);
/// Longest election timeout: whoever wants no elections at all has none for a day. Multiples of it
/// are far from what a number of microseconds can hold.
pub const ELECTION_TIMEOUT_MAX: Duration = Duration::from_hours(24);
/// Shortest time between heartbeats: with none between them a leader would do nothing else.
pub const HEARTBEAT_INTERVAL_MIN: Duration = Duration::from_millis(1);

/// Read rounds started by heartbeats of their own that may be under way at once: one leaving while
/// one returns. Reads beyond that wait and share the next round; appends carry rounds in any case.
pub(crate) const READ_ROUNDS_MAX: usize = 2;

/// Moments remembered within one lease: it is known to a part of this many.
pub(crate) const LEASE_MARKS_MAX: u32 = 32;

/// A follower that refuses the log's start this many election timeouts after its snapshot was
/// delivered, and does not say it is installing, has lost it and gets another.
pub(crate) const SNAPSHOT_PATIENCE_TIMEOUTS: u32 = 1;

/// Into so many slots, one for each heir, the time is cut in which a leader that has surely gone
/// is succeeded; more heirs, more slots. Fewer, wider ones would gain nothing: an election takes
/// milliseconds.
pub(crate) const SUCCESSION_SLOTS_MIN: u64 = 4;

/// Most transitions one input may cause: a lone voter goes pre-candidate, candidate.
pub(crate) const TRANSITIONS_MAX: usize = 4;
