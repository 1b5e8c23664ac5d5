//! What of a log goes, and what stays: a margin, what live followers lack, and what comes after a
//! snapshot that is on its way.

use std::time::Duration;

use bytes::Bytes;
use kontiki_log::Record;
use kontiki_raft::{Config, Notice, Restored};
use kontiki_types::{
    Entry, EntryKind, HardState, Index, Membership, MembershipChange, Moment, PeerChange, PeerId,
    Position, RegionId, SnapshotMeta, StoreId, Term,
};

use super::stores::{GROUP, Stores};
use crate::{
    ApplyTask, Durability, Effects, EngineSyncConfig, Event, GroupSpec, Shard, ShardConfig,
};

const MARGIN_BYTES: usize = 1000;
const LOG_BYTES_MAX: usize = 30_000;

fn stores() -> Stores {
    stores_of(3, 0)
}

fn stores_of(voters: u64, idle: u64) -> Stores {
    let config = ShardConfig {
        retain_bytes: MARGIN_BYTES,
        retain_bytes_max: LOG_BYTES_MAX,
        engine_sync: EngineSyncConfig { every_bytes: 500, ..EngineSyncConfig::default() },
        ..ShardConfig::default()
    };
    Stores::led_within(&config, voters, idle)
}

impl Stores {
    /// So many entries of 150 bytes and a little.
    fn write(&mut self, count: usize) {
        for _ in 0..count {
            let payload = Bytes::from(vec![7; 150]);
            self.ask(1, |token| Event::Propose {
                group: GROUP,
                payload,
                token,
                expected_term: None,
            });
        }
    }

    fn first(&mut self, id: u64) -> Index {
        self.store(id).shard.status(GROUP).expect("it is here").first
    }

    fn applied(&mut self, id: u64) -> Index {
        self.store(id).shard.status(GROUP).expect("it is here").applied
    }

    fn installs(&mut self, id: u64) -> usize {
        let installs = |notice: &&Notice| matches!(notice, Notice::SnapshotInstall(_));
        self.store(id).notices.iter().filter(installs).count()
    }
}

#[test]
fn a_margin_stays_when_the_rest_goes() {
    let mut stores = stores();
    stores.write(50);
    for id in 1..=3 {
        assert!(stores.first(id) > Index(30), "store {id} keeps its log");
        let status = stores.store(id).shard.status(GROUP).expect("it is here");
        let bytes = status.log_bytes;
        assert!((MARGIN_BYTES..3 * MARGIN_BYTES).contains(&bytes), "store {id} has {bytes}");
    }
}

#[test]
fn a_live_follower_is_not_overtaken_without_need() {
    let mut stores = stores();
    stores.cut = Some(StoreId(3));
    let before = stores.applied(3);
    stores.write(100);
    assert!(stores.first(1) <= before.next(), "the log was cut under a follower that is alive");
    stores.cut = None;
    stores.pass(1, Duration::from_millis(100));
    stores.pass(1, Duration::from_millis(100));
    assert_eq!((stores.applied(3), stores.installs(3)), (stores.applied(1), 0));

    // A log without bound is worse than a snapshot.
    stores.cut = Some(StoreId(3));
    stores.write(300);
    assert!(stores.first(1) > stores.applied(3).next(), "the log grows for ever");
}

#[test]
fn a_crowded_log_waits_for_a_live_follower_only_as_far_as_a_margin() {
    let mut stores = stores();
    stores.cut = Some(StoreId(3));
    for count in [4, 20] {
        stores.write(count);
        stores.ask(1, |_| Event::LogCrowded { groups: vec![GROUP] });
        stores.pass(1, Duration::from_millis(1));
        let is_overtaken = stores.first(1) > stores.applied(3).next();
        assert_eq!(is_overtaken, count > 4, "after {count} entries");
    }
}

