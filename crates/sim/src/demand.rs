//! How much must have been done for the verdict over a run to mean something.
//!
//! Kept by the run, second for second, while there are faults. It asks for something only where
//! something could be done: a group with a quorum of stores that have been at work for a while, and
//! clients that do not rest. Where most stores lose their power all the time, little is fair.

use std::time::Duration;

use kontiki_types::{Moment, StoreId};

use crate::limits::{OPERATIONS_PER_MINUTE_MIN, SETTLE_TIMEOUTS};
use crate::machine::Machine;
use crate::options::Options;
use crate::world::World;

/// See the module.
#[derive(Debug)]
pub(crate) struct Demand {
    /// For each store the life it was seen in, and since when it has been at work in it.
    stores: Vec<(u64, Moment)>,
    seconds: u64,
}

impl Demand {
    /// How often it looks.
    pub(crate) const EVERY: Duration = Duration::from_secs(1);

    /// Of a world with this many stores that begins.
    pub(crate) fn new(stores: usize) -> Self {
        Self { stores: vec![(0, Moment::ZERO); stores], seconds: 0 }
    }

    /// A second is over.
    pub(crate) fn look(&mut self, world: &World) {
        let env = &world.env;
        for (store, machine) in self.stores.iter_mut().zip(&world.machines) {
            follow(store, machine, env.now);
        }
        let settled = env.options.store.election_timeout * SETTLE_TIMEOUTS;
        let since = |store: StoreId| self.stores[World::index_of(store)].1;
        let works = |store| env.now.since(since(store)) >= settled;
        self.seconds += u64::from(env.safety.can_commit(works));
    }

    /// So many operations must have ended well.
    pub(crate) fn least(&self, options: &Options) -> u64 {
        let most = self.seconds * OPERATIONS_PER_MINUTE_MIN / 60;
        most * options.habits.working_percent() / 100
    }
}

fn follow(store: &mut (u64, Moment), machine: &Machine, now: Moment) {
    if !machine.works(now) || store.0 != machine.life() {
        *store = (machine.life(), now);
    }
}
