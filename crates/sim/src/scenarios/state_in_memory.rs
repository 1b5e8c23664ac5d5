//! Groups whose state is in memory and durable by snapshots of its own, as in the library: crashes
//! throw them back to what they saved, state machines fail on entries and on snapshots, owners shut
//! replicas down; whoever comes back replays the log from there, and nobody can tell.

use std::time::Duration;

use crate::fault::Fault;
use crate::habits::{HabitOptions, Saves};
use crate::marks::Mark;
use crate::mutant::{Mutant, Outside};
use crate::options::Options;
use crate::violation::Rule;

use super::{caught, hold};

fn in_memory(options: &mut Options, every_entries: u64, hat: &[Fault]) {
    let saves = Some(Saves { every_groups: 1, every_entries });
    options.habits = HabitOptions { saves, ..HabitOptions::none() };
    options.faults.hat = hat.to_vec();
    options.faults.every_mean = Duration::from_secs(1);
    options.faults.down_max = Duration::from_millis(500);
    options.faults.partition_max = Duration::from_secs(3);
    options.store.election_timeout = Duration::from_millis(300);
    options.store.retain_bytes = 4_000;
    options.store.retain_bytes_max = 8_000;
}

#[test]
fn whoever_fails_or_falls_begins_again_with_what_was_saved() {
    let hat = [Fault::FailMachine, Fault::ShutDown, Fault::CrashLeader];
    let marks = [
        Mark::SavedLoaded,
        Mark::SaveCutOff,
        Mark::MachineFailed,
        Mark::ShutDown,
        Mark::Revived,
        Mark::RevivedLater,
    ];
    hold(6, 40, |options| in_memory(options, 30, &hat), &marks);
}

/// It is durable before it is loaded, so the replica comes back beyond its log.
#[test]
fn a_snapshot_that_was_not_loaded_is_what_the_next_begins_with() {
    let hat = [Fault::FailMachine, Fault::ShutDown, Fault::CutOff, Fault::CutOff];
    let narrow = |options: &mut Options| {
        in_memory(options, 10, &hat);
        options.workload.value_bytes_max = 3_000;
        options.workload.think = Duration::from_millis(5);
    };
    let marks =
        [Mark::SnapshotInstalled, Mark::LoadFailed, Mark::ShutDownInInstall, Mark::SaveForced];
    hold(8, 60, narrow, &marks);
}

#[test]
fn a_snapshot_that_counts_before_it_is_durable_is_found_out() {
    let mutant = Mutant::Outside(Outside::SaveReportedEarly);
    let narrow = |options: &mut Options| in_memory(options, 10, &[Fault::CrashOne]);
    let violation = caught(mutant, 8, 40, narrow).expect("found out");
    assert_eq!(violation.rule, Rule::NoError, "{violation:?}");
}
