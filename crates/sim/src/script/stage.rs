//! A cluster of three stores without clients and random faults, for a script to lead.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use kontiki_raft::Node;
use kontiki_types::{MembershipChange, Message, Moment, PeerChange, ReadMode, RegionId, StoreId};

use crate::env::Env;
use crate::machine::Machine;
use crate::network::Address;
use crate::options::Options;
use crate::violation::Violation;
use crate::world::World;

/// Longest wait for what a script expects to happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// The one group of the stage.
const GROUP: RegionId = RegionId(1);
/// Scripts do not depend on it.
const SEED: u64 = 8;

/// Whether a situation came up; if not, which.
pub(super) type Met<T = ()> = Result<T, String>;

/// See the module.
pub(super) struct Stage {
    world: World,
}

impl Stage {
    /// Three stores with power and empty logs, all of it quick and calm, with clocks that agree;
    /// one entry in each append.
    pub(super) fn new(narrow: impl Fn(&mut Options)) -> Self {
        let mut options = Options::calm(SEED, PATIENCE * 100);
        options.client_count = 0;
        options.store.append_bytes = 1;
        options.store.drift_ppm.fill(0);
        options.network.delay_min = Duration::from_micros(200);
        options.network.jitter_mean = Duration::from_micros(100);
        options.store.apply_mean = Duration::from_micros(20);
        narrow(&mut options);
        let mut world = World::new(options, false);
        world.start();
        Self { world }
    }

    /// Plays; an assertion of the product ends it and is a broken rule.
    pub(super) fn caught(&mut self, play: fn(&mut Self) -> Met) -> Met {
        let played = catch_unwind(AssertUnwindSafe(|| play(self)));
        played.unwrap_or_else(|panic| {
            self.world.env.violation.get_or_insert(Violation::of_panic(&*panic));
            Err("the product panicked".to_owned())
        })
    }

    /// The first broken rule.
    pub(super) fn violation(&mut self) -> Option<Violation> {
        self.world.env.violation.take()
    }

    /// Lets things happen until this holds.
    ///
    /// # Errors
    /// It does not come about, or a rule broke before: what was expected.
    pub(super) fn reach(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Met {
        let end = self.world.env.now + PATIENCE;
        while !holds(self) {
            if self.world.env.now >= end || !self.world.step(end) {
                let stores = self.world.machines.iter().map(|machine| machine.describe(GROUP));
                return Err(format!("{what}: {}", stores.collect::<Vec<_>>().join("\n")));
            }
        }
        Ok(())
    }

    /// Lets things happen for a while.
    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.world.env.now + time;
        self.world.run_until(end);
    }

    /// Lets things happen until this moment.
    pub(super) fn wait_until(&mut self, end: Moment) {
        self.world.run_until(end);
    }

    /// The store that leads the newest term.
    pub(super) fn leader(&self) -> Option<StoreId> {
        let leaders = self.world.machines.iter().filter(|machine| machine.leads(GROUP));
        leaders.max_by_key(|machine| machine.led_term(GROUP)).map(Machine::id)
    }

    /// The replica of a store with power.
    pub(super) fn node(&self, store: StoreId) -> Option<&Node> {
        self.world.machines.iter().find(|machine| machine.id() == store)?.node(GROUP)
    }

    /// What `from` sends to `to` is lost from now on.
    pub(super) fn cut(&mut self, from: StoreId, to: StoreId) {
        self.world.env.network.block(Address::Store(from), Address::Store(to));
    }

    /// Takes back one cut.
    pub(super) fn join(&mut self, from: StoreId, to: StoreId) {
        self.world.env.network.unblock(Address::Store(from), Address::Store(to));
    }

    /// Appends an entry at a leader.
    pub(super) fn propose(&mut self, store: StoreId) {
        let (machine, env) = self.machine(store);
        machine.propose_noise(GROUP, env);
    }

    /// Asks a store for a confirmed read.
    pub(super) fn read(&mut self, store: StoreId) {
        let (machine, env) = self.machine(store);
        machine.read_noise(GROUP, ReadMode::Index, env);
    }

    /// Asks a store for a read confirmed by the lease.
    pub(super) fn read_by_lease(&mut self, store: StoreId) {
        let (machine, env) = self.machine(store);
        machine.read_noise(GROUP, ReadMode::Lease, env);
    }

    /// An operator wants other members.
    pub(super) fn change<const N: usize>(&mut self, leader: StoreId, steps: [PeerChange; N]) {
        let (machine, env) = self.machine(leader);
        machine.change_membership(GROUP, MembershipChange::new(steps), env);
    }

    /// A store hears this, from that one.
    pub(super) fn say(&mut self, from: StoreId, to: StoreId, message: Message) {
        let (machine, env) = self.machine(to);
        machine.hear(GROUP, from, message, env);
    }

    /// A store stands still for a while.
    pub(super) fn pause(&mut self, store: StoreId, time: Duration) {
        let until = self.world.env.now + time;
        self.machine(store).0.pause(until);
    }

    /// A store forgets its replica and that it ever had it, as an operator may make it who gives
    /// an id to another replica.
    pub(super) fn wipe(&mut self, store: StoreId) {
        let (machine, env) = self.machine(store);
        machine.wipe(GROUP, env);
    }

    /// The moment.
    pub(super) fn now(&self) -> Moment {
        self.world.env.now
    }

    fn machine(&mut self, store: StoreId) -> (&mut Machine, &mut Env) {
        let World { machines, env, .. } = &mut self.world;
        let machine = machines.iter_mut().find(|machine| machine.id() == store);
        (machine.expect("a store of the stage"), env)
    }

    /// An operator moves leadership.
    pub(super) fn transfer(&mut self, from: StoreId, to: StoreId) {
        let (machine, env) = self.machine(from);
        machine.transfer_leadership(GROUP, to, env);
    }

    /// What `from` sends to `to` arrives after this time, in order.
    pub(super) fn clog(&mut self, from: StoreId, to: StoreId, time: Duration) {
        let until = self.world.env.now + time;
        self.world.env.network.clog(Address::Store(from), Address::Store(to), until);
    }

    /// Waits until everybody holds what the leader holds, and knows that it is committed; gives
    /// the leader.
    ///
    /// # Errors
    /// That does not come about.
    pub(super) fn settle(&mut self) -> Met<StoreId> {
        let settled = |stage: &Self| stage.leader().filter(|&leader| stage.is_settled(leader));
        self.reach("everybody holds everything", |stage| settled(stage).is_some())?;
        settled(self).ok_or_else(|| "the leader is there".to_owned())
    }

    fn is_settled(&self, leader: StoreId) -> bool {
        let Some(last) = self.node(leader).map(|node| node.last_position().index) else {
            return false;
        };
        let commits = (1..=3).map(|n| self.node(StoreId(n)).map(Node::commit));
        commits.into_iter().all(|commit| commit == Some(last))
    }

    /// Takes the power of a store until [`Stage::power_on`].
    pub(super) fn power_off(&mut self, store: StoreId) {
        let (machine, env) = self.machine(store);
        machine.power_off(env);
    }

    /// Gives it back.
    pub(super) fn power_on(&mut self, store: StoreId) {
        let (machine, env) = self.machine(store);
        machine.power_on(env);
    }
}

/// The other two stores.
pub(super) fn others(store: StoreId) -> [StoreId; 2] {
    let mut others = (1..=3).map(StoreId).filter(|&other| other != store);
    [(); 2].map(|()| others.next().expect("three stores"))
}