#[test]
fn what_comes_after_a_snapshot_on_its_way_stays() {
    let mut stores = stores();
    stores.cut = Some(StoreId(3));
    stores.write(300);
    assert!(stores.first(1) > stores.applied(3).next(), "no need of a snapshot");
    (stores.cut, stores.holds_snapshots) = (None, true);
    for _ in 0..3 {
        stores.pass(1, Duration::from_millis(100));
    }
    // The snapshot was made; while it travels much is written.
    let made = stores.applied(1);
    stores.write(60);
    assert!(stores.first(1) <= made.next(), "{} > {made}", stores.first(1));
    stores.release();
    for _ in 0..3 {
        stores.pass(1, Duration::from_millis(100));
    }
    assert_eq!((stores.applied(3), stores.installs(3)), (stores.applied(1), 1));
}

/// Two learners need a snapshot: that of the first is held on its way, the other waits.
fn stores_whose_learners_wait() -> Stores {
    let mut stores = stores_of(1, 2);
    stores.write(50);
    stores.holds_snapshots = true;
    for id in [2, 3] {
        let step = PeerChange::AddLearner { peer: PeerId(id), store: StoreId(id) };
        let change = MembershipChange::from(step);
        stores.ask(1, |token| Event::Change { group: GROUP, change, token });
        stores.pass(1, Duration::from_millis(100));
    }
    stores
}

/// A snapshot may wait long for those before it: what it was asked for may be gone by then.
#[test]
fn a_snapshot_that_waited_is_as_new_as_any() {
    let mut stores = stores_whose_learners_wait();
    let wants = |notice: &&Notice| matches!(notice, Notice::SnapshotWanted { .. });
    assert_eq!(stores.store(1).notices.iter().filter(wants).count(), 2);
    let asked = stores.applied(1);
    stores.write(300);
    assert!(stores.first(1) > asked.next(), "the log still holds all that comes after {asked}");
    stores.release();
    for _ in 0..3 {
        stores.pass(1, Duration::from_millis(100));
    }
    assert_eq!([stores.applied(2), stores.applied(3)], [stores.applied(1); 2]);
    assert_eq!([stores.installs(2), stores.installs(3)], [2, 1], "one was on its way, one waited");
}

/// It may have waited until the log was nearly as long as it may be.
#[test]
fn what_comes_after_a_snapshot_that_waited_stays() {
    let mut stores = stores_whose_learners_wait();
    stores.write(120);
    // That of the other is made now; while it travels, as much is written as may be.
    stores.deliver_held();
    let made = stores.applied(1);
    stores.write(60);
    assert!(stores.first(1) <= made.next(), "{} > {made}", stores.first(1));
    stores.release();
    for _ in 0..3 {
        stores.pass(1, Duration::from_millis(100));
    }
    assert_eq!((stores.applied(3), stores.installs(3)), (stores.applied(1), 1));
}

/// A shard whose group has applied five entries, none of them durable elsewhere; and its effects.
fn with_five_applied(durability: Durability, engine_sync: EngineSyncConfig) -> (Shard, Effects) {
    let entry = |index| Entry {
        position: Position::new(Term(1), Index(index)),
        kind: EntryKind::Normal,
        data: Bytes::from(vec![7; 150]),
    };
    let membership = Membership::of_voters(3);
    let restored = Restored {
        hard_state: HardState { term: Term(1), vote: None, commit: Index(5) },
        snapshot: SnapshotMeta { position: Position::ZERO, membership },
        entries: (1..=5).map(entry).collect(),
        ..Restored::default()
    };
    let raft = Config::new(PeerId(1), 1, crate::membership_codec());
    let config = ShardConfig { engine_sync, ..ShardConfig::default() };
    let (mut shard, mut effects) = (Shard::new(config), Effects::default());
    let spec = GroupSpec { group: GROUP, raft, restored, durability };
    shard.join_group(spec, Vec::new(), Moment::ZERO);
    shard.take_effects(Moment::ZERO, &mut effects);
    assert!(!effects.sync_engine, "nothing was applied yet");
    let [ApplyTask::Entries { group, bytes, .. }] = effects.apply[..] else {
        panic!("five entries are to be applied: {:?}", effects.apply)
    };
    shard.on_event(Event::Applied { group, index: Index(5), bytes }, Moment::ZERO);
    shard.take_effects(Moment::ZERO, &mut effects);
    (shard, effects)
}

