//! From a seed that breaks a rule to a short schedule that breaks it too.
//!
//! Greedy, in rounds: less time, fewer faults (halves, quarters, …, single ones), less noise, fewer
//! clients, as long as the same rule breaks. What is left is what the bug needs, or close to it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::run::{Report, run};
use crate::schedule::{Noise, Schedule};
use crate::violation::Rule;

/// Most runs before the shrinker is content with what it has.
pub const RUNS_MAX: usize = 300;
/// No run is cut shorter than this.
const DURATION_MIN: Duration = Duration::from_millis(500);

/// The result of shrinking.
#[derive(Debug)]
pub struct Shrunk {
    /// What is left.
    pub schedule: Schedule,
    /// How it went with that.
    pub report: Report,
    /// Runs that it took.
    pub runs: usize,
}

/// Makes a schedule short. Nothing if it breaks no rule.
pub fn shrink(schedule: Schedule) -> Option<Shrunk> {
    let report = run(schedule.options(), None);
    let rule = report.violation.as_ref()?.rule;
    let mut shrinker = Shrinker { rule, best: Shrunk { schedule, report, runs: 1 } };
    loop {
        let before = shrinker.best.schedule.clone();
        shrinker.cut_time();
        shrinker.drop_strikes();
        shrinker.silence();
        shrinker.dismiss_clients();
        if shrinker.best.schedule == before || shrinker.is_tired() {
            return Some(shrinker.best);
        }
    }
}

struct Shrinker {
    rule: Rule,
    best: Shrunk,
}

impl Shrinker {
    fn is_tired(&self) -> bool {
        self.best.runs >= RUNS_MAX
    }

    /// Takes the schedule over if it breaks the same rule.
    fn try_out(&mut self, schedule: Schedule) -> bool {
        if self.is_tired() || schedule == self.best.schedule {
            return false;
        }
        self.best.runs += 1;
        let report = run(schedule.options(), None);
        let is_broken = report.violation.as_ref().is_some_and(|found| found.rule == self.rule);
        if is_broken {
            self.best.schedule = schedule;
            self.best.report = report;
        }
        is_broken
    }

    fn with(&self, change: impl FnOnce(&mut Schedule)) -> Schedule {
        let mut schedule = self.best.schedule.clone();
        change(&mut schedule);
        schedule
    }

    fn cut_time(&mut self) {
        // A rule that broke while faults struck breaks again if they end right there.
        let broken_at = whole_ms(self.best.report.total) + Duration::from_millis(1);
        if broken_at < self.best.schedule.duration {
            self.try_out(self.with(|schedule| schedule.duration = broken_at));
        }
        for eighths in [4, 6, 7] {
            loop {
                let less = whole_ms(self.best.schedule.duration * eighths / 8);
                if less < DURATION_MIN || !self.try_out(self.with(|s| s.duration = less)) {
                    break;
                }
            }
        }
    }

    fn drop_strikes(&mut self) {
        let mut kept: Vec<u64> = self.best.report.strikes.iter().map(|s| s.number).collect();
        let only =
            |numbers: &[u64]| -> Option<BTreeSet<u64>> { Some(numbers.iter().copied().collect()) };
        if self.try_out(self.with(|schedule| schedule.strikes = only(&[]))) {
            return;
        }
        let mut size = kept.len().div_ceil(2).max(1);
        loop {
            let mut at = 0;
            while at < kept.len() && !self.is_tired() {
                let mut fewer = kept.clone();
                fewer.drain(at..(at + size).min(kept.len()));
                if self.try_out(self.with(|schedule| schedule.strikes = only(&fewer))) {
                    kept = fewer;
                } else {
                    at += size;
                }
            }
            if size == 1 {
                return;
            }
            size = size.div_ceil(2);
        }
    }

    fn silence(&mut self) {
        for &noise in Noise::ALL {
            if !self.best.schedule.without.contains(&noise) {
                self.try_out(self.with(|schedule| {
                    schedule.without.insert(noise);
                }));
            }
        }
    }

    fn dismiss_clients(&mut self) {
        let most = self.best.schedule.options().client_count;
        for clients in 1..most {
            if self.try_out(self.with(|schedule| schedule.clients = Some(clients))) {
                return;
            }
        }
    }
}

/// What a schedule can say.
fn whole_ms(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs()) + Duration::from_millis(duration.subsec_millis().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutant::{Mutant, Outside};

    #[test]
    fn a_failing_seed_becomes_short_and_fails_again() {
        let failing = (0..40).find_map(|seed| {
            let mut schedule = Schedule::whole(seed, Duration::from_secs(20));
            schedule.mutant = Some(Mutant::Outside(Outside::SyncLies));
            shrink(schedule)
        });
        let Shrunk { schedule, report, .. } = failing.expect("lying syncs are noticed");
        assert!(schedule.duration <= Duration::from_secs(20));
        let again =
            run(Schedule::parse(&schedule.to_string()).expect("it reads back").options(), None);
        assert_eq!(again, report);
    }

    #[test]
    fn what_keeps_every_rule_is_not_shrunk() {
        let schedule = Schedule::whole(3, Duration::from_secs(2));
        assert!(shrink(schedule).is_none());
    }
}
