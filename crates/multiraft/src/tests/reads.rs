//! Reads of a replica that hears its leader and gets nothing from it.

use std::time::Duration;

use kontiki_raft::Config;
use kontiki_types::{
    Body, Index, Membership, Message, Moment, PeerId, Position, ReadMode, RegionId, StoreId, Term,
};

use crate::{
    Durability, Effects, Event, GroupSpec, Refused, Shard, ShardConfig, Token, membership_codec,
    restore,
};

const GROUP: RegionId = RegionId(1);
const LEADER: PeerId = PeerId(1);
const SELF: PeerId = PeerId(2);

struct Follower {
    shard: Shard,
    effects: Effects,
    now: Moment,
}

impl Follower {
    fn new() -> Self {
        let membership = Membership::of_voters(3);
        let (restored, _) = restore(GROUP, None, Position::ZERO, &membership).expect("new");
        let raft = Config::new(SELF, 7, membership_codec());
        let mut shard = Shard::new(ShardConfig::default());
        let spec = GroupSpec { group: GROUP, raft, restored, durability: Durability::Engine };
        shard.add_group(spec, Moment::ZERO);
        Self { shard, effects: Effects::default(), now: Moment::ZERO }
    }

    fn hear(&mut self, body: Body) {
        let message = Message { from: LEADER, to: SELF, term: Term(1), body };
        self.turn(Event::Message { group: GROUP, store: StoreId(1), message });
    }

    fn turn(&mut self, event: Event) {
        self.shard.on_event(event, self.now);
        self.shard.take_effects(self.now, &mut self.effects);
        while let Some(task) = self.effects.log.take().map(|task| task.seq) {
            let mut later = Effects::default();
            self.shard.on_event(Event::LogSynced { task }, self.now);
            self.shard.take_effects(self.now, &mut later);
            self.effects.send.append(&mut later.send);
            self.effects.log = later.log;
        }
    }

    /// The number of the question it asked the leader.
    fn asked(&self) -> Option<u64> {
        self.effects.send.iter().find_map(|outbound| match outbound.message.body {
            Body::ReadIndex { id, .. } => Some(id),
            _ => None,
        })
    }
}

/// Found by the simulator (seed 1176 of 27 November): a replica that was added and given up was
/// told what to wait for, and its callers waited until no more were let in.
#[test]
fn a_confirmed_read_does_not_wait_for_ever_for_a_log_that_does_not_come() {
    let mut follower = Follower::new();
    let beat = |round| Body::Heartbeat { session: 1, commit: Index(0), round };
    follower.hear(beat(1));
    follower.turn(Event::Read { group: GROUP, token: Token(7), mode: ReadMode::Index });
    let id = follower.asked().expect("it asks the leader");
    follower.hear(Body::ReadIndexReply { id, index: Some(Index(50)) });
    let began = follower.now;
    for round in 2..1000 {
        follower.now = follower.now + Duration::from_millis(100);
        follower.shard.on_time(follower.now);
        follower.hear(beat(round));
        if !follower.effects.refused.is_empty() {
            break;
        }
    }
    assert_eq!(follower.effects.refused, [(Token(7), Refused::ReadFailed)]);
    let waited = follower.now.since(began);
    assert!(waited >= Duration::from_secs(2) && waited < Duration::from_secs(10), "{waited:?}");
}
