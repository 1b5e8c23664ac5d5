//! Reads that wait: for a log that does not come, a slow state machine, a replica that ends.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use kontiki_raft::Config;
use kontiki_types::{
    Body, Index, Membership, Message, Moment, PeerId, Position, ReadMode, RegionId, StoreId, Term,
};

use crate::{
    ApplyTask, Durability, Effects, Event, GroupSpec, Refused, Shard, ShardConfig, Token,
    membership_codec, restore,
};

const GROUP: RegionId = RegionId(1);
const LEADER: PeerId = PeerId(1);
const SELF: PeerId = PeerId(2);

/// One replica of a group, on a disk that syncs at once.
struct Replica {
    shard: Shard,
    effects: Effects,
    now: Moment,
}

impl Replica {
    fn new(peer: PeerId, voters: u64) -> Self {
        let membership = Membership::of_voters(voters);
        let (restored, _) = restore(GROUP, None, Position::ZERO, &membership).expect("new");
        let raft = Config::new(peer, 7, membership_codec());
        let mut shard = Shard::new(ShardConfig::default());
        let spec = GroupSpec { group: GROUP, raft, restored, durability: Durability::Engine };
        shard.add_group(spec, Moment::ZERO);
        Self { shard, effects: Effects::default(), now: Moment::ZERO }
    }

    /// One of three, which hears its leader.
    fn following() -> Self {
        let mut follower = Self::new(SELF, 3);
        follower.beat(1);
        follower
    }

    fn beat(&mut self, round: u64) {
        self.hear(Body::Heartbeat { session: 1, commit: Index(0), round });
    }

    /// A while passes, in which it hears its leader.
    fn pass(&mut self, time: Duration, round: u64) {
        self.now = self.now + time;
        self.shard.on_time(self.now);
        self.beat(round);
    }

    fn read(&mut self, token: u64) {
        self.turn(Event::Read { group: GROUP, token: Token(token), mode: ReadMode::Index });
    }

    /// A read that is confirmed for an entry that never comes.
    fn read_beyond(&mut self, token: u64) {
        self.read(token);
        let id = self.asked().expect("it asks the leader");
        self.hear(Body::ReadIndexReply { id, index: Some(Index(50)) });
    }

    fn hear(&mut self, body: Body) {
        let message = Message { from: LEADER, to: SELF, term: Term(1), body };
        self.turn(Event::Message { group: GROUP, store: StoreId(1), message });
    }

    fn turn(&mut self, event: Event) {
        self.shard.on_event(event, self.now);
        self.settle();
    }

    fn settle(&mut self) {
        self.shard.take_effects(self.now, &mut self.effects);
        while let Some(task) = self.effects.log.take().map(|task| task.seq) {
            let mut later = Effects::default();
            self.shard.on_event(Event::LogSynced { task }, self.now);
            self.shard.take_effects(self.now, &mut later);
            self.effects.send.append(&mut later.send);
            self.effects.apply.append(&mut later.apply);
            self.effects.refused.append(&mut later.refused);
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
    let mut follower = Replica::following();
    follower.read_beyond(7);
    let began = follower.now;
    let mut rounds = 2..1000;
    while follower.effects.refused.is_empty() {
        follower.pass(Duration::from_millis(100), rounds.next().expect("it ends"));
    }
    assert_eq!(follower.effects.refused, [(Token(7), Refused::ReadFailed)]);
    let waited = follower.now.since(began);
    assert!(waited >= Duration::from_secs(2) && waited < Duration::from_secs(10), "{waited:?}");
}

#[test]
fn a_young_read_is_not_given_up_with_an_old_one() {
    let mut follower = Replica::following();
    follower.read_beyond(7);
    let mut rounds = 2..1000;
    while follower.effects.refused.is_empty() {
        let round = rounds.next().expect("it ends");
        follower.pass(Duration::from_millis(100), round);
        if follower.effects.refused.is_empty() {
            follower.read_beyond(100 + round);
        }
    }
    assert_eq!(follower.effects.refused, [(Token(7), Refused::ReadFailed)], "the others are young");
}

#[test]
fn a_read_waits_for_what_is_on_its_way_to_a_slow_state_machine() {
    let mut leader = Replica::new(LEADER, 1);
    while leader.shard.status(GROUP).expect("it is here").role != "leader" {
        leader.now = leader.now + Duration::from_millis(100);
        leader.shard.on_time(leader.now);
        leader.settle();
    }
    // More than the applier is given at once.
    let mut tasks: VecDeque<_> = leader.effects.apply.drain(..).collect();
    for n in 0..20 {
        let (payload, token) = (Bytes::from(vec![1; 3_000_000]), Token(100 + n));
        leader.turn(Event::Propose { group: GROUP, payload, token, expected_term: None });
        tasks.extend(leader.effects.apply.drain(..));
    }
    leader.read(7);
    let mut waited = 0;
    loop {
        tasks.extend(leader.effects.apply.drain(..));
        assert_eq!(leader.effects.refused, [], "after {waited} s");
        match tasks.pop_front().expect("the read is served at last") {
            ApplyTask::Read { token, .. } => break assert_eq!(token, Token(7)),
            ApplyTask::Entries { group, entries, bytes } => {
                waited += 1;
                leader.now = leader.now + Duration::from_secs(1);
                leader.shard.on_time(leader.now);
                let index = entries.last().expect("there are some").position.index;
                leader.turn(Event::Applied { group, index, bytes });
            }
            _ => {}
        }
    }
    assert!(waited > 10, "it was served after {waited} s already");
}

#[test]
fn a_read_under_way_ends_with_its_replica() {
    for (is_halted, why) in [(true, Refused::Halted), (false, Refused::ReadFailed)] {
        let mut follower = Replica::following();
        follower.read(7);
        assert_eq!(follower.effects.refused, [], "the leader is asked");
        if is_halted {
            follower.shard.halt_now(GROUP);
        } else {
            assert!(follower.shard.destroy_group(GROUP));
        }
        follower.settle();
        assert_eq!(follower.effects.refused, [(Token(7), why)]);
    }
}
