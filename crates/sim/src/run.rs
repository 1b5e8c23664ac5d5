//! One seed from its options to its verdict.
//!
//! A panic of the product inside a run is a broken rule like any other: it is caught, so that a
//! sweep goes on and the seed is named.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use kontiki_types::Moment;

use crate::client::workload::{Change, Plan};
use crate::demand::Demand;
use crate::env::Happening;
use crate::fault::Strike;
use crate::limits::{CONVERGE_IN_ALL_MAX, CONVERGE_MAX, DRAIN_MAX};
use crate::lull::lull;
use crate::marks::Marks;
use crate::mutant::Switched;
use crate::options::Options;
use crate::violation::{Rule, Violation};
use crate::world::World;

/// How often the end of a phase is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What became of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Which seed.
    pub seed: u64,
    /// The first broken rule.
    pub violation: Option<Violation>,
    /// Virtual time with faults.
    pub faulty: Duration,
    /// Virtual time in all.
    pub total: Duration,
    /// Things that happened.
    pub happenings: u64,
    /// Operations of clients that ended well.
    pub operations: u64,
    /// Entries committed.
    pub committed: usize,
    /// States hashed by the stores themselves and found equal.
    pub state_hashes: usize,
    /// Hash of everything that happened.
    pub trace_hash: u64,
    /// Rare states reached.
    pub marks: Marks,
    /// Faults that struck.
    pub strikes: Vec<Strike>,
}

/// Runs a seed. `tell` gets the trace in pieces, if there is one to tell.
pub fn run(options: Options, tell: Option<&mut dyn FnMut(String)>) -> Report {
    let _switched = Switched::on(options.mutant);
    let mut world = World::new(options, tell.is_some());
    let mut silent = |_| {};
    let tell = tell.unwrap_or(&mut silent);
    let finished = catch_unwind(AssertUnwindSafe(|| live(&mut world, tell)));
    tell(world.env.trace.take_text());
    let env = &mut world.env;
    if let Err(panic) = finished {
        env.violation.get_or_insert(Violation::of_panic(&*panic));
    }
    let total = env.now.since(Moment::ZERO);
    Report {
        seed: env.options.seed,
        violation: env.violation.take(),
        faulty: total.min(env.options.duration),
        total,
        happenings: env.count,
        operations: env.book.ok_count(),
        committed: env.safety.committed_count(),
        state_hashes: env.safety.state_hash_count(),
        trace_hash: env.trace.hash(),
        marks: env.marks.clone(),
        strikes: world.nemesis.strikes().to_vec(),
    }
}

/// The phases of a run; each ends early when a rule is broken.
fn live(world: &mut World, tell: &mut dyn FnMut(String)) {
    world.start();
    let end = Moment::ZERO + world.env.options.duration;
    let mut demand = Demand::new(world.machines.len());
    while world.env.now < end {
        let next = (world.env.now + Demand::EVERY).min(end);
        if !world.run_until(next) {
            return;
        }
        demand.look(world);
        tell(world.env.trace.take_text());
    }
    let done = world.env.book.ok_count();
    heal(world);
    drain(world, "operations under way at the heal");
    read_all(world);
    drain(world, "last reads");
    converge(world);
    if world.env.violation.is_none() {
        let World { env, machines, .. } = world;
        for machine in machines {
            machine.judge_calm(env);
        }
    }
    lull(world);
    if world.env.violation.is_none() {
        judge(world);
        judge_workload(world, &demand, done);
    }
}

/// Ends every fault for good, but for a store that may stay dead: the others must do without it.
fn heal(world: &mut World) {
    let env = &mut world.env;
    env.tell(format_args!("heal"));
    env.is_healed = true;
    env.network.heal();
    // One store away is what a group of three bears.
    env.forget_cured();
    let dead = env.options.faults.dead_at_end.filter(|_| env.rotten.is_empty());
    for machine in &mut world.machines {
        machine.set_slowness(1);
        machine.heal(env);
        if Some(machine.id()) == dead {
            machine.power_off(env);
            machine.bury();
        } else if !machine.is_up() {
            env.queue.push(env.now, Happening::PowerOn { store: machine.id() });
        }
    }
    for client in &mut world.clients {
        client.wind_down();
    }
}

