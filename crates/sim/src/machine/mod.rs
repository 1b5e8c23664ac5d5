//! A store machine: disks that outlive it, a clock, and, while it has power, the product itself.
//!
//! The product's pure code is driven as `kontiki-host` drives it with threads; here each thread is
//! an actor whose work is planned on the heap:
//!
//! | here | in production | file |
//! |---|---|---|
//! | turn | shard thread | `turn` |
//! | log sync, segments | log writer, segment keeper | `writer` |
//! | apply, engine sync | apply worker, background thread | `applying` |
//! | streams | snapshot sender and receiver, spools | `streams`, `spool` |
//! | service | the server's request handling | `service`, `reply` |
//! | boot | start of a store | `boot` |
//! | groups in memory, saved and revived | a library user's nodes | `memory`, `saves`, `revival` |
//!
//! `judge` and `sleep` look on: what must hold, and what wakes whom.
//!
//! What happens at one virtual moment happens whole; a crash falls between two moments, or, by the
//! fuse of the disks, between two operations of one.

mod applying;
mod boot;
mod disk;
mod fuse;
mod judge;
mod memory;
mod power;
mod replicas;
mod reply;
mod revival;
mod running;
mod saves;
mod service;
mod sleep;
mod spool;
mod streams;
mod turn;
mod writer;

use std::collections::BTreeMap;
use std::time::Duration;

use kontiki_engine::SimDisk as EngineDisk;
use kontiki_log::SimDisk as LogDisk;
use kontiki_raft::{Node, RoleKind};
use kontiki_testkit::Rng;
use kontiki_types::{Index, Moment, RegionId, StoreId, Term};

use crate::clock::LocalClock;
use crate::env::{Env, Happening, Work};
use crate::network::{Address, exponential};
use crate::violation::Rule;
use crate::wire::Packet;

use disk::Ailments;
use replicas::Notes;
use running::Running;
use saves::Saved;
use spool::Spools;

/// A store machine.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub struct Machine {
    id: StoreId,
    /// Grows with every loss of power.
    life: u64,
    clock: LocalClock,
    rng: Rng,
    log_disk: LogDisk,
    engine_disk: EngineDisk,
    spools: Spools,
    /// The newest snapshots of the groups in memory. Like a note, an entry is durable at once.
    saves: BTreeMap<RegionId, Saved>,
    /// Which replicas it has and had, as its driver notes durably.
    notes: Notes,
    /// The product, while there is power.
    running: Option<Box<Running>>,
    /// Nothing happens here before this moment.
    paused_until: Option<Moment>,
    /// How many times slower the disks are than usual.
    slowness: u32,
    /// The power of the disks goes in the middle of their work: an error is no surprise.
    is_fused: bool,
    /// The product could not go on at this moment.
    has_failed: bool,
    /// The process ended by itself, and the machine has power.
    has_stopped: bool,
    /// It never gets power again.
    is_buried: bool,
    /// What is wrong with its disks.
    ailments: Ailments,
    /// Up to where a durable frame of the log says that it is durable: file and offset.
    noted: Option<(String, u64)>,
}

pub use disk::DiskFault;

impl Machine {
    /// A machine without power and with empty disks.
    pub fn new(id: StoreId, drift_ppm: i64, rng: Rng) -> Self {
        Self {
            id,
            life: 0,
            clock: LocalClock::new(drift_ppm),
            rng,
            log_disk: LogDisk::new(),
            engine_disk: EngineDisk::new(),
            spools: Spools::new(),
            saves: BTreeMap::new(),
            notes: Notes::default(),
            running: None,
            paused_until: None,
            slowness: 1,
            is_fused: false,
            has_failed: false,
            has_stopped: false,
            is_buried: false,
            ailments: Ailments::default(),
            noted: None,
        }
    }

    /// Its id.
    pub fn id(&self) -> StoreId {
        self.id
    }

    /// The life in which planned work is valid.
    pub fn life(&self) -> u64 {
        self.life
    }

    /// Whether it has power.
    pub fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// Whether it has power and does not stand still.
    pub fn works(&self, now: Moment) -> bool {
        self.is_up() && self.paused_until.is_none_or(|until| until <= now)
    }

    /// Whether its replica of this group thinks that it leads.
    pub fn leads(&self, group: RegionId) -> bool {
        self.led_term(group).is_some()
    }

    /// The term in which it thinks so.
    pub fn led_term(&self, group: RegionId) -> Option<Term> {
        let node = self.node(group)?;
        (node.role() == RoleKind::Leader).then(|| node.term())
    }

    /// Its replica of this group, while it has power.
    pub fn node(&self, group: RegionId) -> Option<&Node> {
        self.running.as_ref()?.shard.node(group)
    }

    /// Whether its replica of this group sleeps.
    pub fn sleeps(&self, group: RegionId) -> bool {
        self.node(group).is_some_and(Node::is_asleep)
    }

