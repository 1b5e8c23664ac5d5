//! Latencies of one run, merged from its clients: every single one is kept, so quantiles are exact
//! and a client's list stays small in the caches of the machine under test.
//!
//! Filled by the closed loop and by `log`; asked only when a run is over.

use std::time::Duration;

/// Latencies in nanoseconds, in no order until [`Samples::sort`].
#[derive(Default)]
pub(crate) struct Samples(Vec<u64>);

impl Samples {
    pub(crate) fn record(&mut self, took: Duration) {
        self.0.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// Call it once, before the first [`Samples::quantile_ms`].
    pub(crate) fn sort(&mut self) {
        self.0.sort_unstable();
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// The smallest latency in milliseconds that `quantile` of all do not exceed; 0 without any.
    ///
    /// # Panics
    /// When the samples are not sorted: the answer would be nonsense.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        assert!((0.0..=1.0).contains(&quantile), "{quantile} is no quantile");
        assert!(self.0.is_sorted(), "quantile {quantile} of unsorted samples");
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a fraction of a length is a length"
        )]
        let rank = (self.0.len() as f64 * quantile).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).map_or(0.0, |&nanos| nanos as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact() {
        let (mut odd, mut even) = (Samples::default(), Samples::default());
        for ms in (1..=1000).rev() {
            let half = if ms % 2 == 0 { &mut even } else { &mut odd };
            half.record(Duration::from_millis(ms));
        }
        odd.add(&even);
        odd.sort();
        let at = |quantile: f64| (odd.quantile_ms(quantile) * 1000.0).round();
        assert_eq!(odd.count(), 1000);
        assert_eq!((at(0.5), at(0.99), at(0.999), at(1.0)), (500e3, 990e3, 999e3, 1000e3));
    }

    #[test]
    fn no_sample_no_latency() {
        let none = Samples::default();
        assert!(none.quantile_ms(0.99).abs() < f64::EPSILON);
    }
}
