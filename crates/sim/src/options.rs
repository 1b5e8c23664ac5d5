//! Every choice of a run, drawn from its seed and printed with it.
//!
//! Swarm testing: a run does not use all faults a little but a few of them a lot, because faults
//! mask each other (a store that crashes every second never fills a window). So each rate is zero
//! in many runs, and each fault is in the hat or not. Two runs of one seed draw the same options.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use kontiki_multiraft::ShardConfig;
use kontiki_raft::Priority;
use kontiki_testkit::Rng;
use kontiki_types::{PeerId, Region, RegionId, StoreId};

use crate::fault::Fault;
use crate::habits::{HabitOptions, Saves};
use crate::limits;
use crate::mutant::{Mutant, Outside};

/// The choices of one run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where all else comes from.
    pub seed: u64,
    /// Virtual time with faults; the phase after them comes on top.
    pub duration: Duration,
    /// Stores, and the groups on them.
    pub cluster: ClusterOptions,
    /// Clients, each with some operations at once.
    pub client_count: usize,
    /// What clients do.
    pub workload: WorkloadOptions,
    /// How packets travel.
    pub network: NetworkOptions,
    /// How disks and workers behave.
    pub store: StoreOptions,
    /// What goes wrong.
    pub faults: FaultOptions,
    /// Groups that sleep, wishes for leaders, clients that rest.
    pub habits: HabitOptions,
    /// What is broken on purpose, if anything.
    pub mutant: Option<Mutant>,
    /// More than a minority of disks may be damaged.
    pub has_lying_disks: bool,
    /// Whether rules that look inside the nodes are judged. Off only to show what the others catch.
    pub is_white_box: bool,
}

/// Stores, and the groups on them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterOptions {
    /// How many stores there are.
    pub store_count: u64,
    /// For each group, the stores its replicas are born on.
    pub homes: Vec<Vec<StoreId>>,
}

/// What clients do.
#[derive(Clone, Debug)]
pub struct WorkloadOptions {
    /// Clients that run the core of the client library, per mille; the others are blunter.
    pub library_clients: u64,
    /// Operations each client has under way at once.
    pub window: usize,
    /// Mean pause of a client between operations.
    pub think: Duration,
    /// Register keys in use at once.
    pub key_slots: u64,
    /// Counter keys.
    pub counters: u64,
    /// Operations that are reads, per mille.
    pub reads: u64,
    /// Operations on sets, per mille: additions, and reads of a whole set.
    pub sets: u64,
    /// Reads that go to any replica instead of the leader, per mille.
    pub follower_reads: u64,
    /// Reads confirmed by the lease of the leader, per mille of those the simulator's own stores
    /// confirm.
    pub lease_reads: u64,
    /// Bytes added to values, at most: grows logs and snapshots.
    pub value_bytes_max: u64,
    /// A client that got no answer tries again after this.
    pub attempt_timeout: Duration,
    /// A client gives up an operation after this.
    pub operation_timeout: Duration,
}

/// How packets travel while there are faults.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// Shortest time one way.
    pub delay_min: Duration,
    /// Mean of what comes on top.
    pub jitter_mean: Duration,
    /// Lost packets, per mille.
    pub loss: u64,
    /// Packets delivered twice, per mille.
    pub duplication: u64,
    /// Packets with a far greater delay, per mille; a tenth of them on links that keep order.
    pub spikes: u64,
    /// The greatest of those delays.
    pub spike_max: Duration,
    /// Packets held back for minutes, per 100,000.
    pub holds: u64,
    /// Packets of one link never overtake each other.
    pub is_ordered: bool,
    /// Frames between stores with a damaged byte, per mille.
    pub damage: u64,
}

