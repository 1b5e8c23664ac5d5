//! The time of a region: the same on all replicas, made from the clocks of whoever proposed.
//!
//! Each payload carries its proposer's wall clock, and clocks jump. Values live by the clock on the
//! wall. Sessions must not: a clock that jumps an hour ahead would make a region forget at once
//! what its clients are about to try again. So a second time is kept for them, which counts what
//! passes between payloads, and never more than a little for one of them.

use crate::limits::SESSION_STEP_MS;
use crate::mutants::{self, Mutant};

/// See the module. Changed by apply alone, once for each payload, and stored with the state.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RegionTime {
    /// The greatest wall clock of any payload so far, milliseconds since 1970: never goes back.
    pub now_ms: u64,
    /// The wall clock that the next one is measured from.
    pub seen_ms: u64,
    /// How long the region has lived, in milliseconds: never goes back, and never runs ahead of the
    /// clocks but by [`SESSION_STEP_MS`] for each time they jump.
    pub lived_ms: u64,
}

impl RegionTime {
    /// After a payload stamped with this wall clock.
    #[must_use]
    pub fn after(self, wall_ms: u64) -> Self {
        let passed_ms = wall_ms.saturating_sub(self.seen_ms);
        let step_max_ms =
            if mutants::is_on(Mutant::SessionsByWall) { u64::MAX } else { SESSION_STEP_MS };
        // Stamps overtake each other by a little; only a clock that was put back begins anew.
        let is_put_back = self.seen_ms.saturating_sub(wall_ms) > SESSION_STEP_MS;
        Self {
            now_ms: self.now_ms.max(wall_ms),
            seen_ms: if is_put_back { wall_ms } else { self.seen_ms.max(wall_ms) },
            lived_ms: self.lived_ms.saturating_add(passed_ms.min(step_max_ms)),
        }
    }

    /// True when `other` may follow this one.
    pub fn is_before(self, other: Self) -> bool {
        self.now_ms <= other.now_ms && self.lived_ms <= other.lived_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: RegionTime =
        RegionTime { now_ms: 1_000_000_000, seen_ms: 1_000_000_000, lived_ms: 500 };
    const HOUR_MS: u64 = 60 * 60 * 1000;

    fn after(stamps: &[u64]) -> RegionTime {
        stamps.iter().fold(START, |time, stamp| time.after(START.now_ms + stamp))
    }

    #[test]
    fn it_lives_as_long_as_the_clocks_tell() {
        assert_eq!(after(&[10, 20, 1500]).lived_ms, 500 + 1500);
        // Payloads that overtake each other count nothing twice.
        assert_eq!(after(&[10, 7, 12, 9, 13]).lived_ms, 500 + 13);
        assert_eq!(after(&[10, 7, 12]).now_ms, START.now_ms + 12);
    }

    #[test]
    fn a_jump_is_a_short_step_however_far_it_goes() {
        let jumped = after(&[10, HOUR_MS]);
        assert_eq!(
            (jumped.lived_ms, jumped.now_ms),
            (510 + SESSION_STEP_MS, START.now_ms + HOUR_MS)
        );
        // Time goes on behind it, by that clock and by one that did not jump.
        assert_eq!(after(&[10, HOUR_MS, HOUR_MS + 9]).lived_ms, jumped.lived_ms + 9);
        let back = after(&[10, HOUR_MS, 20, 29]);
        assert_eq!((back.lived_ms, back.now_ms), (jumped.lived_ms + 9, jumped.now_ms));
    }
}
