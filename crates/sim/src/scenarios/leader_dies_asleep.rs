//! A group sleeps, and the store of its leader loses power: nobody of the group would notice. The
//! watch over stores wakes the others, they elect another without being asked, and the one that
//! comes back learns of it and sleeps with them.

use std::time::Duration;

use crate::fault::Fault;
use crate::habits::{HabitOptions, Rests};
use crate::marks::Mark;
use crate::options::Options;

use super::hold;

fn sleepers(options: &mut Options, priorities: &[i32]) {
    let rests = Rests { every: Duration::from_secs(8), long: Duration::from_secs(6) };
    options.habits = HabitOptions {
        hibernate_after: Some(1),
        wake_spread: Duration::from_millis(500),
        priorities: priorities.to_vec(),
        rests: Some(rests),
        ..HabitOptions::none()
    };
    options.faults.hat = vec![Fault::CrashLeader, Fault::CrashLeader, Fault::IsolateLeader];
    options.faults.every_mean = Duration::from_secs(3);
    options.faults.down_max = Duration::from_secs(5);
    options.faults.partition_max = Duration::from_secs(5);
    options.store.election_timeout = Duration::from_millis(300);
}

#[test]
fn sleepers_beside_a_dead_leader_elect_another_unasked() {
    let marks = [
        Mark::FellAsleep,
        Mark::SleepingLeaderLost,
        Mark::WokenByWatch,
        Mark::WokenByMessage,
        Mark::WokenByWrite,
        Mark::WokenByRead,
        Mark::SleepersLed,
    ];
    hold(6, 40, |options| sleepers(options, &[]), &marks);
}

/// One of three never leads: it must be found by a leader that sleeps when it comes back.
#[test]
fn whoever_never_leads_finds_its_leader_asleep() {
    let marks = [Mark::SleepersLed, Mark::LesserElected, Mark::LesserMadeWay];
    hold(6, 40, |options| sleepers(options, &[20, 10, 0]), &marks);
}
