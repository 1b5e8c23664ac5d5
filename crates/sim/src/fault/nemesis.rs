//! Draws faults from the seed, strikes with them, and ends them.
//!
//! Called by the world at random moments until the phase of faults is over. Faults overlap: each
//! one takes back exactly what it did.

use std::time::Duration;

use kontiki_testkit::Rng;
use kontiki_types::{Moment, RegionId, StoreId};

use crate::env::Happening;
use crate::machine::{DiskFault, Machine};
use crate::marks::Mark;
use crate::network::{Address, exponential};
use crate::options::FaultOptions;
use crate::world::World;

use super::Fault;

/// Loss during a burst, per mille.
const BURST_LOSS: u64 = 500;
/// Crashes that come in the middle of the work of a disk, per mille.
const FUSES: u64 = 300;
/// Failed reads that strike a store at work and not at its start, per mille.
const READS_AT_WORK: u64 = 600;
/// Longest step of a wall clock, in milliseconds: far more than the life of a session.
const WALL_STEP_MS_MAX: u64 = 24 * 60 * 60 * 1000;

const MINUTE: Duration = Duration::from_mins(1);
/// Faults strike in this part of each minute; in the calm after it those under way come to their
/// end. So even under the densest faults something gets done for the next ones to spoil.
const STORM: Duration = Duration::from_secs(45);
/// Longest that a fault lasts into the calm.
const LULL: Duration = Duration::from_secs(5);
/// A store that loses its power in the calm is away no longer than this.
const BRIEF: Duration = Duration::from_secs(1);

/// How a fault ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// These links carry again.
    Unblock(Vec<(Address, Address)>),
    /// The disk of this store is quick again.
    QuickDisk(StoreId),
    /// The disk of this store has room again.
    Room(StoreId),
    /// Loss is what it was.
    Burst,
}

/// A fault that struck.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Strike {
    /// Its number in the run.
    pub number: u64,
    /// When.
    pub at: Moment,
    /// What.
    pub fault: Fault,
}

/// The source of all faults.
///
/// Moments and faults have streams of their own, and each fault has one: a strike that a schedule
/// leaves out changes nothing about the others.
#[derive(Debug)]
pub struct Nemesis {
    root: Rng,
    moments: Rng,
    /// Of the strike under way.
    pub(super) rng: Rng,
    count: u64,
    strikes: Vec<Strike>,
}

impl Nemesis {
    /// A nemesis with its own randomness.
    pub fn new(root: Rng) -> Self {
        let moments = root.fork("moments");
        Self { rng: root.clone(), root, moments, count: 0, strikes: Vec::new() }
    }

    /// When the next fault strikes, from now: never in the calm part of a minute.
    pub fn next_strike(&mut self, now: Moment, mean: Duration) -> Duration {
        let wait = exponential(&mut self.moments, mean);
        let into_minute = (now + wait).0 % micros(MINUTE);
        if into_minute < micros(STORM) {
            return wait;
        }
        wait + Duration::from_micros(micros(MINUTE) - into_minute)
    }

    /// Every fault that struck.
    pub fn strikes(&self) -> &[Strike] {
        &self.strikes
    }

    /// The next strike begins; nothing if it is left out.
    fn begin(&mut self, at: Moment, options: &FaultOptions) -> Option<Fault> {
        let number = self.count;
        self.count += 1;
        self.rng = self.root.fork(&format!("strike {number}"));
        let fault = *self.rng.pick(&options.hat);
        let is_kept = options.kept.as_ref().is_none_or(|kept| kept.contains(&number));
        is_kept.then(|| {
            self.strikes.push(Strike { number, at, fault });
            fault
        })
    }

    fn up_to(&mut self, now: Moment, longest: Duration) -> Duration {
        let micros = micros(longest);
        // A quarter of them short: a fault that ends before anybody noticed is a case of its own.
        let micros = if self.rng.chance(250) { micros / 20 } else { micros };
        before_calm(now, Duration::from_micros(self.rng.below(micros + 1) + 1))
    }
}

/// As long as this, but not far into the calm part of a minute.
pub(crate) fn before_calm(now: Moment, time: Duration) -> Duration {
    let into_minute = Duration::from_micros(now.0 % micros(MINUTE));
    time.min((STORM + LULL).saturating_sub(into_minute).max(BRIEF))
}

