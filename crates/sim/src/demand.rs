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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use crate::habits::HabitOptions;
    use crate::options::ClusterOptions;

    /// The soak once took a group of which most was away all the time for one that does nothing.
    #[test]
    fn nothing_is_asked_while_most_stores_come_and_go() {
        let mut options = Options::draw(1, Duration::from_mins(2));
        options.set_cluster(ClusterOptions::small(1));
        options.faults.hat = vec![Fault::WallStep];
        options.faults.temptation = 0;
        options.faults.down_max = Duration::from_millis(500);
        options.habits = HabitOptions::none();
        options.store.election_timeout = Duration::from_millis(300);
        let mut world = World::new(options, false);
        world.start();
        let mut demand = Demand::new(world.machines.len());
        let mut pass = |world: &mut World, to: u64, losses: &[u64]| {
            while world.env.now < Moment::ZERO + Duration::from_secs(to) {
                for &store in losses {
                    world.power_off(StoreId(store));
                }
                assert!(
                    world.run_until(world.env.now + Demand::EVERY),
                    "{:?}",
                    world.env.violation
                );
                demand.look(world);
            }
            demand.least(&world.env.options)
        };
        assert_eq!(pass(&mut world, 63, &[]), OPERATIONS_PER_MINUTE_MIN, "but for three seconds");
        assert_eq!(pass(&mut world, 93, &[3]), OPERATIONS_PER_MINUTE_MIN * 3 / 2, "two are enough");
        let least = pass(&mut world, 120, &[2, 3]);
        assert_eq!(least, OPERATIONS_PER_MINUTE_MIN * 3 / 2, "nothing more");
    }
}