/// How disks, workers and clocks of the stores behave.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Mean time of a log sync.
    pub sync_mean: Duration,
    /// Time from an event to the turn that takes it in, at most.
    pub turn_delay_max: Duration,
    /// Mean time until the apply worker gets to what waits.
    pub apply_mean: Duration,
    /// Mean time of an engine sync.
    pub engine_sync_mean: Duration,
    /// Shortest election timeout.
    pub election_timeout: Duration,
    /// Most messages on the way to a follower.
    pub inflight_messages: usize,
    /// Bytes of one append.
    pub append_bytes: usize,
    /// Bytes of durable entries that a replica keeps in memory.
    pub cache_bytes: usize,
    /// And that all replicas of a store keep together.
    pub cache_bytes_all: usize,
    /// Bytes that all replicas of a store may have under way together.
    pub unapplied_bytes_all: usize,
    /// Applied bytes between engine syncs, which compact the log.
    pub sync_engine_every_bytes: usize,
    /// How long nothing is applied before an engine sync that is due earlier.
    pub engine_rest: Duration,
    /// Log bytes kept for followers that are a little behind.
    pub retain_bytes: usize,
    /// Log bytes beyond which a follower must take a snapshot.
    pub retain_bytes_max: usize,
    /// Bytes of a log segment.
    pub segment_bytes: u64,
    /// Outcome records a region keeps before it folds them.
    pub outcome_records: usize,
    /// Rows a range delete removes at once.
    pub delete_chunk_rows: usize,
    /// Bytes of a snapshot that are checked before anything is destroyed.
    pub install_check_bytes: usize,
    /// Bytes of a snapshot chunk.
    pub snapshot_chunk_bytes: usize,
    /// Clock drift of each store, microseconds a second.
    pub drift_ppm: Vec<i64>,
}

/// What goes wrong, and how often.
#[derive(Clone, Debug)]
pub struct FaultOptions {
    /// Mean time between faults.
    pub every_mean: Duration,
    /// Which faults are in the hat; often several times the same.
    pub hat: Vec<Fault>,
    /// Numbers of the faults that strike, if not all: see [`crate::schedule`].
    pub kept: Option<BTreeSet<u64>>,
    /// Longest partition.
    pub partition_max: Duration,
    /// Longest time a crashed store stays down.
    pub down_max: Duration,
    /// Longest pause.
    pub pause_max: Duration,
    /// How many times slower a slow disk is.
    pub slow_factor: u32,
    /// A store that never comes back, not even once the other faults are over.
    pub dead_at_end: Option<StoreId>,
    /// Crashes right after interesting moments (a new leader, a sync begun, an install), per mille.
    pub temptation: u64,
}

impl Options {
    /// The options of this seed for a run of this length.
    pub fn draw(seed: u64, duration: Duration) -> Self {
        let root = Rng::new(seed);
        let rng = &mut root.fork("options");
        let scale = *rng.pick(&[1, 1, 3, 10]);
        let cluster = ClusterOptions::draw(&mut root.fork("cluster"));
        let store_count = cluster.store_count;
        let mut options = Self {
            seed,
            duration,
            cluster,
            client_count: usize::try_from(rng.range(3..9)).expect("fewer than nine"),
            workload: WorkloadOptions::draw(rng),
            network: NetworkOptions::draw(rng, scale),
            store: StoreOptions::draw(rng, scale, store_count),
            faults: FaultOptions::draw(rng, store_count),
            habits: HabitOptions::draw(&root),
            mutant: None,
            has_lying_disks: false,
            is_white_box: true,
        };
        if options.faults.hat.iter().any(|fault| fault.damages()) {
            options.habits.saves = None;
        }
        if options.habits.saves.is_some() {
            options.faults.fail_machines(&mut root.fork("machines"));
        }
        // Whatever waits out a transfer may become one entry, and that must fit a segment.
        let value = options.workload.value_bytes_max + 100;
        let largest = limits::CALLERS_MAX as u64 * limits::WRITE_VALUES_MAX * value;
        let segment_bytes = &mut options.store.segment_bytes;
        *segment_bytes = (*segment_bytes).max(largest.next_multiple_of(4096));
        options
    }

    /// The options of this seed without any fault, for scripts that bring their own.
    pub fn calm(seed: u64, duration: Duration) -> Self {
        let mut options = Self::draw(seed, duration);
        let faults = &mut options.faults;
        (faults.kept, faults.dead_at_end, faults.temptation) = (Some(BTreeSet::new()), None, 0);
        options.habits = HabitOptions::none();
        options.set_cluster(ClusterOptions::small(1));
        options.network = options.network.healed();
        options.store.election_timeout = millis(300);
        options.store.sync_mean = millis(1);
        options.store.unapplied_bytes_all = ShardConfig::default().unapplied_bytes_all;
        options
    }

