//! Many seeds on all cores, and the sum of what they showed.
//!
//! Threads take seeds from a counter; a report never depends on which thread made it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kontiki_sim::marks::Marks;
use kontiki_sim::run::{Report, run};

use crate::arguments::Many;

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
}

/// Runs all seeds. True when no rule was broken.
pub(crate) fn sweep(many: &Many) -> bool {
    let started = Instant::now();
    let next = AtomicU64::new(many.seeds.start);
    let sum = Mutex::new(Sum::default());
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(many, &next, &sum));
        }
    });
    let sum = sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    finish(&sum, started.elapsed(), threads);
    sum.violations == 0
}

fn work(many: &Many, next: &AtomicU64, sum: &Mutex<Sum>) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= many.seeds.end {
            return;
        }
        let report = run(many.settings.options(seed), None);
        let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sum.add(&report);
        if let Some(violation) = &report.violation {
            println!("seed {seed}: violation of {violation}");
            println!("{}", many.settings.options(seed));
            println!("replay: {}", many.settings.replay(seed));
        } else if !many.is_quiet {
            println!(
                "seed {seed}: {} operations, {} entries, {} states compared, trace {:016x}",
                report.operations, report.committed, report.state_hashes, report.trace_hash
            );
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
         operations per virtual s",
        sum.total.as_secs_f64() / seconds / threads as f64,
        sum.happenings as f64 / sum.total.as_secs_f64(),
        sum.operations as f64 / sum.total.as_secs_f64(),
    );
    println!(
        "{} seeds, {} violations, {} virtual minutes, {seconds:.0} s",
        sum.seeds,
        sum.violations,
        sum.faulty.as_secs() / 60,
    );
}