#[test]
fn what_a_start_applies_again_brings_the_next_sync_nearer() {
    let engine_sync = EngineSyncConfig { every_bytes: 500, ..EngineSyncConfig::default() };
    let (_, effects) = with_five_applied(Durability::Engine, engine_sync);
    assert!(effects.sync_engine, "it all was applied again");
}

/// Where the next log task makes the log of the group begin.
fn compacted_to(effects: &Effects) -> Option<Index> {
    effects.log.iter().flat_map(|task| &task.records).find_map(|record| match record {
        Record::Compact { to, .. } => Some(to.position.index),
        _ => None,
    })
}

#[test]
fn a_crowded_log_makes_a_group_give_up_its_margin_once_the_rest_is_durable() {
    let crowded = || Event::LogCrowded { groups: vec![GROUP, RegionId(77)] };
    let by_engine = (Durability::Engine, Event::EngineSynced);
    let snapshotted = Event::Snapshotted { group: GROUP, index: Index(5) };
    for (durability, durable) in [by_engine, (Durability::Snapshots, snapshotted)] {
        let (mut shard, mut effects) = with_five_applied(durability, EngineSyncConfig::default());
        let mut turn = |event| {
            shard.on_event(event, Moment::ZERO);
            shard.take_effects(Moment::ZERO, &mut effects);
            let saves = effects.apply.contains(&ApplyTask::Save { group: GROUP });
            (effects.sync_engine, saves, compacted_to(&effects))
        };
        let by_engine = durability == Durability::Engine;
        assert_eq!(turn(crowded()), (by_engine, !by_engine, None), "{durability:?}");
        assert_eq!(turn(durable.clone()), (false, false, Some(Index(5))), "{durability:?}");
        assert_eq!(turn(crowded()), (false, false, None), "there is no more: {durability:?}");
    }
}

#[test]
fn the_log_is_told_what_is_committed_now_and_then() {
    let mut stores = stores();
    stores.write(300);
    for id in 1..=3 {
        let commit = stores.store(id).shard.status(GROUP).expect("it is here").commit;
        let hint = |record: &Record| match record {
            Record::HardState { state, .. } => Some(state.commit),
            _ => None,
        };
        let hints: Vec<Index> = stores.store(id).records.iter().filter_map(hint).collect();
        assert!(hints.len() < 20, "store {id}: {} hints of 300 entries", hints.len());
        let newest = hints.iter().max().expect("there are some");
        assert!(newest.0 + 70 > commit.0, "store {id} was told {newest} of {commit}");
    }
}

#[test]
fn a_store_that_rests_syncs_what_it_applied() {
    let engine_sync = EngineSyncConfig {
        every_bytes: 1000,
        resting_bytes: 100,
        rest: Duration::from_millis(500),
    };
    let mut shard = Shard::new(ShardConfig { engine_sync, ..ShardConfig::default() });
    let mut effects = Effects::default();
    let at = |ms| Moment::ZERO + Duration::from_millis(ms);
    let mut asks = |input: Option<Event>, ms| {
        match input {
            Some(event) => shard.on_event(event, at(ms)),
            None => shard.on_time(at(ms)),
        }
        shard.take_effects(at(ms), &mut effects);
        (effects.sync_engine, shard.next_deadline())
    };
    let applied = |bytes| Some(Event::Applied { group: GROUP, index: Index(1), bytes });
    assert_eq!(asks(applied(99), 0), (false, None), "too little");
    assert_eq!(asks(applied(1), 300), (false, Some(at(800))));
    assert_eq!(asks(applied(1), 700), (false, Some(at(1200))), "it does not rest");
    assert_eq!(asks(None, 1200), (true, None));
    assert_eq!(asks(applied(101), 1300), (false, None), "one at a time");
    assert_eq!(asks(Some(Event::EngineSynced), 1900), (true, None), "it rested meanwhile");
}
