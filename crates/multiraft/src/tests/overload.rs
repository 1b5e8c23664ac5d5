//! A disk that does not come back: what is taken in is bounded, the rest is refused by name, and
//! what was taken in is done once the disk is there again.

use std::collections::VecDeque;

use bytes::Bytes;
use kontiki_raft::Config as RaftConfig;
use kontiki_types::{Membership, Moment, PeerId, Position, RegionId, SnapshotMeta, StoreId};

use super::machine::Machine;
use super::stores::{self, Stores};
use crate::{
    Applier, Durability, Effects, Event, GroupSpec, Refused, Revival, Round, Shard, ShardConfig,
    TaskSeq, Token, membership_codec, restore,
};

const GROUP: RegionId = RegionId(1);
/// Others beside it.
const OTHERS: u64 = 3;
/// Bytes of one proposal, and how many callers there are.
const PAYLOAD_BYTES: usize = 64 * 1024;
const CALLERS: u64 = 1000;
/// What may be under way.
const UNDER_WAY_MAX: usize = 4 * 1024 * 1024;

/// One store that is its own majority, and a disk that syncs only when told to.
struct Store {
    shard: Shard,
    applier: Applier,
    now: Moment,
    written: Option<TaskSeq>,
    replied: Vec<Token>,
    refused: Vec<(Token, Refused)>,
}

impl Store {
    /// Leading so many groups.
    fn new(config: ShardConfig, groups: u64) -> Self {
        let (applier, shard) = (Applier::new(), Shard::new(config));
        let (replied, refused) = (Vec::new(), Vec::new());
        let mut store = Self { shard, applier, now: Moment::ZERO, written: None, replied, refused };
        for group in (0..groups).map(|n| RegionId(GROUP.0 + n)) {
            store.add(group);
        }
        // The first turn tells the shard of the deadline that the second one meets.
        store.turn();
        store.sync();
        assert_eq!(store.shard.status(GROUP).map(|status| status.role), Some("leader"));
        store
    }

    fn add(&mut self, group: RegionId) {
        let membership = Membership::of_voters(1);
        let (restored, _) =
            restore(group, None, Position::ZERO, &membership).expect("a first start");
        let raft = RaftConfig::new(PeerId(1), 7, membership_codec());
        self.applier.add(group, Box::new(Machine::new(membership)));
        let spec = GroupSpec { group, raft, restored, durability: Durability::Engine };
        self.shard.add_group(spec, Moment::ZERO);
    }

    /// True when something was done.
    fn turn(&mut self) -> bool {
        let mut effects = Effects::default();
        self.shard.on_time(self.now);
        self.shard.take_effects(self.now, &mut effects);
        let is_busy = !effects.is_empty();
        self.written = effects.log.take().map(|task| task.seq).or(self.written);
        self.refused.append(&mut effects.refused);
        let mut tasks: VecDeque<_> = effects.apply.into();
        let mut round = Round::default();
        self.applier.run(&mut tasks, &mut round).expect("it applies");
        self.replied.extend(round.replies.into_iter().map(|(token, _)| token));
        for event in round.events {
            self.shard.on_event(event, self.now);
        }
        is_busy
    }

    /// The disk is quick until nothing is left to do.
    fn sync(&mut self) {
        loop {
            let is_busy = self.turn();
            if let Some(task) = self.written.take() {
                self.shard.on_event(Event::LogSynced { task }, self.now);
            } else if !is_busy {
                return;
            }
        }
    }

    fn propose(&mut self, token: u64) {
        self.propose_to(GROUP, token);
    }

    fn propose_to(&mut self, group: RegionId, token: u64) {
        let payload = Bytes::from(vec![7; PAYLOAD_BYTES]);
        let token = Token(token);
        let event = Event::Propose { group, payload, token, expected_term: None };
        self.shard.on_event(event, self.now);
        self.turn();
    }
}

