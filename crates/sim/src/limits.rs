//! Every bound of the simulator, with its reason.
//!
//! A simulated cluster that goes wrong tends to go wrong without end: a storm of messages, an
//! operation that never returns, a search that never finishes. Each of these numbers turns one such
//! end into a violation with a name. Nothing here is a setting of the product.

use std::time::Duration;

/// Most groups of a run: two digits of a key tell whose it is.
pub const GROUPS_MAX: usize = 20;
/// Most happenings in one virtual second. A healthy run has some thousands; an exponential storm of
/// messages passes this within a virtual second instead of hanging the simulator.
pub const HAPPENINGS_PER_SECOND_MAX: u64 = 300_000;
/// Operations on one register key before the workload turns to a fresh key: the linearizability
/// search is exponential in the worst case and quick for short histories.
pub const KEY_OPERATIONS_MAX: u64 = 250;
/// Elements of a set before the workload turns to a fresh one: far fewer than one page of a scan.
pub const SET_ELEMENTS_MAX: u64 = 50;
/// Configurations the linearizability search may remember per key.
pub const SEARCH_BUDGET: usize = 400_000;
/// Longest a pending operation may take once every fault is gone.
pub const DRAIN_MAX: Duration = Duration::from_secs(30);
/// Longest the replicas may take to converge after the last operation, or after the last part of a
/// snapshot that arrived: thousands of small parts, one after the other over a slow network, take
/// longer, and so may a second snapshot when the log did not wait for the first.
pub const CONVERGE_MAX: Duration = Duration::from_mins(1);
/// Longest they may take in all, or snapshots do not get them anywhere.
pub const CONVERGE_IN_ALL_MAX: Duration = Duration::from_mins(10);
/// Longest a group that sleeps may have no leader after its own died: a store's silence, the spread
/// of wake-ups, and some election timeouts in which those wanted less wait.
pub const SUCCEED_MAX: Duration = Duration::from_secs(30);
/// The engine's rows are hashed when the applied index is a multiple of this; replicas that stop at
/// the same index must have equal hashes.
pub const HASH_EVERY_ENTRIES: u64 = 16;
/// Callers that may wait at a store at once; more are told that it is busy.
pub const CALLERS_MAX: usize = 64;
/// Most values of one write.
pub const WRITE_VALUES_MAX: u64 = 3;
/// Most bytes a receiver keeps of one snapshot stream.
pub const SPOOL_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Longest the sender of a snapshot waits for the acknowledgement of one chunk.
pub const CHUNK_TIMEOUT: Duration = Duration::from_secs(2);
/// Least operations that must end well in a virtual minute in which some group could commit, or the
/// run proves nothing.
pub const OPERATIONS_PER_MINUTE_MIN: u64 = 20;
/// Election timeouts in which the stores of a quorum must have been at work for that: time to elect
/// a leader, and for clients to find it.
pub const SETTLE_TIMEOUTS: u32 = 10;

const _: () = assert!(GROUPS_MAX < 100);
const _: () = assert!(SET_ELEMENTS_MAX < kontiki_types::limits::SCAN_ROWS_MAX as u64);
// The final reads of a key must fit its history.
const _: () = assert!(KEY_OPERATIONS_MAX < 1000);
