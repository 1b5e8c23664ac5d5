//! Many seeds on all cores, and the sum of what they showed.
//!
//! Threads take seeds from a counter; a report never depends on which thread made it.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kontiki_sim::Options;
use kontiki_sim::marks::Marks;
use kontiki_sim::run::{Report, run};
use rustix::time::{ClockId, clock_gettime};

use crate::arguments::{Many, Settings, Soak};

/// Seeds of a soak are counted from a number of this many hexadecimal digits of its commit.
const COMMIT_DIGITS: usize = 10;

/// Operations in a virtual second, over all seeds, below which the workload itself must be broken.
/// What a single run must do is less: see `demand`.
const OPERATIONS_PER_SECOND_MIN: f64 = 10.0;
/// Fewer seeds may happen to be slow ones.
const SEEDS_THAT_TELL: u64 = 100;

/// Virtual time with the standard profile to measure the speed.
const SPEED_TIME: Duration = Duration::from_secs(20);
/// How often it is measured: what else the machine does must not count.
const SPEED_TRIES: usize = 3;

/// Which seeds, and how many.
struct Plan<'a> {
    first: u64,
    /// No seed from here on.
    end: u64,
    /// No new seed once so much virtual time with faults is over.
    enough: Duration,
    settings: &'a Settings,
    is_quiet: bool,
}

/// What all runs showed together.
#[derive(Default)]
struct Sum {
    seeds: u64,
    violations: u64,
    faulty: Duration,
    total: Duration,
    happenings: u64,
    operations: u64,
    marks: Marks,
}

impl Sum {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.violations += u64::from(report.violation.is_some());
        self.faulty += report.faulty;
        self.total += report.total;
        self.happenings += report.happenings;
        self.operations += report.operations;
        self.marks.merge(&report.marks);
    }

    fn operations_per_second(&self) -> f64 {
        self.operations as f64 / self.total.as_secs_f64()
    }

    /// No rule was broken, and enough was done for that to mean something.
    fn is_good(&self) -> bool {
        let is_lazy = self.operations_per_second() < OPERATIONS_PER_SECOND_MIN;
        self.violations == 0 && !(is_lazy && self.seeds >= SEEDS_THAT_TELL)
    }
}

/// Runs all seeds. True when no rule was broken.
pub(crate) fn sweep(many: &Many) -> bool {
    judge(&Plan {
        first: many.seeds.start,
        end: many.seeds.end,
        enough: Duration::MAX,
        settings: &many.settings,
        is_quiet: many.is_quiet,
    })
}

/// Runs seeds of the commit for some virtual hours. True when no rule was broken.
pub(crate) fn soak(order: &Soak) -> bool {
    let first = order.first_seed.unwrap_or_else(seed_of_commit);
    println!("seeds from {first}");
    judge(&Plan {
        first,
        end: u64::MAX,
        enough: Duration::from_hours(order.hours),
        settings: &order.settings,
        is_quiet: true,
    })
}

/// A number that is another one for every commit; the clock's where there is no commit.
fn seed_of_commit() -> u64 {
    let git = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let name = git.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let digits = name.as_deref().and_then(|name| name.get(..COMMIT_DIGITS));
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    })
}

fn judge(plan: &Plan<'_>) -> bool {
    let started = Instant::now();
    let next = AtomicU64::new(plan.first);
    let sum = Mutex::new(Sum::default());
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(plan, &next, &sum));
        }
    });
    let sum = sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    finish(&sum, started.elapsed(), threads);
    sum.is_good()
}

fn work(plan: &Plan<'_>, next: &AtomicU64, sum: &Mutex<Sum>) {
    let settings = plan.settings;
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= plan.end {
            return;
        }
        let report = run(settings.options(seed), None);
        let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sum.add(&report);
        if let Some(violation) = &report.violation {
            println!("seed {seed}: violation of {violation}");
            println!("{}", settings.options(seed));
            println!("replay: {}", settings.replay(seed));
        } else if !plan.is_quiet {
            println!(
                "seed {seed}: {} operations, {} entries, {} states compared, trace {:016x}",
                report.operations, report.committed, report.state_hashes, report.trace_hash
            );
        }
        if sum.faulty >= plan.enough {
            return;
        }
    }
}

fn finish(sum: &Sum, elapsed: Duration, threads: usize) {
    print!("{}", sum.marks);
    let missing: Vec<_> = sum.marks.missing().map(kontiki_sim::marks::Mark::text).collect();
    if !missing.is_empty() {
        println!("never reached: {}", missing.join("; "));
    }
    let seconds = elapsed.as_secs_f64();
    println!(
        "{:.0} virtual s per real s and core on {threads} cores, {:.0} happenings and {:.0} \
         operations per virtual s (at least {OPERATIONS_PER_SECOND_MIN}, over {SEEDS_THAT_TELL} seeds)",
        sum.total.as_secs_f64() / seconds / threads as f64,
        sum.happenings as f64 / sum.total.as_secs_f64(),
        sum.operations_per_second(),
    );
    let (real, busy) = speed(threads);
    println!(
        "{real:.0} virtual s per real s with 5 stores and 20 groups (at least 50); {busy:.0} per s \
         that a core gave"
    );
    println!(
        "{} seeds, {} violations, {} virtual minutes, {seconds:.0} s",
        sum.seeds,
        sum.violations,
        sum.faulty.as_secs() / 60,
    );
}

/// Virtual seconds of the standard profile, on as many threads as a sweep takes: per real second,
/// and per second of a core, which tells the same when others share the machine. The best of some
/// tries.
fn speed(threads: usize) -> (f64, f64) {
    let mut best = (0.0_f64, 0.0_f64);
    for _ in 0..SPEED_TRIES {
        let (started, busy) = (Instant::now(), busy());
        let virtual_s = thread::scope(|scope| {
            let runs: Vec<_> = (0..threads).map(|_| scope.spawn(run_standard)).collect();
            runs.into_iter().map(|run| run.join().expect("it broke a rule")).sum::<f64>()
        });
        let busy = self::busy() - busy;
        best.0 = best.0.max(virtual_s / started.elapsed().as_secs_f64());
        best.1 = best.1.max(virtual_s / busy);
    }
    best
}

/// Virtual seconds of a run of the standard profile.
fn run_standard() -> f64 {
    let report = run(Options::standard(SPEED_TIME), None);
    assert_eq!(report.violation, None, "the standard profile breaks a rule");
    report.total.as_secs_f64()
}

/// Seconds that the threads of this process have run.
fn busy() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_seeds_that_did_nearly_nothing_are_not_good() {
        let total = Duration::from_hours(1);
        let sum = |seeds, operations| Sum { seeds, total, operations, ..Sum::default() };
        assert!(sum(100, 36_000).is_good());
        assert!(!sum(100, 35_999).is_good());
        assert!(sum(99, 0).is_good(), "too few to tell");
        assert!(!Sum { violations: 1, ..sum(100, 36_000) }.is_good());
    }
}
