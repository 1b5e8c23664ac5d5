//! The simulated world: machines, clients and links in virtual time, and the loop that runs it.
//!
//! # How a run goes
//! ```text
//!   options ← seed
//!   power on, clients start          │ faults strike, clients ask, judges watch after every turn
//!   ── options.duration ────────────▶│
//!   heal: links whole, power on      │ no more faults, no new operations of the workload
//!   ── all operations end ──────────▶│ within DRAIN_MAX, or it is a violation
//!   every key is read once more      │
//!   ── all replicas equal ──────────▶│ within CONVERGE_MAX, or it is a violation
//!   nobody asks                      │ groups sleep, and a leader dies asleep: see `lull`
//!   the book is judged               │ linearizability, counters
//! ```
//!
//! # Invariants
//! - One thread, one heap, one source of randomness for each actor, all forked from the seed: two
//!   runs of one seed are equal byte for byte. Nothing here reads a clock, an address or the order
//!   of a hash map.
//! - What happens at one moment happens whole, at one place. Between two places there are only
//!   packets.
//! - A store is only its disks once its power is lost: nothing planned in an earlier life happens.
//! - Judges see; they never act.
//!
//! # Left out
//! Splits and merges of regions (there are none yet), gRPC and threads (other tiers test them), and
//! damage of bits at rest in the engine.

use std::collections::BTreeMap;

use kontiki_testkit::Rng;
use kontiki_types::{Moment, StoreId};

use crate::check::{Book, Safety};
use crate::client::Client;
use crate::client::library::Library;
use crate::client::plain::Plain;
use crate::client::workload::Workload;
use crate::cluster::Cluster;
use crate::env::{Env, Happening};
use crate::fault::Nemesis;
use crate::limits::HAPPENINGS_PER_SECOND_MAX;
use crate::machine::Machine;
use crate::marks::{Mark, Marks};
use crate::network::{Address, Network};
use crate::options::Options;
use crate::queue::Queue;
use crate::trace::Trace;
use crate::violation::Rule;
use crate::wire::Packet;

/// Microseconds in a second.
const SECOND: u64 = 1_000_000;

/// The simulated world.
pub struct World {
    pub(crate) env: Env,
    pub(crate) machines: Vec<Machine>,
    pub(crate) clients: Vec<Box<dyn Client>>,
    pub(crate) workload: Workload,
    pub(crate) nemesis: Nemesis,
    /// Happenings in the virtual second under way, and which one that is.
    budget: (u64, u64),
}

impl World {
    /// A world at its first moment: nothing has power.
    pub fn new(options: Options, is_told: bool) -> Self {
        let rng = Rng::new(options.seed);
        let drifts = options.store.drift_ppm.iter();
        let machines = drifts
            .zip(1..)
            .map(|(&ppm, n)| Machine::new(StoreId(n), ppm, rng.fork(&format!("store {n}"))))
            .collect();
        let clients = (0..options.client_count).map(|n| client(n, &options, &rng)).collect();
        let counters = usize::try_from(options.workload.counters).expect("a handful");
        let cluster = Cluster::new(&options.cluster);
        let env = Env {
            now: Moment::ZERO,
            count: 0,
            queue: Queue::default(),
            network: Network::new(options.network.clone(), rng.fork("network")),
            trace: Trace::new(options.seed, is_told),
            marks: Marks::default(),
            safety: Safety::new(cluster.regions()),
            cluster,
            book: Book::new(counters),
            is_healed: false,
            snapshot_parts: 0,
            violation: None,
            rotten: BTreeMap::new(),
            rotted: 0,
            led_by: BTreeMap::new(),
            last_unique: 0,
            options,
        };
        Self {
            workload: Workload::new(env.options.workload.clone(), env.cluster.regions().len()),
            env,
            machines,
            clients,
            nemesis: Nemesis::new(rng.fork("nemesis")),
            budget: (0, 0),
        }
    }

    /// Gives power to everything and plans the first fault.
    pub fn start(&mut self) {
        for machine in &mut self.machines {
            machine.power_on(&mut self.env);
        }
        for client in &mut self.clients {
            client.start(&mut self.env);
        }
        let first = self.nemesis.next_strike(self.env.now, self.env.options.faults.every_mean);
        self.env.after(first, Happening::Strike);
    }

    /// Lets everything planned up to this moment happen. False when a rule was broken.
    pub fn run_until(&mut self, end: Moment) -> bool {
        self.run_while(end, |_| true);
        self.env.violation.is_none()
    }

    /// Lets the next thing happen, if it does before `end`. False when a rule was broken.
    pub(crate) fn step(&mut self, end: Moment) -> bool {
        let count = self.env.count;
        self.run_while(end, |world| world.env.count == count);
        self.env.violation.is_none()
    }

