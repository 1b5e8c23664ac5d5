//! Many groups of which nobody wants anything, on three shards: they cost nothing until a store
//! dies, and then they do not wake all at once. Every message arrives, every disk syncs at once.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kontiki_raft::Config;
use kontiki_types::{Membership, Moment, PeerId, Position, RegionId, StoreId};

use crate::{
    Effects, Event, GroupSpec, STORES, Shard, ShardConfig, Token, membership_codec, restore,
};

/// Groups on each shard.
const GROUPS: u64 = 300;
/// Turns after which shards that still talk are taken for ones that never stop.
const TURNS_MAX: usize = 1000;

struct Idle {
    shards: BTreeMap<StoreId, Shard>,
    now: Moment,
    /// Messages sent, those between stores among them.
    sent: u64,
    between_stores: u64,
    committed: Vec<Token>,
}

impl Idle {
    fn new() -> Self {
        Self::within(&ShardConfig { tell_committed: true, ..ShardConfig::default() })
    }

    fn within(config: &ShardConfig) -> Self {
        let mut shards = BTreeMap::new();
        for store in 1..=3 {
            let mut shard = Shard::new(config.clone());
            for group in 1..=GROUPS {
                let group = RegionId(group);
                let membership = Membership::of_voters(3);
                let (restored, _) = restore(group, None, Position::ZERO, &membership).expect("new");
                let seed = group.0 * 10 + store;
                let mut raft = Config::new(PeerId(store), seed, membership_codec());
                raft.hibernate_after = Some(1);
                shard.add_group(
                    GroupSpec { group, raft, restored, durability: crate::Durability::Engine },
                    Moment::ZERO,
                );
            }
            shards.insert(StoreId(store), shard);
        }
        Self { shards, now: Moment::ZERO, sent: 0, between_stores: 0, committed: Vec::new() }
    }

    /// Everything that follows from what happened, at once.
    fn settle(&mut self) {
        let mut effects = Effects::default();
        for _ in 0..TURNS_MAX {
            let mut mail = Vec::new();
            for (&id, shard) in &mut self.shards {
                shard.take_effects(self.now, &mut effects);
                let mut sent = std::mem::take(&mut effects.send);
                if let Some(task) = effects.log.take() {
                    sent.extend(task.gated);
                    mail.push((id, Event::LogSynced { task: task.seq }));
                }
                self.committed.append(&mut effects.committed);
                for out in sent {
                    self.sent += 1;
                    self.between_stores += u64::from(out.group == STORES);
                    let (group, message) = (out.group, out.message);
                    mail.push((out.store, Event::Message { group, store: id, message }));
                }
            }
            if mail.is_empty() {
                return;
            }
            for (to, event) in mail {
                if let Some(shard) = self.shards.get_mut(&to) {
                    shard.on_event(event, self.now);
                }
            }
        }
        panic!("the shards never come to rest");
    }

    /// Time passes from deadline to deadline; the most groups that were awake at once.
    fn pass(&mut self, time: Duration) -> usize {
        let (end, mut most) = (self.now + time, 0);
        while self.now < end {
            self.settle();
            most = most.max(self.awake());
            let next = self.shards.values().filter_map(Shard::next_deadline).min();
            self.now = next.map_or(end, |next| next.max(self.now).min(end));
            for shard in self.shards.values_mut() {
                shard.on_time(self.now);
            }
        }
        self.settle();
        most
    }

    /// Groups with a replica that is awake.
    fn awake(&self) -> usize {
        let asleep = |group| {
            let mut nodes = self.shards.values().filter_map(|shard| shard.node(RegionId(group)));
            nodes.all(kontiki_raft::Node::is_asleep)
        };
        (1..=GROUPS).filter(|&group| !asleep(group)).count()
    }

    fn leader(&self, group: RegionId) -> Option<StoreId> {
        let leads = |shard: &Shard| shard.node(group).is_some_and(|n| n.leader() == Some(n.id()));
        self.shards.iter().find(|(_, shard)| leads(shard)).map(|(&id, _)| id)
    }
}

#[test]
fn idle_groups_cost_nothing_and_wake_one_after_the_other() {
    let mut idle = Idle::new();
    idle.pass(Duration::from_secs(10));
    assert_eq!(idle.awake(), 0, "everybody sleeps");

    // Only stores ask each other: four times in two seconds, however many groups there are.
    (idle.sent, idle.between_stores) = (0, 0);
    idle.pass(Duration::from_mins(1));
    assert_eq!(idle.sent, idle.between_stores);
    assert!(idle.sent <= 2 * 6 * 4 * 30 + 12, "{} messages", idle.sent);

    // A store dies: nobody is told. The groups beside it wake within two seconds and five.
    idle.shards.remove(&StoreId(3));
    let at_first = idle.pass(Duration::from_secs(3));
    assert!(at_first > 0, "the death is noticed");
    assert!(at_first < usize::try_from(GROUPS).expect("few") * 2 / 3, "{at_first} woke at once");
    idle.pass(Duration::from_secs(20));
    assert_eq!(idle.awake(), 0, "everybody sleeps again");
    for group in 1..=GROUPS {
        assert!(idle.leader(RegionId(group)).is_some(), "{group} has no leader");
    }
}

#[test]
fn a_request_wakes_its_group_and_is_told_that_it_is_committed() {
    let mut idle = Idle::new();
    idle.pass(Duration::from_secs(10));
    let (group, token) = (RegionId(7), Token(1));
    let leader = idle.leader(group).expect("a leader");
    let payload = Bytes::from_static(b"x");
    let event = Event::Propose { group, payload, token, expected_term: None };
    idle.shards.get_mut(&leader).expect("it is here").on_event(event, idle.now);
    idle.settle();
    assert_eq!(idle.committed, [token]);
    assert_eq!(idle.awake(), 1);
    idle.pass(Duration::from_secs(5));
    assert_eq!((idle.committed.len(), idle.awake()), (1, 0));
}

/// The most that a shard keeps in memory when 2,000 bytes were just written to every group, and
/// followers do not know yet that they are committed; and a second later.
fn cached_within(cache_bytes_all: usize) -> [usize; 2] {
    let mut idle = Idle::within(&ShardConfig { cache_bytes_all, ..ShardConfig::default() });
    idle.pass(Duration::from_secs(3));
    for group in (1..=GROUPS).map(RegionId) {
        let leader = idle.leader(group).expect("it has a leader");
        let shard = idle.shards.get_mut(&leader).expect("it is here");
        let (payload, token) = (Bytes::from(vec![7; 2000]), Token(group.0));
        shard.on_event(Event::Propose { group, payload, token, expected_term: None }, idle.now);
        idle.settle();
    }
    let cached = |shard: &Shard| shard.nodes().map(|(_, node)| node.cached_bytes()).sum();
    let most = |idle: &Idle| idle.shards.values().map(cached).max().expect("there are shards");
    let at_once = most(&idle);
    idle.pass(Duration::from_secs(1));
    [at_once, most(&idle)]
}

#[test]
fn all_groups_share_one_budget_of_entries_in_memory() {
    let [unbounded, _] = cached_within(usize::MAX);
    assert!(unbounded > 2000 * 300, "{unbounded} bytes");
    let [needed, settled] = cached_within(20_000);
    assert!(needed <= 16 * 20_000, "{needed} bytes, of which most are about to be applied");
    assert!(settled <= 20_000, "{settled} bytes");
}
