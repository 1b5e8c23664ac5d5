//! How long to wait before trying again: exponential, bounded, with jitter. Pure: the random draw
//! is an argument.

use std::time::Duration;

/// The first wait.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(5);
/// The longest wait.
pub const BACKOFF_MAX: Duration = Duration::from_millis(200);

/// The wait before try number `tries + 1` after `tries` (at least 1) failed ones. It lies between
/// half of the nominal wait and all of it, so that callers that failed together spread out.
pub fn backoff(tries: u32, draw: u64) -> Duration {
    let doublings = tries.saturating_sub(1).min(16);
    let nominal = (BACKOFF_FIRST * (1 << doublings)).min(BACKOFF_MAX);
    let half = nominal / 2;
    let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX) + 1;
    half + Duration::from_micros(draw % spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_spread_over_their_upper_half() {
        for (tries, nominal_ms) in [(0, 5), (1, 5), (2, 10), (3, 20), (6, 160), (7, 200), (99, 200)]
        {
            let nominal = Duration::from_millis(nominal_ms);
            let waits = (0..100_000).step_by(7).map(|draw| backoff(tries, draw));
            let (least, most) = waits.fold((BACKOFF_MAX, Duration::ZERO), |(least, most), wait| {
                (least.min(wait), most.max(wait))
            });
            assert!(least >= nominal / 2 && most <= nominal, "{tries}: {least:?} to {most:?}");
            assert!(most > least + nominal / 3, "{tries}: {least:?} to {most:?} do not spread");
        }
    }
}