    /// Lets things happen while `goes_on`, up to `end`.
    pub(crate) fn run_while(&mut self, end: Moment, goes_on: impl Fn(&Self) -> bool) {
        while self.env.violation.is_none() && goes_on(self) {
            if self.env.queue.next_at().is_none_or(|at| at > end) {
                self.env.now = end;
                return;
            }
            let Some((at, what)) = self.env.queue.pop() else { return };
            assert!(at >= self.env.now, "{at} comes after {}", self.env.now);
            self.env.now = at;
            self.env.count += 1;
            self.count_budget();
            self.happen(what);
        }
    }

    fn count_budget(&mut self) {
        let second = self.env.now.0 / SECOND;
        if self.budget.0 != second {
            self.budget = (second, 0);
        }
        self.budget.1 += 1;
        if self.budget.1 > HAPPENINGS_PER_SECOND_MAX {
            let waiting = self.env.queue.len();
            let what = format!("{} happenings in second {second}, {waiting} wait", self.budget.1);
            self.env.fail(Rule::Budget, what);
        }
    }

    fn happen(&mut self, what: Happening) {
        let Some(what) = self.defer(what) else { return };
        let env = &mut self.env;
        env.trace.mix(env.now.0);
        match what {
            Happening::Store { store, life, work } => {
                let machine = &mut self.machines[slot(store)];
                if machine.life() == life {
                    env.trace.mix(store.0);
                    machine.on_work(work, env);
                }
            }
            Happening::Packet { from, to: Address::Store(store), packet } => {
                env.trace.mix(store.0 + 100);
                let machine = &mut self.machines[slot(store)];
                if machine.is_up() {
                    machine.on_packet(from, packet, env);
                } else {
                    nobody_listens(store, &packet, env);
                }
            }
            Happening::Packet { from, to: Address::Client(client), packet } => {
                env.trace.mix(client as u64 + 200);
                let Address::Store(store) = from else { unreachable!("clients do not talk") };
                if env.trace.is_told() {
                    env.tell(format_args!("client {client} is told {packet:?}"));
                }
                self.clients[client].on_packet(store, packet, env);
            }
            Happening::Client { client, life, step } => {
                let client = &mut self.clients[client];
                if client.life() == life {
                    client.on_step(step, &mut self.workload, env);
                }
            }
            Happening::Strike if !env.is_healed => self.strike(),
            Happening::End(end) if !env.is_healed => self.end_fault(end),
            Happening::Strike | Happening::End(_) => {}
            Happening::PowerOn { store } => self.machines[slot(store)].power_on(env),
            Happening::PowerOff { store, life } => {
                if self.machine(store).life() == life && !self.env.is_healed {
                    self.power_off(store);
                }
            }
        }
    }

    /// Puts off what concerns a machine that stands still; gives back what happens now.
    fn defer(&mut self, what: Happening) -> Option<Happening> {
        let store = match &what {
            Happening::Store { store, .. }
            | Happening::Packet { to: Address::Store(store), .. } => *store,
            _ => return Some(what),
        };
        let machine = &mut self.machines[slot(store)];
        let Some(until) = machine.paused_until() else { return Some(what) };
        if self.env.now < until {
            // Those put off keep their order, and come before what arrives at that very moment.
            self.env.queue.push(until, what);
            return None;
        }
        machine.resume();
        let machine = &self.machines[slot(store)];
        for region in self.env.cluster.regions() {
            let led = machine.led_term(region.id);
            let newest = self.machines.iter().filter_map(|other| other.led_term(region.id)).max();
            if led.is_some() && led < newest {
                self.env.marks.hit(Mark::OldLeaderWoke);
            }
        }
        self.env.tell(format_args!("{store} goes on"));
        Some(what)
    }

    /// Takes the power of a store and plans its return.
    pub(crate) fn power_off(&mut self, store: StoreId) {
        let machine = &mut self.machines[slot(store)];
        if machine.is_up() {
            machine.power_off(&mut self.env);
            machine.plan_power_on(&mut self.env);
        }
    }

    pub(crate) fn machine(&mut self, store: StoreId) -> &mut Machine {
        &mut self.machines[slot(store)]
    }

    pub(crate) fn index_of(store: StoreId) -> usize {
        slot(store)
    }
}

fn client(number: usize, options: &Options, rng: &Rng) -> Box<dyn Client> {
    let mut rng = rng.fork(&format!("client {number}"));
    let workload = &options.workload;
    if rng.chance(workload.library_clients) {
        Box::new(Library::new(number, rng, workload.attempt_timeout, Moment::ZERO))
    } else {
        Box::new(Plain::new(number, rng))
    }
}

/// The machine is there, its store is not: connections are refused.
fn nobody_listens(store: StoreId, packet: &Packet, env: &mut Env) {
    if let &Packet::Batches { client, stream, .. } = packet {
        env.send(Address::Store(store), Address::Client(client), Packet::Reset { stream });
    }
}

fn slot(store: StoreId) -> usize {
    usize::try_from(store.0 - 1).expect("stores are numbered from 1")
}
