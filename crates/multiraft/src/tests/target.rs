//! The target of a transfer, event by event: whoever asks while it is being elected is answered
//! once, however that ends; and it can be halted at any point of it.

use std::time::Duration;

use bytes::Bytes;
use kontiki_log::Record;
use kontiki_raft::{Config, Priority};
use kontiki_types::{
    Body, Entry, EntryKind, Index, Membership, Message, Moment, PeerId, Position, ReadMode,
    RegionId, SnapshotMeta, StoreId, Term,
};

use crate::{
    ApplyTask, Durability, Effects, Event, GroupSpec, Refused, Revival, Shard, ShardConfig,
    TaskSeq, Token, membership_codec, restore,
};

const GROUP: RegionId = RegionId(1);
const WRITE: Token = Token(7);
const READ: Token = Token(8);
const NOBODY: Refused = Refused::NotLeader { leader: None };
const THIRD: Refused = Refused::NotLeader { leader: Some((PeerId(3), StoreId(3))) };
const GRANT: Body = Body::VoteReply { granted: true };
const REFUSAL: Body = Body::VoteReply { granted: false };

/// Peer 2 of a group, on a disk that syncs when told.
struct Target {
    shard: Shard,
    now: Moment,
    effects: Effects,
    task: TaskSeq,
    refused: Vec<(Token, Refused)>,
    /// A leader was asked to confirm a read.
    asks: bool,
}

impl Target {
    fn new(membership: &Membership) -> Self {
        let (restored, _) = restore(GROUP, None, Position::ZERO, membership).expect("new");
        let raft = Config::new(PeerId(2), 2, membership_codec());
        let mut shard = Shard::new(ShardConfig::default());
        let now = Moment(7_000_000_000);
        shard.add_group(
            GroupSpec { group: GROUP, raft, restored, durability: Durability::Engine },
            now,
        );
        let (effects, refused) = (Effects::default(), Vec::new());
        Self { shard, now, effects, task: TaskSeq(0), refused, asks: false }
    }

    /// Peer 1 led it in term 1, and told it to take over.
    fn campaigning() -> Self {
        let mut target = Self::new(&Membership::of_voters(3));
        let position = Position::new(Term(1), Index(1));
        let entries = vec![Entry { position, kind: EntryKind::Empty, data: Bytes::new() }];
        let (prev, commit) = (Position::ZERO, Index(1));
        target.hear(1, 1, Body::Append { session: 1, prev, entries, commit, round: 0 });
        target.sync();
        target.hear(1, 1, Body::TimeoutNow);
        assert_eq!(target.role(), "candidate");
        target
    }

    /// And somebody wants to write, somebody to read.
    fn holding() -> Self {
        let mut target = Self::campaigning();
        let (payload, expected_term) = (Bytes::from_static(b"a"), None);
        target.feed(Event::Propose { group: GROUP, payload, token: WRITE, expected_term });
        target.feed(Event::Read { group: GROUP, token: READ, mode: ReadMode::Index });
        assert_eq!(target.refused, [], "it may win");
        target
    }

    fn role(&self) -> &'static str {
        self.shard.status(GROUP).map_or("none", |status| status.role)
    }

    fn feed(&mut self, event: Event) {
        self.shard.on_event(event, self.now);
        self.turn();
    }

    fn turn(&mut self) {
        self.shard.take_effects(self.now, &mut self.effects);
        self.refused.append(&mut self.effects.refused);
        self.task = self.effects.log.as_ref().map_or(self.task, |task| task.seq);
        let mut sent = self.effects.send.iter().map(|outbound| &outbound.message.body);
        self.asks |= sent.any(|body| matches!(body, Body::ReadIndex { .. }));
    }

    fn hear(&mut self, from: u64, term: u64, body: Body) {
        let message = Message { from: PeerId(from), to: PeerId(2), term: Term(term), body };
        self.feed(Event::Message { group: GROUP, store: StoreId(from), message });
    }

    fn sync(&mut self) {
        let task = self.task;
        self.feed(Event::LogSynced { task });
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.shard.on_time(self.now);
        self.turn();
    }

    fn halt(&mut self) {
        self.shard.halt_now(GROUP);
        self.turn();
        assert_eq!(self.role(), "halted");
    }

    /// It comes back with a new state machine.
    fn revive(&mut self, membership: Membership) {
        let at = SnapshotMeta { position: Position::ZERO, membership };
        let raft = Config::new(PeerId(2), 3, membership_codec());
        assert!(self.shard.revive(GROUP, Revival { raft, at }, self.now));
        self.turn();
    }
}