impl World {
    /// A fault strikes, and the next one is planned.
    pub(crate) fn strike(&mut self) {
        let mean = self.env.options.faults.every_mean;
        let next = self.nemesis.next_strike(self.env.now, mean);
        self.env.after(next, Happening::Strike);
        let Some(fault) = self.nemesis.begin(self.env.now, &self.env.options.faults) else {
            return;
        };
        self.env.trace.mix(fault as u64);
        self.env.tell(format_args!("fault {fault:?}"));
        match fault {
            Fault::IsolateOne => {
                let store = self.any_store();
                self.cut_stores(store, true, true);
            }
            Fault::IsolateLeader => {
                let store = self.leader_or_any();
                self.cut_stores(store, true, true);
            }
            Fault::DeafLeader => {
                let store = self.leader_or_any();
                self.cut_stores(store, true, false);
            }
            Fault::MuteLeader => {
                let store = self.leader_or_any();
                self.cut_stores(store, false, true);
            }
            Fault::CutOff => self.cut_off(),
            Fault::OneWay => self.cut_pair(false),
            Fault::Bridge => self.cut_pair(true),
            Fault::ClientCut => self.cut_client(),
            Fault::CrashOne => self.crash(&[None]),
            Fault::CrashLeader => {
                let leader = self.leader_or_any();
                self.crash(&[Some(leader)]);
            }
            Fault::CrashMajority => self.crash_some(self.store_count() / 2 + 1),
            Fault::CrashAll => self.crash_some(self.store_count()),
            Fault::PauseOne => {
                let store = self.any_store();
                self.pause(store);
            }
            Fault::PauseLeader => {
                let store = self.leader_or_any();
                self.pause(store);
            }
            Fault::SlowDisk => self.slow_disk(),
            Fault::FailWrite
            | Fault::FailSync
            | Fault::FailRead
            | Fault::FailEngine
            | Fault::FullDisk
            | Fault::RotDisk
            | Fault::MisdirectWrite => self.strike_disk(fault),
            Fault::Clog => self.clog(1),
            Fault::Swizzle => self.clog(usize::MAX),
            Fault::LossBurst => self.burst(),
            Fault::Transfer => self.transfer(),
            Fault::ChangeRoles => self.change_roles(),
            Fault::ChangeMembers => self.change_members(),
            Fault::WallStep => self.step_wall(),
            Fault::ClientCrash => {
                let client = self.nemesis.rng.index(self.clients.len());
                self.clients[client].crash(&mut self.env);
            }
            Fault::FailMachine | Fault::ShutDown => self.strike_machine(fault),
        }
    }

    /// A state machine in memory, more often than not that of a leader, fails or is shut down.
    fn strike_machine(&mut self, fault: Fault) {
        let group = self.any_group();
        let leader = self.leader_of(group).filter(|_| self.nemesis.rng.chance(500));
        let store = leader.unwrap_or_else(|| self.any_store());
        let (machine, rng) = (&mut self.machines[World::index_of(store)], &mut self.nemesis.rng);
        if fault == Fault::FailMachine {
            let loading = rng.chance(500);
            machine.fail_machine(group, loading);
            if loading {
                // It gets a snapshot only if it misses much.
                self.cut_stores(store, true, true);
            }
        } else {
            machine.halt(group, rng.chance(500), &mut self.env);
        }
    }

    /// A fault of a disk strikes.
    fn strike_disk(&mut self, fault: Fault) {
        let store = self.any_store();
        let machine = &mut self.machines[World::index_of(store)];
        let env = &mut self.env;
        match fault {
            Fault::FailWrite => machine.spoil(DiskFault::FailWrite, env),
            Fault::FailSync => machine.spoil(DiskFault::FailSync, env),
            Fault::FailRead if self.nemesis.rng.chance(READS_AT_WORK) => {
                machine.spoil(DiskFault::FailRead, env);
            }
            Fault::FailRead => {
                machine.spoil(DiskFault::FailReadAtStart, env);
                self.power_off(store);
            }
            Fault::FailEngine => machine.spoil(DiskFault::FailEngine, env),
            Fault::FullDisk => {
                machine.spoil(DiskFault::Full, env);
                self.end_later(End::Room(store));
            }
            Fault::RotDisk => machine.spoil(DiskFault::Rot, env),
            Fault::MisdirectWrite => machine.spoil(DiskFault::Misdirect, env),
            other => panic!("{other:?} is no fault of a disk"),
        }
    }

    /// A fault ends.
    pub(crate) fn end_fault(&mut self, end: End) {
        self.env.tell(format_args!("end of {end:?}"));
        match end {
            End::Unblock(links) => {
                for (from, to) in links {
                    self.env.network.unblock(from, to);
                }
            }
            End::QuickDisk(store) => self.machine(store).set_slowness(1),
            End::Room(store) => self.machine(store).make_room(),
            End::Burst => self.env.network.set_burst(0),
        }
    }

    fn store_count(&self) -> u64 {
        self.machines.len() as u64
    }

    pub(super) fn any_store(&mut self) -> StoreId {
        StoreId(1 + self.nemesis.rng.below(self.machines.len() as u64))
    }

    pub(super) fn any_group(&mut self) -> RegionId {
        self.nemesis.rng.pick(self.env.cluster.regions()).id
    }

    fn leader_or_any(&mut self) -> StoreId {
        let group = self.any_group();
        self.leader_of(group).unwrap_or_else(|| self.any_store())
    }

    /// The store that leads the newest term of a group.
    pub(crate) fn leader_of(&self, group: RegionId) -> Option<StoreId> {
        let leaders = self.machines.iter().filter(|machine| machine.leads(group));
        leaders.max_by_key(|machine| machine.led_term(group)).map(Machine::id)
    }