    /// What the speed is measured with: five stores with twenty groups, sixteen clients, faults now
    /// and then.
    pub fn standard(duration: Duration) -> Self {
        let mut options = Self::calm(1, duration);
        options.set_cluster(ClusterOptions::even(5, 20));
        options.client_count = 16;
        options.store.election_timeout = millis(1000);
        options.store.append_bytes = 1_000_000;
        options.store.cache_bytes = 1_000_000;
        options.store.cache_bytes_all = 20_000_000;
        options.store.inflight_messages = 256;
        options.store.segment_bytes = 32 * 4096;
        options.workload.think = millis(30);
        options.faults.kept = None;
        options.faults.hat = vec![Fault::CrashLeader, Fault::IsolateOne, Fault::Transfer];
        options.faults.every_mean = Duration::from_secs(3);
        options
    }

    /// The same choices for other stores and groups.
    pub fn set_cluster(&mut self, cluster: ClusterOptions) {
        let stores = usize::try_from(cluster.store_count).expect("a handful");
        self.store.drift_ppm.resize(stores, 0);
        self.faults.dead_at_end =
            self.faults.dead_at_end.filter(|dead| dead.0 <= cluster.store_count);
        self.cluster = cluster;
    }

    /// How much each replica that a group is born with is wanted as leader.
    ///
    /// One that never leads may hold the longest log. Whoever else could lead then needs votes of
    /// a majority without it, so none of them may be lost for good, or lose its vote.
    pub fn priorities(&self, region: &Region) -> BTreeMap<PeerId, Priority> {
        let faults = &self.faults;
        let bears_never =
            !faults.may_lose_store() && faults.hat.iter().all(|fault| !fault.changes_members());
        let least = if bears_never { Priority::NEVER } else { Priority::LEAST };
        let first = usize::try_from(region.id.0).expect("a handful of groups");
        let wishes = self.habits.priorities.iter().cycle().skip(first);
        let peers = region.peers.iter().map(|peer| peer.id);
        peers.zip(wishes.map(|&wish| Priority(wish).max(least))).collect()
    }

    /// Whether the state of a group is in memory, and durable by snapshots of its own. Not where
    /// logs are damaged: who embeds the library replaces such a replica by hand.
    pub fn is_in_memory(&self, group: RegionId) -> bool {
        let is_damaging = self.faults.hat.iter().any(|fault| fault.damages());
        let is_chosen = |saves: Saves| group.0.is_multiple_of(saves.every_groups);
        !is_damaging && self.habits.saves.is_some_and(is_chosen)
    }

    /// Any number of disks may be damaged, and some are.
    pub fn let_disks_lie(&mut self) {
        self.has_lying_disks = true;
        self.faults.hat.retain(|fault| !fault.changes_members());
        self.faults.hat.extend([Fault::RotDisk; 3]);
        self.faults.hat.extend([Fault::CrashOne, Fault::CrashAll]);
    }

    /// Logs of a store are damaged again and again, and whoever is needed for the refill falls.
    pub fn let_heirs_fall(&mut self) {
        let faults = &mut self.faults;
        faults.hat = vec![Fault::RotDisk, Fault::RotDisk, Fault::CrashOne, Fault::CrashLeader];
        faults.hat.extend([Fault::CrashAll, Fault::Transfer, Fault::OneWay]);
        faults.every_mean = Duration::from_secs(1);
        faults.down_max = millis(500);
        faults.partition_max = Duration::from_secs(1);
        faults.dead_at_end = None;
        faults.temptation = 40;
        self.store.election_timeout = millis(300);
    }

    /// The same options with this mutant.
    #[must_use]
    pub fn with_mutant(mut self, mutant: Option<Mutant>) -> Self {
        self.mutant = mutant;
        if self.is_mutant(Outside::DamagePasses) {
            self.network.damage = 5;
        }
        if self.is_mutant(Outside::HeirIsOld) || self.is_mutant(Outside::HeirForgotten) {
            self.set_cluster(ClusterOptions::small(1));
            self.let_heirs_fall();
        }
        self
    }

    /// True when this mistake is to be made.
    pub fn is_mutant(&self, mutant: Outside) -> bool {
        self.mutant == Some(Mutant::Outside(mutant))
    }
}

