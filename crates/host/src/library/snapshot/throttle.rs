//! How fast snapshots may be written, read and sent: so many bytes a second for the whole host, so
//! that seeding a replica does not starve the log of the disk and the network.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much may be taken ahead of time after a rest.
const BURST: Duration = Duration::from_millis(100);

/// See the module. Whoever takes too much sleeps; only threads for slow work take anything.
#[derive(Debug)]
pub(crate) struct Throttle {
    bytes_per_second: u64,
    /// When all that was taken is paid for.
    paid_at: Mutex<Instant>,
}

impl Throttle {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        let bytes_per_second = bytes_per_second.max(1);
        Self { bytes_per_second, paid_at: Mutex::new(Instant::now()) }
    }

    /// Wait until so many bytes may pass.
    pub(crate) fn take(&self, bytes: usize) {
        let wait = self.charge(bytes, Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
    }

    fn charge(&self, bytes: usize, now: Instant) -> Duration {
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = now.checked_sub(BURST).unwrap_or(now);
        *paid_at = (*paid_at).max(rested) + cost;
        paid_at.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_paid_for_in_time() {
        let throttle = Throttle::new(1000);
        let now = Instant::now() + Duration::from_secs(1);
        assert_eq!(throttle.charge(100, now), Duration::ZERO, "the burst");
        assert_eq!(throttle.charge(500, now), Duration::from_millis(500));
        let later = now + Duration::from_millis(200);
        assert_eq!(throttle.charge(100, later), Duration::from_millis(400));
    }
}