/// Waits until every client is done.
fn drain(world: &mut World, what: &str) {
    let end = world.env.now + DRAIN_MAX;
    let is_done = |world: &World| world.clients.iter().all(|client| client.is_done());
    while world.env.violation.is_none() && !is_done(world) && world.env.now < end {
        world.run_until((world.env.now + LOOK_EVERY).min(end));
    }
    if !is_done(world) {
        let waiting = world.clients.iter().filter(|client| !client.is_done());
        let waiting: Vec<_> = waiting.map(|client| client.describe()).collect();
        let what = format!(
            "{what} did not end in {DRAIN_MAX:?} without faults\n  {}\n  {}",
            waiting.join("\n  "),
            describe(world),
        );
        world.env.fail(Rule::Liveness, what);
    }
}

/// Every group commits once more, and every key is read once more, by all clients in turn.
fn read_all(world: &mut World) {
    let counters = usize::try_from(world.env.options.workload.counters).expect("a handful");
    let mut plans: Vec<Vec<Plan>> = world.clients.iter().map(|_| Vec::new()).collect();
    let regions = world.env.cluster.regions();
    let last = regions.iter().map(|region| Plan::Write(vec![Change::last(region.id)]));
    let registers = world.workload.keys().map(|key| Plan::Get { key });
    let counters = (0..counters).map(|counter| Plan::ReadCounter { counter });
    let sets = world.workload.sets().map(|set| Plan::ReadSet { set });
    for (number, plan) in last.chain(registers).chain(counters).chain(sets).enumerate() {
        let client = number % plans.len();
        plans[client].push(plan);
    }
    for (client, plans) in world.clients.iter_mut().zip(plans) {
        client.finish_with(plans, &mut world.env);
    }
}

/// Waits until all replicas hold the same.
pub(crate) fn converge(world: &mut World) {
    let began = world.env.now;
    let (mut since, mut parts) = (began, world.env.snapshot_parts);
    let end = |since: Moment| (since + CONVERGE_MAX).min(began + CONVERGE_IN_ALL_MAX);
    while world.env.violation.is_none() && !is_equal(world) && world.env.now < end(since) {
        world.run_until((world.env.now + LOOK_EVERY).min(end(since)));
        if world.env.snapshot_parts > parts {
            (since, parts) = (world.env.now, world.env.snapshot_parts);
        }
    }
    if !is_equal(world) {
        let stores = describe(world);
        let waited = world.env.now.since(began);
        let what = format!("not equal after {waited:?}\n  {stores}");
        world.env.fail(Rule::Liveness, what);
    }
}

/// Whether every member that can be is where its leader is. Who is a member is for the newest
/// leader to say; replicas that were removed do not count.
fn is_equal(world: &World) -> bool {
    world.env.cluster.regions().iter().all(|region| {
        let Some(leader) = world.leader_of(region.id) else { return false };
        let leader = &world.machines[World::index_of(leader)];
        let Some(node) = leader.node(region.id) else { return false };
        let state = leader.state(region.id);
        let members: Vec<_> = node.membership().peers().map(|peer| peer.store).collect();
        let living = world.machines.iter().filter(|machine| !machine.is_buried());
        let mut members = living.filter(|machine| members.contains(&machine.id()));
        state.is_some() && members.all(|machine| machine.state(region.id) == state)
    })
}

/// How every replica stands.
pub(crate) fn describe(world: &World) -> String {
    let mut lines = Vec::new();
    for region in world.env.cluster.regions() {
        for machine in &world.machines {
            if machine.node(region.id).is_some() || !machine.is_up() {
                let state = machine.state(region.id);
                lines.push(format!("{} {state:x?}", machine.describe(region.id)));
            }
        }
    }
    lines.join("\n  ")
}

/// What clients were told must be linearizable.
fn judge(world: &mut World) {
    let judged = world.env.book.check();
    world.env.judge(judged);
}

/// Enough was done while there were faults.
fn judge_workload(world: &mut World, demand: &Demand, done: u64) {
    let least = demand.least(&world.env.options);
    if done < least {
        let what = format!("{done} operations ended well, at least {least} must");
        world.env.fail(Rule::Workload, what);
    }
}