impl ClusterOptions {
    /// These groups, each on the first three stores.
    pub fn small(group_count: usize) -> Self {
        Self { store_count: 3, homes: vec![(1..=3).map(StoreId).collect(); group_count] }
    }

    /// Groups that share stores as evenly as it goes: what the speed is measured with.
    pub fn even(store_count: u64, group_count: u64) -> Self {
        let home = |group: u64| {
            let mut home: Vec<_> =
                (group..group + 3).map(|n| StoreId(n % store_count + 1)).collect();
            home.sort_unstable();
            home
        };
        Self { store_count, homes: (0..group_count).map(home).collect() }
    }

    fn draw(rng: &mut Rng) -> Self {
        let store_count = *rng.pick(&[3, 3, 4, 5]);
        let group_count = *rng.pick(&[1, 1, 1, 2, 3, 6, limits::GROUPS_MAX]);
        let mut stores: Vec<_> = (1..=store_count).map(StoreId).collect();
        let homes = (0..group_count).map(|_| {
            rng.shuffle(&mut stores);
            let replicas = if store_count == 5 && rng.chance(300) { 5 } else { 3 };
            let mut home: Vec<_> = stores.iter().copied().take(replicas).collect();
            home.sort_unstable();
            home
        });
        Self { store_count, homes: homes.collect() }
    }
}

impl WorkloadOptions {
    fn draw(rng: &mut Rng) -> Self {
        let attempt_ms = rng.range(100..1500);
        Self {
            library_clients: *rng.pick(&[0, 500, 1000]),
            window: *rng.pick(&[1, 1, 1, 2]),
            think: millis(*rng.pick(&[5, 15, 30, 60])),
            key_slots: rng.range(2..8),
            counters: rng.range(1..3),
            reads: rng.range(200..700),
            sets: *rng.fork("sets").pick(&[0, 100, 100, 400]),
            follower_reads: *rng.pick(&[0, 300, 1000]),
            lease_reads: *rng.fork("lease").pick(&[0, 300, 1000]),
            value_bytes_max: *rng.pick(&[1, 100, 100, 3000]),
            attempt_timeout: millis(attempt_ms),
            operation_timeout: millis(attempt_ms * *rng.pick(&[2, 10, 40])),
        }
    }
}

impl NetworkOptions {
    fn draw(rng: &mut Rng, scale: u64) -> Self {
        Self {
            delay_min: Duration::from_micros(rng.range(20..500) * scale),
            jitter_mean: Duration::from_micros(rng.range(20..2000) * scale),
            loss: *rng.pick(&[0, 0, 5, 50, 200]),
            duplication: *rng.pick(&[0, 0, 10, 200]),
            spikes: *rng.pick(&[0, 2, 20]),
            spike_max: millis(rng.range(20..800)),
            holds: *rng.pick(&[0, 20, 200]),
            is_ordered: rng.chance(400),
            damage: *rng.pick(&[0, 0, 2]),
        }
    }

    /// A network without faults, as quick as this one.
    #[must_use]
    pub fn healed(&self) -> Self {
        Self {
            loss: 0,
            duplication: 0,
            spikes: 0,
            holds: 0,
            is_ordered: true,
            damage: 0,
            ..self.clone()
        }
    }
}

