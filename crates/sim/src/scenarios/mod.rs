//! Found bugs and situations that must always be met, each kept for ever as a run of its own.
//!
//! A scenario is a few seeds under options narrowed to what it is about: a recorded seed alone
//! would lose its meaning with the next change of what a seed draws. Each asserts by coverage marks
//! that the situation really came up; one that passes without meeting it would prove nothing.

mod answer_to_an_older_term;
mod change_would_stall;
mod compared_while_replaced;
mod damaged_log;
mod damaged_snapshot_chunk;
mod damaged_while_replicas_move;
mod install_cut_off;
mod leader_dies_asleep;
mod old_leader_wakes_up;
mod range_delete_within_a_payload;
mod refused_and_executed_later;
mod removed_while_its_disk_is_slow;
mod stale_snapshots;
mod state_in_memory;
mod tinykv;
mod whole_sets;

use std::time::Duration;

use crate::marks::{Mark, Marks};
use crate::mutant::Mutant;
use crate::options::{ClusterOptions, Options};
use crate::run::run;
use crate::violation::Violation;

/// The first rule that a mistake on purpose breaks within some seeds.
fn caught(
    mutant: Mutant,
    seeds: u64,
    seconds: u64,
    narrow: impl Fn(&mut Options),
) -> Option<Violation> {
    (0..seeds).find_map(|seed| {
        let options = drawn(seed, seconds, &narrow).with_mutant(Some(mutant));
        run(options, None).violation
    })
}

/// The options of a seed with one group, narrowed.
fn drawn(seed: u64, seconds: u64, narrow: impl Fn(&mut Options)) -> Options {
    let mut options = Options::draw(seed, Duration::from_secs(seconds));
    options.faults.dead_at_end = None;
    options.set_cluster(ClusterOptions::small(1));
    narrow(&mut options);
    options
}

/// Runs some seeds with one group under narrowed options; none may break a rule, together they must
/// reach the marks.
fn hold(seeds: u64, seconds: u64, narrow: impl Fn(&mut Options), reached: &[Mark]) {
    let mut marks = Marks::default();
    for seed in 0..seeds {
        let report = run(drawn(seed, seconds, &narrow), None);
        assert_eq!(report.violation, None, "seed {seed}");
        marks.merge(&report.marks);
    }
    for &mark in reached {
        assert!(marks.count(mark) > 0, "never reached: {}", mark.text());
    }
}
