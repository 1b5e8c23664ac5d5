//! The longest time without any acknowledged write: what users feel of a fault.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Gaps longer than this are remembered one by one.
const NOTED: Duration = Duration::from_millis(1500);
/// How many of them.
const NOTED_MAX: usize = 20;

/// A time without acknowledgement, counted from the start of the load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gap {
    /// The last acknowledgement before it.
    pub(crate) from: Duration,
    /// The first one after it.
    pub(crate) until: Duration,
}

/// Counts acknowledgements and remembers the longest gap between two.
#[derive(Debug)]
pub(crate) struct AckClock {
    start: Instant,
    last_us: AtomicU64,
    longest_us: AtomicU64,
    count: AtomicU64,
    noted: Mutex<Vec<Gap>>,
}

impl AckClock {
    /// A clock that starts now: the time to the first acknowledgement counts too.
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            last_us: AtomicU64::new(0),
            longest_us: AtomicU64::new(0),
            count: AtomicU64::new(0),
            noted: Mutex::default(),
        }
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// A write was acknowledged.
    pub(crate) fn ack(&self) {
        self.count.fetch_add(1, Relaxed);
        self.mark(self.now());
    }

    /// Time goes on until now without an acknowledgement: called once, when the load ends.
    pub(crate) fn close(&self) {
        self.mark(self.now());
    }

    fn mark(&self, now: Duration) {
        let now_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        // Two tasks may arrive in the other order than they read the clock: never go back.
        let last_us = self.last_us.fetch_max(now_us, Relaxed);
        let gap_us = now_us.saturating_sub(last_us);
        self.longest_us.fetch_max(gap_us, Relaxed);
        if Duration::from_micros(gap_us) >= NOTED {
            let mut noted = self.noted.lock().expect("nobody panics while noting a gap");
            if noted.len() < NOTED_MAX {
                noted.push(Gap { from: Duration::from_micros(last_us), until: now });
            }
        }
    }

    /// Acknowledged writes so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// The longest gap so far, between two acknowledgements.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.longest_us.load(Relaxed))
    }

    /// The first gaps that were long, in order.
    pub(crate) fn long_gaps(&self) -> Vec<Gap> {
        self.noted.lock().expect("nobody panics while noting a gap").clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_kept_and_long_ones_are_noted() {
        let clock = AckClock::new();
        for ms in [100, 150, 900, 850, 1000] {
            clock.mark(Duration::from_millis(ms));
        }
        assert_eq!(clock.longest(), Duration::from_millis(750));
        assert_eq!(clock.long_gaps(), []);
        let (from, until) = (Duration::from_secs(1), Duration::from_secs(3));
        clock.mark(until);
        assert_eq!(clock.longest(), Duration::from_secs(2));
        assert_eq!(clock.long_gaps(), [Gap { from, until }]);
    }
}
