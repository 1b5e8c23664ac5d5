//! Settings of replication that a user may have reasons to change: sizes, windows, margins, and how
//! far clocks are trusted.
//!
//! Part of [`crate::Config`]; the library shows them to its users as they are.

use std::time::Duration;

use kontiki_types::limits;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Most entry bytes in one append to a follower, of which one entry may always be more. Default
    /// 1 MiB (JRaft: 512 KiB, and 1,024 entries).
    pub append_bytes_max: usize,
    /// Most appends on their way to one follower. Default 256, as in JRaft.
    pub inflight_messages_max: usize,
    /// Most bytes on their way to one follower. Default 32 MiB.
    pub inflight_bytes_max: usize,
    /// Most bytes of a group that are not committed; more proposals are refused as busy. Default
    /// 64 MiB.
    pub uncommitted_bytes_max: usize,
    /// Most bytes of entries that the state machine gets at a time, and has not reported applied;
    /// one entry may always go. Default 4 MiB (JRaft: 32 tasks).
    pub apply_bytes_max: usize,
    /// A new voter may lack so many entries when it gets its vote. Default 1,000, as in JRaft.
    pub catch_up_entries_max: u64,
    /// And so many bytes: until it has them, a commit may have to wait for it. Default 8 MiB.
    pub catch_up_bytes_max: usize,
    /// A transfer to a peer that lacks more entries is refused. Default 10,000.
    pub transfer_lag_max: u64,
    /// A follower with more entries still to apply refuses reads at once. Default: they wait.
    pub read_lag_max: Option<u64>,
    /// How far clocks may run fast or slow at worst, in millionths. Lease reads trust in it, and in
    /// an election timeout that is the same on every peer. The moments given to a node must come
    /// from a clock that counts time suspended (`CLOCK_BOOTTIME`): one that stands still while the
    /// machine sleeps drifts without bound. Default 10,000, one percent (JRaft: the lease lasts
    /// 90 % of the election timeout).
    pub clock_drift_ppm_max: u32,
    /// Taken off the lease besides, for what the drift does not cover. Default 20 ms.
    pub lease_slack: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            append_bytes_max: 1024 * 1024,
            inflight_messages_max: 256,
            inflight_bytes_max: 4 * limits::APPEND_BYTES_MAX,
            uncommitted_bytes_max: 8 * limits::ENTRY_BYTES_MAX,
            apply_bytes_max: 4 * 1024 * 1024,
            catch_up_entries_max: 1000,
            catch_up_bytes_max: limits::APPEND_BYTES_MAX,
            transfer_lag_max: 10_000,
            read_lag_max: None,
            clock_drift_ppm_max: 10_000,
            lease_slack: Duration::from_millis(20),
        }
    }
}
