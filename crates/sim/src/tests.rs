//! What the simulator itself must hold, in a form short enough for every commit.
//!
//! Determinism, a handful of seeds, and the mutants: every mistake made on purpose must be noticed,
//! most of them by what clients see alone.

use std::time::Duration;

use crate::fault::Fault;
use crate::habits::HabitOptions;
use crate::marks::{Mark, Marks};
use crate::mutant::{Mutant, Outside};
use crate::options::Options;
use crate::run::{Report, run};
use crate::script;
use crate::violation::Rule;

fn told(seed: u64, duration: Duration) -> (Report, String) {
    let mut text = String::new();
    let options = Options::draw(seed, duration);
    let report = run(options, Some(&mut |piece| text.push_str(&piece)));
    (report, text)
}

#[test]
fn one_seed_gives_one_run_byte_for_byte() {
    for seed in [3, 11] {
        let (first, first_text) = told(seed, Duration::from_secs(8));
        let (second, second_text) = told(seed, Duration::from_secs(8));
        assert!(first_text.len() > 10_000, "seed {seed} told {} bytes", first_text.len());
        assert_eq!(first, second, "seed {seed}");
        assert_eq!(first_text, second_text, "seed {seed}");
    }
}

#[test]
fn telling_changes_nothing() {
    for seed in [4, 12] {
        let (told, _) = told(seed, Duration::from_secs(8));
        let silent = run(Options::draw(seed, Duration::from_secs(8)), None);
        assert_eq!(told, silent, "seed {seed}");
    }
}

#[test]
fn seeds_differ() {
    let hash = |seed| run(Options::draw(seed, Duration::from_secs(2)), None).trace_hash;
    assert_ne!(hash(1), hash(2));
}

#[test]
fn some_seeds_keep_every_rule() {
    for seed in 0..20 {
        let report = run(Options::draw(seed, Duration::from_secs(20)), None);
        assert_eq!(report.violation, None, "seed {seed}");
        assert!(report.operations > 0, "seed {seed} did nothing");
    }
}

#[test]
fn a_run_in_which_clients_do_nearly_nothing_proves_nothing() {
    let idle = |seed| {
        let mut options = Options::draw(seed, Duration::from_mins(1));
        options.faults.hat = vec![Fault::WallStep];
        options.faults.temptation = 0;
        options.habits = HabitOptions::none();
        options.workload.think = Duration::from_mins(1);
        options.workload.window = 1;
        options.client_count = 3;
        run(options, None).violation.map(|violation| violation.rule)
    };
    let found: Vec<_> = (0..10).filter_map(idle).collect();
    assert_eq!(found, [Rule::Workload; 10]);
}

/// More disks may rot than a group bears: then a cluster stops, and never says what is not true.
#[test]
fn with_most_disks_damaged_a_cluster_stops_and_does_not_lie() {
    let (mut marks, wanted) = (Marks::default(), [Mark::MajorityDamaged, Mark::DamageRefused]);
    for seed in 0..200 {
        // A start that refuses its log is rare.
        if seed >= 40 && wanted.iter().all(|mark| marks.count(*mark) > 0) {
            return;
        }
        let report = run(lying(seed), None);
        assert_eq!(report.violation, None, "seed {seed}");
        marks.merge(&report.marks);
    }
    panic!("not both reached: {wanted:?}");
}

/// A log that takes damage for the end of what was written does lie then, and is caught.
#[cfg(feature = "mutants")]
#[test]
fn a_lie_about_damaged_disks_is_noticed() {
    let mutant = Some(Mutant::Inside(crate::mutant::Inside::LogTornAnywhere));
    let lies = |seed| run(lying(seed).with_mutant(mutant), None).violation;
    assert!((0..40).find_map(lies).is_some(), "40 seeds took it for the truth");
}

fn lying(seed: u64) -> Options {
    let mut options = Options::draw(seed, Duration::from_secs(30));
    options.let_disks_lie();
    options
}

/// The first of some seeds that notices the mutant, and by which rule.
fn noticed(mutant: Mutant, is_white_box: bool, seeds: u64) -> Option<(u64, Rule)> {
    (0..seeds).find_map(|seed| {
        let mut options = Options::draw(seed, Duration::from_secs(30));
        options.is_white_box = is_white_box;
        let report = run(options.with_mutant(Some(mutant)), None);
        report.violation.map(|violation| (seed, violation.rule))
    })
}

#[test]
fn every_mutant_is_noticed() {
    for mutant in Mutant::all().filter(|mutant| mutant.is_possible()) {
        let is_found = script::violation(mutant).is_some() || noticed(mutant, true, 60).is_some();
        assert!(is_found, "{mutant:?} survived 60 seeds and has no script");
    }
}

/// What clients see is enough for these: the judges of histories have teeth of their own.
#[test]
fn mutants_that_clients_notice() {
    for mutant in [
        Outside::ReadUnconfirmed,
        Outside::RetryAsNew,
        Outside::ReplyBeforeCommit,
        Outside::ApplySkips,
    ] {
        let found = noticed(Mutant::Outside(mutant), false, 60);
        let (seed, rule) = found.unwrap_or_else(|| panic!("{mutant:?} survived 60 seeds"));
        assert!(rule.is_black_box(), "{mutant:?} at seed {seed} by {rule:?}");
    }
}
