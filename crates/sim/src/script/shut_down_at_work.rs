//! Leaders in memory are shut down under their writers, and come back; nothing else happens, so
//! whoever was told nothing waits until the end.

use std::time::Duration;

use crate::fault::Fault;
use crate::habits::{HabitOptions, Saves};
use crate::options::Options;

pub(crate) fn narrow(options: &mut Options) {
    let saves = Some(Saves { every_groups: 1, every_entries: 50 });
    options.habits = HabitOptions { saves, ..HabitOptions::none() };
    options.faults.hat = vec![Fault::ShutDown];
    options.faults.every_mean = Duration::from_millis(500);
    options.faults.down_max = Duration::from_millis(100);
    options.faults.temptation = 0;
    options.store.election_timeout = Duration::from_millis(300);
    options.workload.think = Duration::from_millis(5);
}
