//! What a library's user may set besides: groups that sleep, wishes for leaders, readers that do
//! not wait, state in memory that is saved now and then; and clients that rest, so that groups have
//! a reason to sleep.
//!
//! Drawn from streams of their own, so that the other choices of a seed stay what they were.

use std::time::Duration;

use kontiki_testkit::Rng;
use kontiki_types::Moment;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HabitOptions {
    /// Quiet election timeouts before a group falls asleep, if ever.
    pub hibernate_after: Option<u32>,
    /// How long groups take to wake when a store they slept beside is silent.
    pub wake_spread: Duration,
    /// How much the replicas that a group is born with are wanted as leaders, in turn; nobody more
    /// than others if empty.
    pub priorities: Vec<i32>,
    /// Entries that a follower may lack and still let readers wait.
    pub read_lag_max: Option<u64>,
    /// Clients begin nothing in the first part of each such time.
    pub rests: Option<Rests>,
    /// Groups whose state is in memory, and durable by snapshots of its own.
    pub saves: Option<Saves>,
}

/// Which groups those are, and when they are saved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Saves {
    /// Every group, every second one, ….
    pub every_groups: u64,
    /// After so many entries.
    pub every_entries: u64,
}

/// When clients rest, all at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rests {
    /// From the beginning of one to that of the next.
    pub every: Duration,
    /// How long one is.
    pub long: Duration,
}

impl HabitOptions {
    /// Nothing of it.
    pub fn none() -> Self {
        Self {
            hibernate_after: None,
            wake_spread: Duration::ZERO,
            priorities: Vec::new(),
            read_lag_max: None,
            rests: None,
            saves: None,
        }
    }

    /// Draws them. The calm part of a minute is no rest as a whole, or nothing would get done.
    pub fn draw(root: &Rng) -> Self {
        let rests = |every, long| {
            Some(Rests { every: Duration::from_secs(every), long: Duration::from_secs(long) })
        };
        let priorities: &[&[i32]] =
            &[&[], &[], &[30, 20, 10], &[80, 60, 60], &[20, 1, 1], &[10, 10, 0], &[30, 0, 10]];
        let saves = |every_groups, every_entries| Some(Saves { every_groups, every_entries });
        let spread = *root.fork("wake spread").pick(&[0, 500, 5_000]);
        Self {
            hibernate_after: *root.fork("hibernation").pick(&[
                None,
                Some(1),
                Some(1),
                Some(3),
                Some(10),
            ]),
            wake_spread: Duration::from_millis(spread),
            priorities: root.fork("priorities").pick(priorities).to_vec(),
            read_lag_max: *root.fork("read lag").pick(&[None, None, Some(0), Some(5), Some(100)]),
            rests: *root.fork("rests").pick(&[None, None, rests(8, 4), rests(20, 12)]),
            saves: *root.fork("saves").pick(&[
                None,
                None,
                saves(1, 10),
                saves(1, 100),
                saves(1, 2_000),
                saves(2, 50),
            ]),
        }
    }

    /// How much of the time clients do not rest.
    pub fn working_percent(&self) -> u64 {
        let resting = |Rests { every, long }: Rests| 100 * long.as_secs() / every.as_secs();
        100 - self.rests.map_or(0, resting)
    }

    /// How long a client that would begin something now waits besides.
    pub fn rest(&self, now: Moment) -> Duration {
        let Some(Rests { every, long }) = self.rests else { return Duration::ZERO };
        let into = now.since(Moment::ZERO).as_micros() % every.as_micros();
        let into = Duration::from_micros(u64::try_from(into).expect("shorter than a rest"));
        long.saturating_sub(into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_the_first_part_of_its_time() {
        let rests = Rests { every: Duration::from_secs(20), long: Duration::from_secs(12) };
        let habits = HabitOptions { rests: Some(rests), ..HabitOptions::none() };
        let rest = |s: u64| habits.rest(Moment::ZERO + Duration::from_secs(s)).as_secs();
        assert_eq!([0, 5, 11, 12, 19, 20, 45, 59].map(rest), [12, 7, 1, 0, 0, 12, 7, 0]);
        assert_eq!(habits.working_percent(), 40);
        assert_eq!(HabitOptions::none().working_percent(), 100);
    }
}
