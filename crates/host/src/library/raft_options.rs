//! What a node is told about replication itself: sizes, windows, margins, and how far clocks are
//! trusted. JRaft's `RaftOptions`; the guide's last section has the table.
//!
//! The defaults are those of the core, `kontiki_raft::Config`. What no group could live with is
//! refused when the host starts; the rest is the user's judgement.

use std::time::Duration;

use kontiki_multiraft::membership_codec;
use kontiki_raft::Config;
use kontiki_types::{PeerId, limits};

use super::error::Error;

/// Settings of all groups of a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RaftOptions {
    /// Most entry bytes in one append to a follower, of which one entry may always be more. Default
    /// 1 MiB (JRaft: 512 KiB, and 1,024 entries).
    pub append_bytes_max: usize,
    /// Most appends on their way to one follower. Default 256, as in JRaft.
    pub inflight_messages_max: usize,
    /// Most bytes on their way to one follower. Default 32 MiB.
    pub inflight_bytes_max: usize,
    /// Most bytes of a group that are not committed; beyond it tasks are refused as busy. Default
    /// 64 MiB.
    pub uncommitted_bytes_max: usize,
    /// Most bytes of entries that the state machine gets at a time. Default 4 MiB (JRaft: 32
    /// tasks).
    pub apply_bytes_max: usize,
    /// A new voter may lack so many entries when it gets its vote. Default 1,000, as in JRaft.
    pub catch_up_entries_max: u64,
    /// And so many bytes. Default 8 MiB.
    pub catch_up_bytes_max: usize,
    /// A transfer to a peer that lacks more entries is refused. Default 10,000.
    pub transfer_lag_max: u64,
    /// A follower with more entries still to apply refuses reads at once. Default: they wait.
    pub read_lag_max: Option<u64>,
    /// How far clocks may run fast or slow, in millionths, as lease reads trust. Default 10,000,
    /// one percent (JRaft: the lease lasts 90 % of the election timeout).
    pub clock_drift_ppm_max: u32,
    /// Taken off the lease besides. Default 20 ms.
    pub lease_slack: Duration,
}

impl Default for RaftOptions {
    fn default() -> Self {
        let core = Config::new(PeerId(1), 0, membership_codec());
        Self {
            append_bytes_max: core.append_bytes_max,
            inflight_messages_max: core.inflight_messages_max,
            inflight_bytes_max: core.inflight_bytes_max,
            uncommitted_bytes_max: core.uncommitted_bytes_max,
            apply_bytes_max: core.apply_bytes_max,
            catch_up_entries_max: core.catch_up_entries_max,
            catch_up_bytes_max: core.catch_up_bytes_max,
            transfer_lag_max: core.transfer_lag_max,
            read_lag_max: core.read_lag_max,
            clock_drift_ppm_max: core.clock_drift_ppm_max,
            lease_slack: core.lease_slack,
        }
    }
}

impl RaftOptions {
    /// # Errors
    /// [`Error::Invalid`], with the name of what no group could live with.
    pub(super) fn check(&self) -> Result<(), Error> {
        const MILLION: u32 = 1_000_000;
        let most = limits::APPEND_BYTES_MAX;
        let bad = if self.append_bytes_max > most {
            format!("append_bytes_max is {}: a frame takes {most}", self.append_bytes_max)
        } else if self.inflight_messages_max == 0 {
            "inflight_messages_max is 0: nothing would ever be sent".to_owned()
        } else if self.uncommitted_bytes_max < limits::ENTRY_BYTES_MAX {
            let (bytes, task) = (self.uncommitted_bytes_max, limits::ENTRY_BYTES_MAX);
            format!("uncommitted_bytes_max is {bytes}: one task may have {task}")
        } else if self.clock_drift_ppm_max >= MILLION {
            let ppm = self.clock_drift_ppm_max;
            format!("clock_drift_ppm_max is {ppm}: a clock that stands still proves nothing")
        } else {
            return Ok(());
        };
        Err(Error::Invalid(bad))
    }

    /// What the core is told.
    pub(super) fn tell(&self, config: &mut Config) {
        config.append_bytes_max = self.append_bytes_max;
        config.inflight_messages_max = self.inflight_messages_max;
        config.inflight_bytes_max = self.inflight_bytes_max;
        config.uncommitted_bytes_max = self.uncommitted_bytes_max;
        config.apply_bytes_max = self.apply_bytes_max;
        config.catch_up_entries_max = self.catch_up_entries_max;
        config.catch_up_bytes_max = self.catch_up_bytes_max;
        config.transfer_lag_max = self.transfer_lag_max;
        config.read_lag_max = self.read_lag_max;
        config.clock_drift_ppm_max = self.clock_drift_ppm_max;
        config.lease_slack = self.lease_slack;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_reaches_the_core() {
        let options = RaftOptions {
            append_bytes_max: 1,
            inflight_messages_max: 2,
            inflight_bytes_max: 3,
            uncommitted_bytes_max: 4,
            apply_bytes_max: 5,
            catch_up_entries_max: 6,
            catch_up_bytes_max: 7,
            transfer_lag_max: 8,
            read_lag_max: Some(9),
            clock_drift_ppm_max: 10,
            lease_slack: Duration::from_millis(11),
        };
        let mut told = Config::new(PeerId(1), 0, membership_codec());
        options.tell(&mut told);
        let plain = Config::new(PeerId(1), 0, membership_codec());
        let expected = Config {
            append_bytes_max: 1,
            inflight_messages_max: 2,
            inflight_bytes_max: 3,
            uncommitted_bytes_max: 4,
            apply_bytes_max: 5,
            catch_up_entries_max: 6,
            catch_up_bytes_max: 7,
            transfer_lag_max: 8,
            read_lag_max: Some(9),
            clock_drift_ppm_max: 10,
            lease_slack: Duration::from_millis(11),
            ..plain
        };
        assert_eq!(format!("{told:?}"), format!("{expected:?}"));
    }

    #[test]
    fn what_no_group_could_live_with_is_refused_by_name() {
        let good = RaftOptions::default();
        assert_eq!(good.check(), Ok(()));
        let bad = [
            RaftOptions { append_bytes_max: limits::APPEND_BYTES_MAX + 1, ..good.clone() },
            RaftOptions { inflight_messages_max: 0, ..good.clone() },
            RaftOptions { uncommitted_bytes_max: 1024, ..good.clone() },
            RaftOptions { clock_drift_ppm_max: 1_000_000, ..good },
        ];
        let names = ["append_bytes", "inflight_messages", "uncommitted_bytes", "clock_drift_ppm"];
        for (options, name) in bad.into_iter().zip(names) {
            let refused = options.check();
            let is_named = |why: &str| why.starts_with(name);
            assert!(matches!(&refused, Err(Error::Invalid(why)) if is_named(why)), "{refused:?}");
        }
    }
}
