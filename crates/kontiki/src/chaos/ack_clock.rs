//! The longest time without any acknowledged write: what users feel of a fault.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Counts acknowledgements and remembers the longest gap between two.
#[derive(Debug)]
pub(crate) struct AckClock {
    start: Instant,
    last_us: AtomicU64,
    longest_us: AtomicU64,
    count: AtomicU64,
}

impl AckClock {
    /// A clock that starts now: the time to the first acknowledgement counts too.
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            last_us: AtomicU64::new(0),
            longest_us: AtomicU64::new(0),
            count: AtomicU64::new(0),
        }
    }

    /// A write was acknowledged.
    pub(crate) fn ack(&self) {
        self.ack_at(self.start.elapsed());
    }

    fn ack_at(&self, since_start: Duration) {
        self.count.fetch_add(1, Relaxed);
        self.mark(since_start);
    }

    /// Time goes on until now without an acknowledgement: called once, when the load ends.
    pub(crate) fn close(&self) {
        self.mark(self.start.elapsed());
    }

    fn mark(&self, since_start: Duration) {
        let now_us = u64::try_from(since_start.as_micros()).unwrap_or(u64::MAX);
        // Two tasks may arrive in the other order than they read the clock: never go back.
        let last_us = self.last_us.fetch_max(now_us, Relaxed);
        self.longest_us.fetch_max(now_us.saturating_sub(last_us), Relaxed);
    }

    /// Acknowledged writes so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// The longest gap so far, between two acknowledgements.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.longest_us.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_kept() {
        let clock = AckClock::new();
        for ms in [100, 150, 900, 850, 1000] {
            clock.ack_at(Duration::from_millis(ms));
        }
        assert_eq!(clock.longest(), Duration::from_millis(750));
        clock.mark(Duration::from_secs(2));
        assert_eq!(clock.longest(), Duration::from_secs(1));
        assert_eq!(clock.count(), 5);
    }
}