    /// How far its replica of this group has applied, and a hash of its rows.
    pub fn state(&self, group: RegionId) -> Option<(Index, u64)> {
        self.running.as_ref()?.state(group)
    }

    /// In words, how its replica of this group stands.
    pub fn describe(&self, group: RegionId) -> String {
        match &self.running {
            None => format!("{} has no power", self.id),
            Some(running) => format!("{} {:?}", self.id, running.shard.status(group)),
        }
    }

    /// Stands still until that moment.
    pub fn pause(&mut self, until: Moment) {
        self.paused_until = self.paused_until.max(Some(until));
    }

    /// Until when it stands still, if it does.
    pub fn paused_until(&self) -> Option<Moment> {
        self.paused_until
    }

    /// Goes on.
    pub fn resume(&mut self) {
        self.paused_until = None;
    }

    /// No fault is left to come: it goes on now, and a burning fuse blows.
    pub fn heal(&mut self, env: &mut Env) {
        if self.paused_until.is_some() {
            self.paused_until = Some(env.now);
        }
        self.heal_disks();
        self.heal_machines();
        if self.is_fused {
            self.power_off(env);
        }
    }

    /// Never gets power again.
    pub fn bury(&mut self) {
        self.is_buried = true;
    }

    /// Whether it never gets power again.
    pub fn is_buried(&self) -> bool {
        self.is_buried
    }

    /// Its disks take this many times longer than usual.
    pub fn set_slowness(&mut self, factor: u32) {
        self.slowness = factor;
    }

    /// Its wall clock jumps.
    pub fn step_wall(&mut self, by_ms: i64) {
        self.clock.step_wall(by_ms);
    }

    /// Planned work is due.
    pub fn on_work(&mut self, work: Work, env: &mut Env) {
        if self.running.is_none() {
            return;
        }
        match work {
            Work::Turn => self.turn(env),
            Work::Timer => self.on_timer(env),
            Work::LogSync => self.on_log_sync(env),
            Work::LogRest => self.on_log_rest(env),
            Work::Destroy { group, peer } => self.on_destroy(group, peer, env),
            Work::Apply => self.apply(env),
            Work::Save { group, number } => self.on_save(group, number, env),
            Work::Rest { group, peer } => self.on_rest(group, peer, env),
            Work::Revive { group, peer } => self.on_revive(group, peer, env),
            Work::EngineSync => self.on_engine_sync(env),
            Work::Segment => self.on_segment(env),
            Work::ChunkTimeout { stream, number } => self.on_chunk_timeout(stream, number, env),
        }
        self.end_work(env);
    }

    /// A packet arrived.
    pub fn on_packet(&mut self, from: Address, packet: Packet, env: &mut Env) {
        if self.running.is_none() {
            return;
        }
        match packet {
            Packet::Peer(frame) => {
                let Address::Store(store) = from else { panic!("a client sends frames") };
                self.on_frame(store, frame, env);
            }
            Packet::Snapshot { from, stream, number, part } => {
                self.on_snapshot_part(from, stream, number, part, env);
            }
            Packet::SnapshotTaken { stream, number, ok } => {
                self.on_snapshot_taken(stream, number, ok, env);
            }
            Packet::Request { client, call, group, ask } => {
                self.on_request(client, call, group, ask, env);
            }
            Packet::Batches { client, stream, batches } => {
                self.on_batches(client, stream, batches, env);
            }
            Packet::AskRoutes { client, ask } => self.on_ask_routes(client, ask, env),
            Packet::Reply { .. }
            | Packet::Answers { .. }
            | Packet::Reset { .. }
            | Packet::Routes { .. } => unreachable!("answers go to clients"),
        }
        self.end_work(env);
    }

    /// The product inside.
    ///
    /// # Panics
    /// When there is no power; work of a machine without power is dropped before it gets here.
    fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("work happens only with power")
    }

    fn address(&self) -> Address {
        Address::Store(self.id)
    }

    fn plan(&self, delay: Duration, work: Work, env: &mut Env) {
        env.after(delay, Happening::Store { store: self.id, life: self.life, work });
    }

    /// A time of this machine's disks with this mean.
    fn disk_time(&mut self, mean: Duration) -> Duration {
        exponential(&mut self.rng, mean) * self.slowness
    }

    /// The product says that it cannot go on: the end of the process if a disk gave it a reason,
    /// and a broken promise otherwise. What is under way at this moment still ends.
    fn fatal(&mut self, what: &str, env: &mut Env) {
        env.tell(format_args!("{} cannot go on: {what}", self.id));
        if self.is_fused || self.ailments.is_excuse() {
            self.has_failed = true;
        } else {
            env.fail(Rule::NoError, format!("{}: {what}", self.id));
        }
    }

    /// The end of the work of a moment: the process ends if it could not go on.
    fn end_work(&mut self, env: &mut Env) {
        if std::mem::take(&mut self.has_failed) {
            self.has_stopped = true;
            self.power_off(env);
            self.plan_power_on(env);
        }
    }
}
