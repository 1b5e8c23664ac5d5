//! A distribution of whole numbers in buckets whose width is a sixteenth of their value: quantiles
//! are right within six percent, whatever the range, at a fixed size and without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const PARTS_BITS: u32 = 4;
/// Buckets for each power of two.
const PARTS: u64 = 1 << PARTS_BITS;
/// All powers of two of a `u64`; the first [`PARTS`] values have a bucket each.
const BUCKETS: usize = (64 - PARTS_BITS as usize + 1) << PARTS_BITS;
/// Quantiles tell of at least this long.
const WINDOW: Duration = Duration::from_mins(1);

/// See the module.
#[derive(Debug)]
pub struct Distribution {
    count: AtomicU64,
    sum: AtomicU64,
    now: Box<[AtomicU64]>,
    /// The window before, and when it ended.
    before: Mutex<(Vec<u64>, Instant)>,
}

/// A distribution in a few numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Observations since the start.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The least of the window.
    pub min: u64,
    /// The greatest of the window.
    pub max: u64,
    /// Value at each of [`Summary::QUANTILES`], in the window.
    pub quantiles: [u64; 5],
}

impl Summary {
    /// Which ones are told.
    pub const QUANTILES: [f64; 5] = [0.5, 0.75, 0.95, 0.99, 0.999];
}

impl Default for Distribution {
    fn default() -> Self {
        Self {
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            now: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            before: Mutex::new((Vec::new(), Instant::now())),
        }
    }
}

impl Distribution {
    /// One more.
    pub fn observe(&self, value: u64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
        if let Some(bucket) = self.now.get(bucket(value)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// In a few numbers. Begins a new window when the current one is old enough.
    pub fn summary(&self) -> Summary {
        let mut window: Vec<u64> =
            self.now.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = window.clone();
        for (sum, old) in window.iter_mut().zip(&before.0) {
            *sum += old;
        }
        if before.1.elapsed() >= WINDOW {
            for (bucket, count) in self.now.iter().zip(&fresh) {
                bucket.fetch_sub(*count, Ordering::Relaxed);
            }
            *before = (fresh, Instant::now());
        }
        drop(before);
        let total: u64 = window.iter().sum();
        let first = window.iter().position(|&count| count > 0).unwrap_or(0);
        let last = window.iter().rposition(|&count| count > 0).unwrap_or(0);
        let at = |quantile: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
            let rank = ((total as f64 * quantile).ceil() as u64).max(1);
            let mut seen = 0;
            let found = window.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            found.map_or(0, value)
        };
        Summary {
            count: self.count.load(Ordering::Relaxed),
            sum: self.sum.load(Ordering::Relaxed),
            min: value(first),
            max: value(last),
            quantiles: Summary::QUANTILES.map(at),
        }
    }
}

fn bucket(value: u64) -> usize {
    let power = (u64::BITS - 1).saturating_sub(value.leading_zeros());
    let index = if power < PARTS_BITS {
        value
    } else {
        let part = (value >> (power - PARTS_BITS)) - PARTS;
        u64::from(power - PARTS_BITS + 1) * PARTS + part
    };
    usize::try_from(index).unwrap_or(BUCKETS)
}

/// The middle of a bucket.
fn value(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let (power, part) = (bucket / PARTS, bucket % PARTS);
    match power.checked_sub(1) {
        None => part,
        Some(shift) => ((PARTS + part) << shift) + ((1_u64 << shift) / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_bucket_near_it() {
        for value in (0..200).chain([1000, 65_535, 1 << 40, u64::MAX - 1]) {
            let found = super::value(bucket(value));
            assert!(found.abs_diff(value) <= value / 16, "{value} becomes {found}");
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn a_summary_tells_the_quantiles() {
        let distribution = Distribution::default();
        assert_eq!(distribution.summary(), Summary::default());
        for value in 1..=1000 {
            distribution.observe(value);
        }
        let summary = distribution.summary();
        assert_eq!((summary.count, summary.sum, summary.min), (1000, 500_500, 1));
        for (found, expected) in summary.quantiles.into_iter().zip([500, 750, 950, 990, 999]) {
            assert!(found.abs_diff(expected) <= expected / 16, "{summary:?}");
        }
    }
}