#[test]
fn every_end_of_a_candidacy_releases_who_waits() {
    type End = (&'static str, fn(&mut Target), Option<Refused>);
    let ends: [End; 15] = [
        ("won by a message", |t| (t.sync(), t.hear(1, 2, GRANT)).1, None),
        ("won by the disk", |t| (t.hear(1, 2, GRANT), t.sync()).1, None),
        ("lost", |t| (t.hear(1, 2, REFUSAL), t.hear(3, 2, REFUSAL)).1, Some(NOBODY)),
        ("timed out", |t| (t.sync(), t.pass(Duration::from_secs(3))).1, Some(NOBODY)),
        ("a newer term", |t| t.hear(3, 5, REFUSAL), Some(NOBODY)),
        ("another leads", |t| t.hear(3, 2, beat()), Some(THIRD)),
        ("another leads a newer term", |t| t.hear(3, 3, beat()), Some(THIRD)),
        ("the vote is split", |t| t.hear(3, 2, vote()), Some(NOBODY)),
        ("halted", |t| t.feed(Event::Halt { group: GROUP }), Some(Refused::Halted)),
        ("halted at once", Target::halt, Some(Refused::Halted)),
        ("destroyed", |t| (t.shard.destroy_group(GROUP), t.turn()).1, None),
        ("removed", |t| t.hear(3, 9, Body::Removed { as_of: Index(9) }), Some(NOBODY)),
        ("shall not lead", shall_not_lead, Some(NOBODY)),
        ("a snapshot", snapshot, Some(THIRD)),
        ("reset", reset, Some(NOBODY)),
    ];
    for (name, end, refused) in ends {
        let mut target = Target::holding();
        end(&mut target);
        let answers = |token| target.refused.iter().filter(move |(t, _)| *t == token);
        let told = |token| answers(token).map(|(_, refused)| *refused).collect::<Vec<_>>();
        match (name, refused) {
            ("destroyed", _) => {
                assert_eq!(told(WRITE), [Refused::NoGroup], "{name}");
                assert_eq!(told(READ), [Refused::ReadFailed], "{name}");
            }
            // The leader is known: it is asked how far the reader must wait.
            (_, Some(THIRD)) => {
                assert_eq!((told(WRITE), told(READ)), (vec![THIRD], vec![]), "{name}");
                assert!(target.asks, "{name}");
            }
            (_, Some(refused)) => {
                assert_eq!((told(WRITE), told(READ)), (vec![refused], vec![refused]), "{name}");
            }
            (_, None) => {
                assert_eq!((told(WRITE), told(READ)), (vec![], vec![]), "{name}");
                let status = target.shard.status(GROUP).expect("it is here");
                let stands = (status.role, status.last.index);
                assert_eq!(stands, ("leader", Index(3)), "{name}: proposed after its first entry");
            }
        }
    }
}

fn beat() -> Body {
    Body::Heartbeat { session: 1, commit: Index(0), round: 0 }
}

fn vote() -> Body {
    Body::Vote { last: Position::ZERO, transfer: false }
}

fn shall_not_lead(target: &mut Target) {
    target.shard.set_priority(GROUP, PeerId(2), Priority::NEVER, target.now);
    target.turn();
}

fn snapshot(target: &mut Target) {
    arrives(target, 9, 1);
}

fn meta(index: u64) -> SnapshotMeta {
    let position = Position::new(Term(2), Index(index));
    SnapshotMeta { position, membership: Membership::of_voters(3) }
}

/// A snapshot as of there, in that spool.
fn arrives(target: &mut Target, index: u64, spool: u64) {
    let body = Body::Snapshot { session: 1, meta: meta(index) };
    let message = Message { from: PeerId(3), to: PeerId(2), term: Term(2), body };
    target.feed(Event::SnapshotArrived { group: GROUP, message, spool });
}

fn reset(target: &mut Target) {
    let membership = Membership::of_voters(2);
    target.feed(Event::Reset { group: GROUP, membership, token: Token(99) });
}

#[test]
fn a_target_that_is_halted_before_its_vote_is_durable_is_not_elected_and_can_come_back() {
    for revived_first in [true, false] {
        let mut target = Target::campaigning();
        target.hear(1, 2, GRANT);
        target.halt();
        if revived_first {
            target.revive(Membership::of_voters(3));
            target.sync();
        } else {
            target.sync();
            target.revive(Membership::of_voters(3));
        }
        let status = target.shard.status(GROUP).expect("it is here");
        assert_eq!((status.role, status.term, status.last.index), ("follower", Term(2), Index(1)));
    }
}

#[test]
fn a_lone_voter_that_is_halted_before_its_vote_is_durable_can_come_back() {
    let all = Membership::of_voters(2);
    let alone = Membership::new(all.peers().filter(|peer| peer.id == PeerId(2)));
    let mut target = Target::new(&alone);
    target.pass(Duration::ZERO);
    assert_eq!(target.role(), "candidate");
    target.halt();
    target.sync();
    target.revive(alone);
    assert_eq!(target.role(), "follower");
    target.pass(Duration::ZERO);
    target.sync();
    assert_eq!(target.role(), "leader");
}

/// Found by a reader of the simulator, whose installs took no time: the restart of the log could
/// not leave a halted replica, and the one that came back had a log that was not durable.
#[test]
fn a_replica_that_is_halted_while_it_installs_comes_back_with_what_was_installed() {
    let mut target = Target::new(&Membership::of_voters(3));
    arrives(&mut target, 9, 1);
    let install = ApplyTask::Install { group: GROUP, meta: meta(9), spool: 1 };
    assert!(target.effects.apply.contains(&install), "{:?}", target.effects.apply);
    target.sync();
    target.halt();
    target.feed(Event::SnapshotInstalled { group: GROUP, meta: meta(9), ok: true });
    let raft = Config::new(PeerId(2), 3, membership_codec());
    assert!(target.shard.revive(GROUP, Revival { raft, at: meta(9) }, target.now));
    target.turn();
    let restart = Record::Snapshot { group: GROUP, meta: meta(9), keep_tail: false };
    let logged = target.effects.log.as_ref().map(|task| &task.records);
    assert!(logged.is_some_and(|records| records.contains(&restart)), "{logged:?}");
    assert_eq!(target.shard.status(GROUP).expect("it is here").applied, Index(9));
}

/// Of the same length is not the same: what was loaded is committed, what the log holds is not.
#[test]
fn a_log_that_contradicts_what_the_state_machine_comes_back_with_is_dropped() {
    let mut target = Target::new(&Membership::of_voters(3));
    let entry = |index| {
        let position = Position::new(Term(1), Index(index));
        Entry { position, kind: EntryKind::Empty, data: Bytes::new() }
    };
    let (prev, entries) = (Position::ZERO, (1..=9).map(entry).collect());
    target.hear(1, 1, Body::Append { session: 1, prev, entries, commit: Index(0), round: 0 });
    target.sync();
    target.halt();
    let raft = Config::new(PeerId(2), 3, membership_codec());
    assert!(target.shard.revive(GROUP, Revival { raft, at: meta(9) }, target.now));
    target.turn();
    let status = target.shard.status(GROUP).expect("it is here");
    assert_eq!((status.last, status.applied), (meta(9).position, Index(9)));
}

#[test]
fn what_arrives_and_is_not_installed_goes() {
    let discards = |target: &Target| {
        let tasks = target.effects.apply.iter();
        tasks.filter(|task| matches!(task, ApplyTask::Discard { .. })).cloned().collect::<Vec<_>>()
    };
    let discard = |spool| vec![ApplyTask::Discard { group: GROUP, spool }];
    let mut target = Target::new(&Membership::of_voters(3));
    arrives(&mut target, 9, 1);
    assert_eq!(discards(&target), [], "it is installed");
    arrives(&mut target, 9, 2);
    assert_eq!(discards(&target), discard(2), "the same is being installed");
    arrives(&mut target, 12, 3);
    assert_eq!(discards(&target), discard(3), "another is being installed");
    target.sync();
    target.feed(Event::SnapshotInstalled { group: GROUP, meta: meta(9), ok: true });
    arrives(&mut target, 9, 4);
    assert_eq!(discards(&target), discard(4), "it is installed already");
    target.sync();
    target.halt();
    arrives(&mut target, 12, 5);
    assert_eq!(discards(&target), discard(5), "the replica rests");
    target.shard.destroy_group(GROUP);
    target.turn();
    arrives(&mut target, 12, 6);
    assert_eq!(discards(&target), discard(6), "the replica is gone");
}
