//! Random schedules: a group of three to five peers under loss, duplication, reordering, slow and
//! crashing disks, snapshots, transfers; every invariant after every event. One seed, one run.
//! With changes of membership among the events: [`super::changes`].

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bytes::Bytes;
use kontiki_types::{Index, Membership, Peer, PeerId, PeerRole, ReadMode, StoreId};
use rand_pcg::Pcg32;
use rand_pcg::rand_core::{Rng as _, SeedableRng as _};

use crate::testing::group::Group;
use crate::{Priority, ReadId, RoleKind};

/// Events of one run, and runs.
const EVENTS: u32 = 2000;
const RUNS: u64 = 100;

/// What the runs together must have seen.
const REACHED: [&str; 10] = [
    "leader elected",
    "leader stepped down",
    "read answered",
    "read failed",
    "entries fetched",
    "restart",
    "snapshot installed",
    "transfer done",
    "transfer given up",
    "truncation",
];

pub(super) struct Schedule {
    rng: Pcg32,
    pub(super) group: Group,
    proposed: u64,
    reads: u64,
    /// Out of a hundred deliveries, so many are lost, repeated, or taken out of order.
    lost: u32,
    repeated: u32,
    shuffled: u32,
    /// Out of a thousand events, so many are crashes.
    crashes: u32,
    /// Most milliseconds that pass at once: a small one lets a leader reign, a large one makes
    /// every deadline pass.
    step_ms: usize,
    /// Weight of cutting and mending links.
    cuts: usize,
    /// Weight of changes of membership, and peers that belonged to the group once.
    pub(super) changes: usize,
    pub(super) seen: BTreeSet<PeerId>,
}

