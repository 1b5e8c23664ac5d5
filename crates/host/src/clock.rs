//! The one place that reads the monotonic clock, and hands it on as a value.

use std::time::Instant;

use kontiki_types::Moment;

/// A monotonic clock that starts at its creation. `Copy`: all threads of a host share one start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(self) -> Moment {
        let micros = self.start.elapsed().as_micros();
        // Half a million years fit; the cast cannot lose anything.
        Moment(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}
