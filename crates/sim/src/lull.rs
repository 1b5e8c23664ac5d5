//! The last phase of a run whose groups may sleep: nobody asks anything any more.
//!
//! ```text
//!   all replicas equal   │ every group falls asleep           within a few quiet timeouts
//!   a leader's store dies│ its groups elect another, unasked  within SUCCEED_MAX
//!   it comes back        │ all equal and asleep again         as after the last reads
//! ```
//!
//! Before this phase a client would wake whoever sleeps beside a dead store, and so hide that
//! nobody else does.

use std::time::Duration;

use kontiki_raft::{Node, Priority};
use kontiki_types::{Region, RegionId, StoreId};

use crate::cluster::is_quorum;
use crate::env::Happening;
use crate::limits::SUCCEED_MAX;
use crate::machine::Machine;
use crate::marks::Mark;
use crate::run::{converge, describe};
use crate::violation::Rule;
use crate::world::World;

/// How often the end of a phase is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What falling asleep takes besides quiet: a packet that a client sent a minute ago may still
/// come, and wakes whom it is for.
const SETTLE: Duration = Duration::from_secs(90);

/// Lets the cluster sleep, and the leader of a sleeping group die.
pub(crate) fn lull(world: &mut World) {
    let options = &world.env.options;
    let Some(timeouts) = options.habits.hibernate_after else { return };
    let quiet = options.store.election_timeout * (timeouts + 1) + SETTLE;
    if !wait_for_sleep(world, quiet) {
        return;
    }
    let Some(victim) = victim(world) else { return };
    let left = left_behind(world, victim);
    world.env.tell(format_args!("{victim} dies while {left:?} sleep"));
    let World { env, machines, .. } = world;
    machines[World::index_of(victim)].power_off(env);
    wait_for_leaders(world, &left);
    let now = world.env.now;
    world.env.queue.push(now, Happening::PowerOn { store: victim });
    world.run_until(now);
    converge(world);
    wait_for_sleep(world, quiet);
}

/// Who is at work does not sleep, but nobody gives anybody any.
fn wait_for_sleep(world: &mut World, longest: Duration) -> bool {
    let is_over = |world: &World| regions(world).all(|region| sleeps(world, region));
    if wait(world, longest, is_over) {
        return world.env.violation.is_none();
    }
    let what = format!("somebody is awake after {longest:?} of quiet\n  {}", describe(world));
    world.env.fail(Rule::Liveness, what);
    false
}

fn wait_for_leaders(world: &mut World, left: &[RegionId]) {
    let is_over = |world: &World| left.iter().all(|&group| world.leader_of(group).is_some());
    if wait(world, SUCCEED_MAX, is_over) {
        for _ in left {
            world.env.marks.hit(Mark::SleepersLed);
        }
        return;
    }
    let what = format!("no leader {SUCCEED_MAX:?} after one died asleep\n  {}", describe(world));
    world.env.fail(Rule::Liveness, what);
}

/// True when it is over in time, or a rule was broken.
fn wait(world: &mut World, longest: Duration, is_over: impl Fn(&World) -> bool) -> bool {
    let end = world.env.now + longest;
    while world.env.violation.is_none() && !is_over(world) && world.env.now < end {
        world.run_until((world.env.now + LOOK_EVERY).min(end));
    }
    world.env.violation.is_some() || is_over(world)
}

fn regions(world: &World) -> impl Iterator<Item = &Region> {
    world.env.cluster.regions().iter()
}

/// Whether every member of a group sleeps that is there. Replicas that were removed do not count,
/// nor do leftovers of changes that were given up, which ask for ever.
fn sleeps(world: &World, region: &Region) -> bool {
    let Some(leader) = world.leader_of(region.id) else { return false };
    let Some(node) = world.machines[World::index_of(leader)].node(region.id) else { return false };
    let members =
        node.membership().peers().map(|peer| &world.machines[World::index_of(peer.store)]);
    members.filter(|machine| machine.is_up()).all(|machine| machine.sleeps(region.id))
}

/// A store that leads groups in their sleep, if every group bears the loss of one more.
fn victim(world: &World) -> Option<StoreId> {
    let is_whole = world.env.rotten.is_empty() && world.machines.iter().all(Machine::is_up);
    regions(world).filter(|_| is_whole).find_map(|region| world.leader_of(region.id))
}

/// The groups that this store leads and that others can lead without it.
fn left_behind(world: &World, victim: StoreId) -> Vec<RegionId> {
    let is_led = |region: &&Region| world.leader_of(region.id) == Some(victim);
    let goes_on = |region: &&Region| {
        let node = world.machines[World::index_of(victim)].node(region.id);
        let Some(membership) = node.map(Node::membership) else { return false };
        let wishes = world.env.options.priorities(region);
        let leads = |peer| wishes.get(&peer) != Some(&Priority::NEVER);
        let mut others = membership.peers().filter(|peer| peer.store != victim);
        is_quorum(membership, |peer| peer.store != victim)
            && others.any(|peer| membership.is_voter(peer.id) && leads(peer.id))
    };
    regions(world).filter(is_led).filter(goes_on).map(|region| region.id).collect()
}
