//! Judges a counter: each value seen must lie between what had certainly been counted and what
//! could have been counted.
//!
//! For a read: every addition acknowledged before the read was sent must be in it, and nothing that
//! was sent only after the read returned, or failed, can be. Additions in between, and unknown
//! ones, may be. This is necessary, not sufficient (a search would be exact), but it takes n log n
//! and names lost and doubled increments, which is what a retry that is not exactly-once produces.

use std::fmt;

/// How an addition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addition {
    /// Acknowledged at this time.
    Ok(u64),
    /// It may have been counted once, now or later, or never.
    Unknown,
    /// It certainly was not and will not be counted.
    Fail,
}

/// The additions and reads of one counter, which starts at 0.
#[derive(Clone, Debug, Default)]
pub struct CounterHistory {
    /// (invoked at, delta, end)
    additions: Vec<(u64, i64, Addition)>,
    /// (invoked at, returned at, value)
    reads: Vec<(u64, u64, i64)>,
}

/// A value outside its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterViolation {
    /// When the read was sent.
    pub invoked_at: u64,
    /// When it returned.
    pub returned_at: u64,
    /// What it returned.
    pub value: i128,
    /// The least it could have returned.
    pub least: i128,
    /// The most it could have returned.
    pub most: i128,
}

impl fmt::Display for CounterViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invoked_at, returned_at, value, least, most } = self;
        let word = if value < least { "lost" } else { "doubled or invented" };
        write!(
            f,
            "read [{invoked_at}..{returned_at}] saw {value}, possible is {least}..={most}: \
             an addition was {word}"
        )
    }
}

impl CounterHistory {
    /// Records an addition of `delta` sent at `invoked_at`.
    ///
    /// # Panics
    /// When it was acknowledged before it was sent.
    pub fn add(&mut self, delta: i64, invoked_at: u64, end: Addition) {
        if let Addition::Ok(at) = end {
            assert!(at >= invoked_at, "acknowledged at {at}, sent at {invoked_at}");
        }
        self.additions.push((invoked_at, delta, end));
    }

    /// Records a read.
    ///
    /// # Panics
    /// When it returned before it was sent.
    pub fn read(&mut self, value: i64, invoked_at: u64, returned_at: u64) {
        assert!(returned_at >= invoked_at, "returned at {returned_at}, sent at {invoked_at}");
        self.reads.push((invoked_at, returned_at, value));
    }

    /// Judges every read; the violation of the earliest bad one.
    ///
    /// # Errors
    /// The first read, by invocation, whose value lies outside its bounds.
    pub fn check(&self) -> Result<(), CounterViolation> {
        let mut reads = self.reads.clone();
        reads.sort_unstable();
        let acknowledged = Sums::new(self.additions.iter().filter_map(|&(_, delta, end)| {
            if let Addition::Ok(at) = end { Some((at, delta)) } else { None }
        }));
        let sent = Sums::new(
            (self.additions.iter().filter(|(_, _, end)| *end != Addition::Fail))
                .map(|&(at, delta, _)| (at, delta)),
        );
        for (invoked_at, returned_at, value) in reads {
            // Certain: acknowledged strictly before the read was sent. Possible: sent no later than
            // it returned. What is possible and not certain counts on the side that widens the
            // bounds.
            let certain = acknowledged.before(invoked_at);
            let possible = sent.before(returned_at.saturating_add(1));
            let least = certain.plus + possible.minus;
            let most = possible.plus + certain.minus;
            let value = i128::from(value);
            if value < least || value > most {
                return Err(CounterViolation { invoked_at, returned_at, value, least, most });
            }
        }
        Ok(())
    }
}

/// Positive and negative deltas apart.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    plus: i128,
    minus: i128,
}

/// Running sums by time.
struct Sums(Vec<(u64, Sum)>);

impl Sums {
    fn new(deltas: impl Iterator<Item = (u64, i64)>) -> Self {
        let mut deltas: Vec<(u64, i64)> = deltas.collect();
        deltas.sort_unstable();
        let mut sum = Sum::default();
        Self(
            deltas
                .into_iter()
                .map(|(at, delta)| {
                    sum.plus += i128::from(delta.max(0));
                    sum.minus += i128::from(delta.min(0));
                    (at, sum)
                })
                .collect(),
        )
    }

    /// The sum of everything strictly before `at`.
    fn before(&self, at: u64) -> Sum {
        let count = self.0.partition_point(|&(t, _)| t < at);
        count.checked_sub(1).map_or_else(Sum::default, |last| self.0[last].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two acknowledged additions of 5 and 3, an unknown 10, a failed 100.
    fn history() -> CounterHistory {
        let mut history = CounterHistory::default();
        history.add(5, 0, Addition::Ok(10));
        history.add(3, 5, Addition::Ok(20));
        history.add(10, 12, Addition::Unknown);
        history.add(100, 13, Addition::Fail);
        history
    }

    fn judge(value: i64, invoked_at: u64, returned_at: u64) -> Result<(), CounterViolation> {
        let mut history = history();
        history.read(value, invoked_at, returned_at);
        history.check()
    }

    #[test]
    fn values_that_some_order_gives_are_accepted() {
        for value in [8, 18] {
            assert_eq!(judge(value, 30, 31), Ok(()), "{value} after all");
        }
        // While the second addition runs and before the third is sent.
        for value in [5, 8] {
            assert_eq!(judge(value, 11, 11), Ok(()), "{value} between");
        }
        assert_eq!(judge(0, 1, 2), Ok(()));
    }

    #[test]
    fn a_lost_addition_is_named() {
        let violation = judge(7, 30, 31).unwrap_err();
        assert_eq!((violation.least, violation.most), (8, 18));
        assert!(violation.to_string().contains("lost"), "{violation}");
    }

    #[test]
    fn a_doubled_addition_is_named() {
        let violation = judge(19, 30, 31).unwrap_err();
        assert!(violation.to_string().contains("doubled"), "{violation}");
    }

    #[test]
    fn a_failed_addition_must_not_be_counted() {
        assert!(judge(108, 30, 31).is_err());
    }

    #[test]
    fn an_addition_sent_after_the_read_returned_must_not_be_seen() {
        assert!(judge(18, 10, 11).is_err());
    }

    #[test]
    fn negative_deltas_widen_downwards() {
        let mut history = history();
        history.add(-20, 0, Addition::Unknown);
        history.read(-12, 30, 31);
        assert_eq!(history.check(), Ok(()));
        history.read(-13, 30, 31);
        assert!(history.check().is_err());
    }

    #[test]
    fn an_acknowledged_subtraction_must_be_seen() {
        let mut history = history();
        history.add(-6, 0, Addition::Ok(10));
        history.read(12, 30, 31);
        assert_eq!(history.check(), Ok(()));
        history.read(13, 30, 31);
        assert_eq!(history.check().map_err(|violation| violation.most), Err(12));
    }
}