    fn cut_stores(&mut self, store: StoreId, is_deaf: bool, is_mute: bool) {
        let mut links = Vec::new();
        let me = Address::Store(store);
        for other in self.env.cluster.stores().filter(|&other| other != store) {
            let other = Address::Store(other);
            links.extend(is_mute.then_some((me, other)));
            links.extend(is_deaf.then_some((other, me)));
        }
        self.block_for_a_while(links);
    }

    fn cut_off(&mut self) {
        let store = self.any_store();
        let me = Address::Store(store);
        let stores = self.env.cluster.stores().map(Address::Store);
        let clients = (0..self.clients.len()).map(Address::Client);
        let others = stores.chain(clients).filter(|&other| other != me);
        let links = others.flat_map(|other| [(me, other), (other, me)]).collect();
        self.block_for_a_while(links);
    }

    fn cut_pair(&mut self, is_both_ways: bool) {
        let one = self.any_store();
        let other = StoreId(one.0 % self.store_count() + 1);
        let (one, other) = (Address::Store(one), Address::Store(other));
        let mut links = vec![(one, other)];
        links.extend(is_both_ways.then_some((other, one)));
        self.block_for_a_while(links);
    }

    fn cut_client(&mut self) {
        let client = Address::Client(self.nemesis.rng.index(self.clients.len()));
        let store = Address::Store(self.any_store());
        self.block_for_a_while(vec![(client, store), (store, client)]);
    }

    fn block_for_a_while(&mut self, links: Vec<(Address, Address)>) {
        for &(from, to) in &links {
            self.env.network.block(from, to);
        }
        self.end_later(End::Unblock(links));
    }

    fn crash_some(&mut self, count: u64) {
        let first = self.any_store();
        let all = self.store_count();
        let stores: Vec<_> = (0..count).map(|n| Some(StoreId((first.0 + n) % all + 1))).collect();
        self.crash(&stores);
    }

    fn crash(&mut self, stores: &[Option<StoreId>]) {
        for store in stores {
            let store = store.unwrap_or_else(|| self.any_store());
            if self.nemesis.rng.chance(FUSES) {
                self.machine(store).light_fuse();
            } else {
                self.power_off(store);
            }
        }
        if self.machines.iter().all(|machine| !machine.is_up()) {
            self.env.marks.hit(Mark::AllDown);
        }
    }

    fn pause(&mut self, store: StoreId) {
        let longest = self.env.options.faults.pause_max;
        let time = self.nemesis.up_to(self.env.now, longest);
        let until = self.env.now + time;
        self.machine(store).pause(until);
    }

    fn slow_disk(&mut self) {
        let store = self.any_store();
        let factor = self.env.options.faults.slow_factor;
        self.machine(store).set_slowness(factor);
        self.end_later(End::QuickDisk(store));
    }

    fn burst(&mut self) {
        self.env.network.set_burst(BURST_LOSS);
        self.end_later(End::Burst);
    }

    /// A fault ends some time from now.
    fn end_later(&mut self, end: End) {
        let longest = self.env.options.faults.partition_max;
        let time = self.nemesis.up_to(self.env.now, longest);
        self.env.after(time, Happening::End(end));
    }

    /// Links into a store, at most so many, hold back what they carry.
    fn clog(&mut self, links_max: usize) {
        let store = self.any_store();
        let mut others: Vec<_> = self.env.cluster.stores().filter(|&s| s != store).collect();
        self.nemesis.rng.shuffle(&mut others);
        let longest = self.env.options.faults.partition_max;
        for other in others.into_iter().take(links_max) {
            let until = self.env.now + self.nemesis.up_to(self.env.now, longest);
            self.env.network.clog(Address::Store(other), Address::Store(store), until);
        }
        self.env.marks.hit(Mark::LinkClogged);
    }

    fn step_wall(&mut self) {
        let store = self.any_store();
        let by = i64::try_from(self.nemesis.rng.below(2 * WALL_STEP_MS_MAX)).expect("minutes");
        let by = by - i64::try_from(WALL_STEP_MS_MAX).expect("minutes");
        self.env.marks.hit(Mark::WallJumped);
        self.machine(store).step_wall(by);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).expect("below an hour")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_fault_strikes_in_the_calm_part_of_a_minute() {
        let mut nemesis = Nemesis::new(Rng::new(1));
        let (mut now, mut minutes) = (Moment::ZERO, 0);
        while minutes < 10 {
            let before = now.0 / micros(MINUTE);
            now = now + nemesis.next_strike(now, Duration::from_secs(3));
            assert!(now.0 % micros(MINUTE) < micros(STORM), "{now}");
            minutes += now.0 / micros(MINUTE) - before;
        }
    }

    #[test]
    fn the_calm_comes_whatever_struck_last() {
        let lasts = |s: u64| before_calm(Moment(s * 1_000_000), Duration::from_secs(15)).as_secs();
        assert_eq!([0, 30, 44, 52, 60, 104].map(lasts), [15, 15, 6, 1, 15, 6]);
    }
}
