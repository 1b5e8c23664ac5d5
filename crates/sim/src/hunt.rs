//! How soon each mistake made on purpose is noticed: the honest measure of the simulator.
//!
//! For every mutant, seeds in order until one breaks a rule that the same seed keeps without it. A
//! mutant that no seed shows gets its directed script, if there is one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use kontiki_sim::mutant::Mutant;
use kontiki_sim::run::run;
use kontiki_sim::script;
use kontiki_sim::violation::Rule;

use crate::arguments::{Hunt, Settings};

/// How a mutant was noticed.
struct Noticed {
    /// After how many seeds; nothing when only its script shows it.
    seeds: Option<u64>,
    rule: Rule,
}

/// Hunts the mutants. True when every one is caught.
pub(crate) fn hunt(hunt: &Hunt) -> bool {
    let mutants: Vec<_> = Mutant::all()
        .filter(|mutant| mutant.is_possible())
        .filter(|mutant| hunt.settings.mutant.is_none_or(|only| only == *mutant))
        .collect();
    if mutants.is_empty() {
        println!("this build has no mutants of the product: add --features mutants");
        return false;
    }
    let mut seeds = Vec::new();
    let mut caught = 0;
    for &mutant in &mutants {
        let started = Instant::now();
        let noticed = by_seeds(mutant, hunt).or_else(|| by_script(mutant));
        let seconds = started.elapsed().as_secs_f64();
        let how = match &noticed {
            None => "not caught".to_owned(),
            Some(Noticed { seeds: None, rule }) => format!("by its script: {rule:?}"),
            Some(Noticed { seeds: Some(seeds), rule }) => format!("{seeds:>5} seeds: {rule:?}"),
        };
        println!("{:<24} {how} ({seconds:.1} s)", format!("{mutant:?}"));
        caught += usize::from(noticed.is_some());
        seeds.extend(noticed.and_then(|noticed| noticed.seeds));
    }
    seeds.sort_unstable();
    let median = seeds.get(seeds.len() / 2).copied().unwrap_or(0);
    println!("{} mutants, {caught} caught, median {median} seeds", mutants.len());
    caught == mutants.len()
}

fn by_seeds(mutant: Mutant, hunt: &Hunt) -> Option<Noticed> {
    let settings = Settings { mutant: Some(mutant), ..hunt.settings.clone() };
    let sound = Settings { mutant: None, ..hunt.settings.clone() };
    let next = AtomicU64::new(hunt.first_seed);
    let found = Mutex::new(None::<(u64, Rule)>);
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let found_at = || lock(&found).map_or(u64::MAX, |(seed, _)| seed);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= hunt.first_seed + hunt.seeds_max || seed > found_at() {
                        return;
                    }
                    let report = run(settings.options(seed), None);
                    let Some(violation) = report.violation else { continue };
                    // What breaks without the mutant as well says nothing about it.
                    if run(sound.options(seed), None).violation.is_some() {
                        println!("seed {seed} breaks a rule without a mutant: {violation}");
                        continue;
                    }
                    let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    if found.is_none_or(|(before, _)| seed < before) {
                        *found = Some((seed, violation.rule));
                    }
                }
            });
        }
    });
    let (seed, rule) = lock(&found)?;
    Some(Noticed { seeds: Some(seed - hunt.first_seed + 1), rule })
}

fn by_script(mutant: Mutant) -> Option<Noticed> {
    let violation = script::violation(mutant)?;
    Some(Noticed { seeds: None, rule: violation.rule })
}

fn lock(found: &Mutex<Option<(u64, Rule)>>) -> Option<(u64, Rule)> {
    *found.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