#[test]
fn callers_beyond_what_may_be_under_way_are_refused_as_busy() {
    let config = ShardConfig { unapplied_bytes_max: UNDER_WAY_MAX, ..ShardConfig::default() };
    let mut store = Store::new(config, 1);
    for token in 1..=CALLERS {
        store.propose(token);
    }
    let refused = std::mem::take(&mut store.refused);
    let taken = CALLERS - refused.len() as u64;
    let bound = (UNDER_WAY_MAX / PAYLOAD_BYTES) as u64 + 1;
    assert!(taken > 1 && taken <= bound, "{taken} of {CALLERS} were taken, {bound} may be");
    assert!(refused.iter().all(|(_, why)| *why == Refused::Busy), "{refused:?}");
    assert!(store.replied.is_empty(), "nothing is durable: {:?}", store.replied);

    // The disk is back: what was taken in is done, and there is room again.
    store.sync();
    assert_eq!(store.replied.len() as u64, taken);
    store.propose(CALLERS + 1);
    store.sync();
    assert_eq!(store.replied.last(), Some(&Token(CALLERS + 1)));
    assert!(store.refused.is_empty(), "{:?}", store.refused);
}

#[test]
fn all_groups_share_what_may_be_under_way_and_one_that_is_stuck_keeps_nobody_out() {
    let config = ShardConfig { unapplied_bytes_all: UNDER_WAY_MAX, ..ShardConfig::default() };
    let mut store = Store::new(config, 1 + OTHERS);
    let taken_of = |store: &mut Store, group: u64| {
        for caller in 0..CALLERS {
            store.propose_to(RegionId(group), group * CALLERS + caller);
        }
        let refused = std::mem::take(&mut store.refused);
        assert!(refused.iter().all(|(_, why)| *why == Refused::Busy), "{refused:?}");
        CALLERS - refused.len() as u64
    };
    // The first one may have all there is; each of the others its share when it is gone.
    let all = (UNDER_WAY_MAX / PAYLOAD_BYTES) as u64;
    let share = all / (1 + OTHERS);
    let mut taken = taken_of(&mut store, GROUP.0);
    assert!((all..=all + 2).contains(&taken), "{taken} were taken, {all} may be");
    for other in (1..=OTHERS).map(|n| GROUP.0 + n) {
        let its = taken_of(&mut store, other);
        assert!((share..=share + 1).contains(&its), "{its} were taken, {share} are its share");
        taken += its;
    }
    assert!(store.replied.is_empty(), "nothing is durable: {:?}", store.replied);

    // The disk is back: all of that is done, and there is room for anyone again.
    store.sync();
    assert_eq!(store.replied.len() as u64, taken);
    let again = taken_of(&mut store, GROUP.0 + OTHERS);
    assert!((all..=all + 2).contains(&again), "{again} were taken, {all} may be");
}

#[test]
fn a_replica_that_fails_and_comes_back_leaves_nothing_in_the_sums() {
    let mut store = Store::new(ShardConfig::default(), 2);
    for token in 1..=20 {
        store.propose(token);
    }
    store.sync();
    // Its state machine fails: what is committed from here on is not reported.
    store.applier.remove(GROUP);
    store.propose(21);
    store.sync();
    store.shard.halt_now(GROUP);
    store.sync();
    let (counted, is) = store.shard.held();
    assert_eq!((counted.under_way, is.under_way), (0, 0), "what failed is under way no more");
    for _ in 0..3 {
        let membership = Membership::of_voters(1);
        let at = SnapshotMeta { position: Position::ZERO, membership };
        let raft = RaftConfig::new(PeerId(1), 7, membership_codec());
        assert!(store.shard.revive(GROUP, Revival { raft, at }, store.now));
        store.turn();
        store.sync();
        store.shard.halt_now(GROUP);
        store.sync();
        let (counted, is) = store.shard.held();
        assert_eq!(counted, is, "the sums have drifted");
    }
}

#[test]
fn a_full_follower_names_the_leader() {
    // Whoever has something under way takes nothing more.
    let config = ShardConfig { unapplied_bytes_max: 0, ..ShardConfig::default() };
    let mut stores = Stores::led_within(&config, 3, 0);
    let now = stores.now;
    let follower = &mut stores.store(2).shard;
    for token in [1, 2].map(Token) {
        let payload = Bytes::from_static(b"x");
        let event = Event::Propose { group: stores::GROUP, payload, token, expected_term: None };
        follower.on_event(event, now);
    }
    let mut effects = Effects::default();
    follower.take_effects(now, &mut effects);
    effects.refused.sort_by_key(|(token, _)| *token);
    let elsewhere = Refused::NotLeader { leader: Some((PeerId(1), StoreId(1))) };
    assert_eq!(effects.refused, [(Token(1), elsewhere), (Token(2), elsewhere)]);
}