impl StoreOptions {
    fn draw(rng: &mut Rng, scale: u64, store_count: u64) -> Self {
        let drift_max = *rng.pick(&[0, 200, 10_000]);
        let retain_bytes = *rng.pick(&[4_000, 30_000, 1_000_000]);
        let mut drift_ppm = Vec::new();
        for _ in 0..store_count {
            let ppm = i64::try_from(rng.below(2 * drift_max + 1)).expect("small");
            drift_ppm.push(ppm - i64::try_from(drift_max).expect("small"));
        }
        Self {
            sync_mean: Duration::from_micros(rng.range(50..2000) * scale),
            turn_delay_max: Duration::from_micros(rng.range(1..200)),
            apply_mean: Duration::from_micros(rng.range(5..500) * *rng.pick(&[1, 1, 20])),
            engine_sync_mean: millis(rng.range(1..200)),
            election_timeout: millis(rng.range(150..1000) + 20 * scale),
            inflight_messages: *rng.pick(&[2, 16, 256]),
            append_bytes: *rng.pick(&[300, 4_000, 1_000_000]),
            cache_bytes: *rng.fork("cache").pick(&[0, 500, 5_000, 1_000_000]),
            unapplied_bytes_all: *rng.fork("under way").pick(&[200, 2_000, 64 << 20]),
            cache_bytes_all: *rng.fork("cache of all").pick(&[1_000, 10_000, 20_000_000]),
            sync_engine_every_bytes: *rng.pick(&[2_000, 20_000, 1_000_000]),
            engine_rest: millis(*rng.fork("engine rest").pick(&[20, 500, 10_000])),
            retain_bytes,
            retain_bytes_max: retain_bytes * *rng.pick(&[2, 8]),
            segment_bytes: *rng.pick(&[16, 32, 128]) * 4096,
            outcome_records: *rng.pick(&[2, 16, 256]),
            delete_chunk_rows: *rng.pick(&[1, 2, 512]),
            install_check_bytes: *rng.pick(&[0, 500, 1_000_000]),
            snapshot_chunk_bytes: *rng.pick(&[100, 1_000, 256 * 1024]),
            drift_ppm,
        }
    }
}

impl FaultOptions {
    /// Whether a store may be gone for good before the run is over.
    pub fn may_lose_store(&self) -> bool {
        self.dead_at_end.is_some() || self.hat.iter().any(|fault| fault.damages())
    }

    /// State machines fail, and are shut down, or not.
    fn fail_machines(&mut self, rng: &mut Rng) {
        for &fault in Fault::ALL.iter().filter(|fault| fault.is_of_machines()) {
            let copies = *rng.pick(&[0, 2, 5]);
            self.hat.extend(std::iter::repeat_n(fault, copies));
        }
    }

    fn draw(rng: &mut Rng, store_count: u64) -> Self {
        let mut hat = Vec::new();
        for &fault in Fault::ALL.iter().filter(|fault| !fault.is_of_machines()) {
            let copies = *rng.pick(&[0, 0, 1, 3]);
            hat.extend(std::iter::repeat_n(fault, copies));
        }
        let is_damaging = rng.chance(400);
        let is_changing = !is_damaging || rng.fork("changing").chance(500);
        hat.retain(|&fault: &Fault| {
            (is_damaging || !fault.damages()) && (is_changing || !fault.changes_members())
        });
        // Replicas on the move: half of what happens is a change of members.
        let is_moving = is_changing && rng.fork("members").chance(300);
        if is_moving {
            hat.extend(std::iter::repeat_n(Fault::ChangeMembers, hat.len().max(1)));
        }
        let is_changed = hat.contains(&Fault::ChangeRoles);
        if hat.is_empty() {
            hat.push(Fault::CrashOne);
        }
        let partition_max = millis(*rng.pick(&[500, 3_000, 15_000]));
        let down_max = millis(*rng.pick(&[50, 1_000, 10_000]));
        let pause_max = millis(*rng.pick(&[200, 2_000, 8_000]));
        let dead = rng.chance(150).then(|| StoreId(rng.range(1..store_count + 1)));
        // Faults that pile up without end leave no time in which anything is done.
        let longest = partition_max.max(down_max).max(pause_max);
        let every_mean = millis(*rng.pick(&[300, 1_000, 3_000, 10_000])).max(longest / 5);
        let every_mean = if is_moving { every_mean / 2 } else { every_mean };
        Self {
            every_mean,
            hat,
            kept: None,
            partition_max,
            down_max,
            pause_max,
            slow_factor: *rng.pick(&[5, 50, 300]),
            dead_at_end: dead.filter(|_| !is_changed),
            temptation: *rng.pick(&[0, 0, 5, 40]),
        }
    }
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} for {:?}, {} clients", self.seed, self.duration, self.client_count)?;
        if let Some(mutant) = self.mutant {
            writeln!(f, "mutant {mutant:?}")?;
        }
        writeln!(f, "{:?}", self.cluster)?;
        writeln!(f, "{:?}", self.workload)?;
        writeln!(f, "{:?}", self.network)?;
        writeln!(f, "{:?}", self.store)?;
        writeln!(f, "{:?}", self.habits)?;
        write!(f, "{:?}", self.faults)
    }
}
