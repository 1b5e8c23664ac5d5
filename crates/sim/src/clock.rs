//! The clocks of one store: a monotonic one that runs a little fast or slow, and a wall clock that
//! may stand anywhere and jump.
//!
//! Pure code is only ever told local time. The world turns global virtual time into local time when
//! it feeds a store, and local deadlines back into global time when it plans the next turn.

use kontiki_types::Moment;

/// Milliseconds since 1970 at the start of every run: far from zero, so that a subtraction that
/// forgets its sign shows.
const WALL_START_MS: u64 = 1_700_000_000_000;
const MILLION: u64 = 1_000_000;

/// The clocks of one store.
#[derive(Clone, Copy, Debug)]
pub struct LocalClock {
    /// Local microseconds that pass in one global second.
    rate: u64,
    /// How far the wall clock is off, in milliseconds; steps move it.
    wall_offset_ms: i64,
}

impl LocalClock {
    /// A clock that gains `ppm` microseconds each second (loses, if negative).
    ///
    /// # Panics
    /// When the clock would stand still or run backwards.
    pub fn new(ppm: i64) -> Self {
        let rate = MILLION.checked_add_signed(ppm).expect("a drift far below one second a second");
        assert!(rate > MILLION / 2, "drift of {ppm} ppm");
        Self { rate, wall_offset_ms: 0 }
    }

    /// Local time at this global moment.
    pub fn local(&self, global: Moment) -> Moment {
        let whole = global.0 / MILLION * self.rate;
        Moment(whole + global.0 % MILLION * self.rate / MILLION)
    }

    /// The first global moment at which the local clock shows at least `local`.
    pub fn global(&self, local: Moment) -> Moment {
        let whole = local.0 / self.rate * MILLION;
        let mut global = Moment(whole + local.0 % self.rate * MILLION / self.rate);
        while self.local(global) < local {
            global.0 += 1;
        }
        global
    }

    /// The wall clock, in milliseconds since 1970.
    pub fn wall_ms(&self, global: Moment) -> u64 {
        (WALL_START_MS + self.local(global).0 / 1000).saturating_add_signed(self.wall_offset_ms)
    }

    /// Steps the wall clock, as an operator or a time daemon would, to be off by this much. Steps
    /// do not add up: far from the truth, sessions would expire whose clients have only begun.
    pub fn step_wall(&mut self, off_ms: i64) {
        self.wall_offset_ms = off_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_exactly_at_its_global_moment() {
        for ppm in [-100_000, -333, 0, 1, 777, 100_000] {
            let clock = LocalClock::new(ppm);
            for local in [0, 1, 999_999, 1_000_000, 123_456_789] {
                let global = clock.global(Moment(local));
                assert!(clock.local(global) >= Moment(local), "{ppm} ppm, {local}");
                if global.0 > 0 {
                    let before = clock.local(Moment(global.0 - 1));
                    assert!(before < Moment(local), "{ppm} ppm, {local}: woken late");
                }
            }
        }
    }
}