impl Schedule {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Pcg32::seed_from_u64(seed);
        let voters = 3 + u64::from(rng.next_u32() % 3);
        let learners = u64::from(rng.next_u32() % 2);
        let peer = |n| Peer {
            id: PeerId(n),
            store: StoreId(n),
            role: if n <= voters { PeerRole::Voter } else { PeerRole::Learner },
        };
        let membership = Membership::new((1..=voters + learners).map(peer));
        let unborn: Vec<PeerId> = (voters + 1..=voters + learners).map(PeerId).collect();
        let cache = [usize::MAX, 150][rng.next_u32() as usize % 2];
        let hibernate = [None, Some(1), Some(3)][rng.next_u32() as usize % 3];
        let wanted = rng.next_u32() % 2 * 5;
        let priorities: BTreeMap<_, _> =
            (1..=u64::from(wanted)).map(PeerId).zip([20, 60, -1, 20, 60].map(Priority)).collect();
        let (window, bytes) = (1 + rng.next_u32() % 4, 60 + rng.next_u32() % 200);
        let group = Group::with_unborn(&membership, &unborn, |config| {
            config.options.inflight_messages_max = window as usize;
            config.options.append_bytes_max = bytes as usize;
            config.options.apply_bytes_max = 2 * bytes as usize;
            config.commit_notice_delay = Duration::from_millis(5 * (seed % 2));
            config.seed += seed << 8;
            config.hibernate_after = hibernate;
            config.cache_bytes_max = cache;
            config.priorities = priorities.clone();
        });
        let lost = [0, 5, 20][rng.next_u32() as usize % 3];
        let repeated = [0, 10][rng.next_u32() as usize % 2];
        let shuffled = [0, 30][rng.next_u32() as usize % 2];
        let crashes = [0, 5, 20][rng.next_u32() as usize % 3];
        let step_ms = [40, 150, 600][rng.next_u32() as usize % 3];
        let cuts = [0, 1, 3][rng.next_u32() as usize % 3];
        Self {
            rng,
            group,
            proposed: 0,
            reads: 0,
            lost,
            repeated,
            shuffled,
            crashes,
            step_ms,
            cuts,
            changes: 0,
            seen: BTreeSet::new(),
        }
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.rng.next_u32() as usize % bound.max(1)
    }

    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.rng.next_u32() % 100 < percent
    }

    pub(super) fn pick(&mut self, from: &[PeerId]) -> Option<PeerId> {
        let at = self.below(from.len());
        from.get(at).copied()
    }

    pub(super) fn run(&mut self) {
        for _ in 0..EVENTS {
            self.event();
        }
    }

    fn event(&mut self) {
        let running = self.group.running();
        if self.rng.next_u32() % 1000 < self.crashes {
            self.crash_or_start(&running);
            return;
        }
        let Some(id) = self.pick(&running) else { return self.crash_or_start(&running) };
        let cuts = 100..100 + self.cuts;
        match self.below(cuts.end + self.changes) {
            0..45 => (0..3).for_each(|_| self.deliver()),
            45..62 => drop(self.group.sync(id)),
            62..72 => drop(self.group.apply(id)),
            72 => drop(self.group.fetch(id, true)),
            73..80 => self.propose(&running),
            80..85 => self.read(id),
            85..94 => self.pass_time(id),
            94 => self.compact(id),
            95..98 => self.snapshots(id),
            98 | 99 => self.rare(id),
            at if cuts.contains(&at) => self.cut(&running),
            _ => self.change_membership(&running),
        }
    }

    fn deliver(&mut self) {
        let count = self.group.network.under_way().len();
        let at = if self.chance(self.shuffled) { self.below(count) } else { 0 };
        let Some(message) = self.group.network.take(at) else { return };
        if self.chance(self.lost) {
            return;
        }
        if self.chance(self.repeated) {
            self.group.network.send(message.clone());
        }
        self.group.deliver(message);
    }

    fn crash_or_start(&mut self, running: &[PeerId]) {
        let all: Vec<PeerId> = self.group.replicas.keys().copied().collect();
        let Some(id) = self.pick(&all) else { return };
        if running.contains(&id) {
            let pending = self.group.replicas[&id].disk.pending();
            let kept = self.below(pending + 1);
            self.group.crash(id, kept);
        } else {
            self.group.start(id);
        }
    }

    fn propose(&mut self, running: &[PeerId]) {
        let leader = running.iter().find(|id| self.group.node(**id).role() == RoleKind::Leader);
        if let Some(&leader) = leader {
            self.proposed += 1;
            let _ = self.group.propose(leader, Bytes::from(format!("v{}", self.proposed)));
        }
    }

    fn read(&mut self, id: PeerId) {
        self.reads += 1;
        let mode = if self.chance(50) { ReadMode::Lease } else { ReadMode::Index };
        let _ = self.group.read_by(id, ReadId(self.reads), mode);
    }

    fn pass_time(&mut self, id: PeerId) {
        let passed = self.below(self.step_ms);
        self.group.now = self.group.now + Duration::from_millis(passed as u64);
        if self.group.node(id).next_deadline().is_some_and(|at| at <= self.group.now) {
            self.group.on_time(id);
        }
    }

    fn compact(&mut self, id: PeerId) {
        let applied = self.group.node(id).applied().0;
        let to = Index(applied.saturating_sub(self.below(4) as u64));
        self.group.compact(id, to);
    }

    fn snapshots(&mut self, id: PeerId) {
        let ok = !self.chance(20);
        let _ = self.group.stream_snapshot(id, ok) || self.group.install(id, ok);
    }

    fn cut(&mut self, running: &[PeerId]) {
        if self.chance(50) {
            self.group.network.heal();
        } else if let (Some(from), Some(to)) = (self.pick(running), self.pick(running)) {
            self.group.network.set_cut(from, to, true);
        }
    }

    fn rare(&mut self, id: PeerId) {
        let all: Vec<PeerId> = self.group.replicas.keys().copied().collect();
        let Some(to) = self.pick(&all) else { return };
        match self.below(5) {
            3 => self.group.wake(id),
            4 => self.group.step_down(id),
            0 => {
                let leads = |id: &PeerId| self.group.node(*id).role() == RoleKind::Leader;
                let leader = self.group.running().into_iter().find(leads);
                let _ = self.group.transfer(leader.unwrap_or(id), to);
            }
            1 => self.group.unreachable(id, to),
            _ => self.group.campaign(id),
        }
    }

    /// Let everything run undisturbed; the group must come to rest, agreed and live.
    pub(super) fn settle(&mut self) {
        self.group.network.heal();
        for id in self.group.replicas.keys().copied().collect::<Vec<_>>() {
            if self.group.replicas[&id].node.is_none() {
                self.group.start(id);
            }
        }
        // Who sleeps relies on the layer above, which would have seen the crashes.
        self.group.running().into_iter().for_each(|id| self.group.wake(id));
        self.group.live(Duration::from_secs(20));
        self.proposed += 1;
        let running = self.group.running();
        let leader = running.iter().copied().find(|&id| self.leads(id)).expect("a leader");
        let members = self.group.node(leader).membership().clone();
        assert!(!members.is_joint(), "nobody leaves {members:?}");
        let at = self.group.propose(leader, Bytes::from("last")).expect("an idle leader accepts");
        let answered = |group: &Group| group.marks.get("read answered").copied();
        let before = answered(&self.group);
        self.read(leader);
        self.group.live(Duration::from_secs(5));
        assert!(answered(&self.group) > before, "the read was never answered");
        let members: Vec<PeerId> = members.peers().map(|peer| peer.id).collect();
        for &id in &members {
            let node = self.group.node(id);
            assert!(node.applied() >= at.index, "{} never caught up with {at}", node.describe());
        }
        let states: Vec<_> =
            members.iter().map(|id| self.group.replicas[id].machine.state()).collect();
        assert!(states.windows(2).all(|w| w[0].payloads == w[1].payloads), "states differ");
    }

    /// The newest leader; an older one may not know yet.
    fn leads(&self, id: PeerId) -> bool {
        let node = self.group.node(id);
        let newest = self.group.running().iter().map(|&id| self.group.node(id).term()).max();
        node.role() == RoleKind::Leader && Some(node.term()) == newest
    }
}

/// Safety under any schedule, and liveness once the disturbance ends.
#[test]
fn random_schedules_keep_every_invariant() {
    run_all(RUNS, Schedule::new, &REACHED);
}

/// Run so many seeds; together they must have reached these marks.
pub(super) fn run_all(runs: u64, begin: impl Fn(u64) -> Schedule, reached: &[&str]) {
    let mut marks: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in 0..runs {
        let mut schedule = begin(seed);
        schedule.group.tracing = false;
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
            schedule.run();
            schedule.settle();
        }));
        if let Err(panic) = outcome {
            println!("seed {seed} broke a rule");
            std::panic::resume_unwind(panic);
        }
        *marks.entry("committed").or_default() += schedule.group.committed().0;
        for (mark, count) in schedule.group.marks {
            *marks.entry(mark).or_default() += count;
        }
    }
    println!("{marks:#?}");
    // A schedule that never gets anywhere would prove nothing.
    for mark in reached {
        assert!(marks.get(mark).is_some_and(|count| *count > 0), "no schedule reached: {mark}");
    }
}

/// One seed, one run: the same seed twice gives the same trace, byte for byte.
#[test]
fn one_seed_gives_one_trace() {
    let trace = || {
        let mut schedule = Schedule::new(7);
        schedule.run();
        schedule.group.take_trace()
    };
    let first = trace();
    assert!(first.len() > 10_000, "a trace of {} bytes", first.len());
    assert_eq!(first, trace());
}
