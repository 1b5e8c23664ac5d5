//! The one place that reads the monotonic clock, and hands it on as a value.
//!
//! `CLOCK_BOOTTIME`, not `CLOCK_MONOTONIC`: a lease must run out while the machine is suspended, or
//! a leader that wakes up would answer reads that another one has overtaken.

use std::time::Duration;

use kontiki_types::Moment;
use rustix::time::{ClockId, clock_gettime};

/// A monotonic clock that starts at its creation. `Copy`: all threads of a host share one start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Duration,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: since_boot() }
    }

    pub(crate) fn now(self) -> Moment {
        let micros = since_boot().saturating_sub(self.start).as_micros();
        // Half a million years fit; the cast cannot lose anything.
        Moment(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

fn since_boot() -> Duration {
    // The clock never goes back and never reads before the boot.
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}
