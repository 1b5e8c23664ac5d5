//! A replica goes and another of the same group comes to the same store: nothing that was done for
//! the one may be taken for the other's.

use bytes::Bytes;
use kontiki_log::Record;
use kontiki_raft::{Config, Restored};
use kontiki_types::{
    Body, Entry, EntryKind, Index, Membership, Message, Moment, PeerId, Position, RegionId,
    SnapshotMeta, StoreId, Term,
};

use crate::{ApplyTask, Effects, Event, GroupSpec, Refused, Shard, ShardConfig, TaskSeq, Token};

const GROUP: RegionId = RegionId(1);
const NOW: Moment = Moment(7_000_000);

/// A replica of these voters; without any it awaits its first snapshot.
fn spec(peer: u64, voters: u64) -> GroupSpec {
    let membership = Membership::of_voters(voters);
    let snapshot = SnapshotMeta { position: Position::ZERO, membership };
    GroupSpec {
        group: GROUP,
        raft: Config::new(PeerId(peer), peer, crate::membership_codec()),
        restored: Restored { snapshot, ..Restored::default() },
        durability: crate::Durability::Engine,
    }
}

struct Driver {
    shard: Shard,
    effects: Effects,
}

impl Driver {
    fn new(spec: GroupSpec) -> Self {
        let mut shard = Shard::new(ShardConfig::default());
        shard.join_group(spec, Vec::new(), NOW);
        let mut driver = Self { shard, effects: Effects::default() };
        driver.turn();
        driver
    }

    /// One event, one turn.
    fn feed(&mut self, event: Event) -> &Effects {
        self.shard.on_event(event, NOW);
        self.turn()
    }

    fn turn(&mut self) -> &Effects {
        self.shard.take_effects(NOW, &mut self.effects);
        &self.effects
    }

    /// What the leader p1 of term 1 says to a peer.
    fn hear(&mut self, to: u64, body: Body) -> &Effects {
        let message = Message { from: PeerId(1), to: PeerId(to), term: Term(1), body };
        self.feed(Event::Message { group: GROUP, store: StoreId(1), message })
    }

    fn sync(&mut self, task: u64) -> &Effects {
        self.feed(Event::LogSynced { task: TaskSeq(task) })
    }

    fn term(&self) -> Option<Term> {
        self.shard.node(GROUP).map(kontiki_raft::Node::term)
    }

    fn destroy(&mut self) -> &Effects {
        assert!(self.shard.destroy_group(GROUP));
        self.turn()
    }
}

fn heartbeat() -> Body {
    Body::Heartbeat { session: 1, commit: Index(0), round: 0 }
}

/// Known Raft bug 66.
#[test]
fn a_replica_that_awaits_its_snapshot_leaves_nothing_when_it_is_replaced() {
    let mut driver = Driver::new(spec(4, 0));
    let task = driver.hear(4, heartbeat()).log.clone().expect("it heard of a term");
    assert_eq!(task.gated.len(), 1, "its answer waits for the disk");
    let effects = driver.destroy();
    let forget = Record::Forget { group: GROUP };
    assert_eq!(effects.log.as_ref().map(|task| &task.records), Some(&vec![forget]));
    assert_eq!(effects.apply, [ApplyTask::Destroy { group: GROUP }]);

    // Nobody takes its place before the applier is done with it, and nobody speaks for it.
    assert!(!driver.shard.is_free(GROUP));
    assert!(driver.hear(4, heartbeat()).is_empty(), "an answer from the dead");
    driver.shard.on_time(NOW + std::time::Duration::from_secs(9));
    assert!(driver.turn().is_empty());
    driver.feed(Event::Destroyed { group: GROUP });
    // Nor before the log has forgotten it durably: a crash would give its log to the next one.
    assert!(!driver.shard.is_free(GROUP));
    assert!(driver.sync(2).is_empty());
    driver.shard.join_group(spec(5, 0), Vec::new(), NOW);

    // The successor is another peer: it does not hear what was meant for the first.
    assert!(driver.hear(4, heartbeat()).is_empty());
    assert_eq!(driver.term(), Some(Term(0)));
    let sent = driver.hear(5, heartbeat()).log.clone().expect("it heard of a term");
    assert_eq!(sent.gated.first().map(|out| out.message.from), Some(PeerId(5)));
}

/// Known Raft bug 67.
#[test]
fn work_for_a_replica_is_not_credited_to_its_successor() {
    let mut driver = Driver::new(spec(1, 1));
    driver.shard.on_time(NOW);
    driver.turn();
    driver.sync(1);
    driver.sync(2);
    let payload = Bytes::from_static(b"a");
    let (group, token) = (GROUP, Token(1));
    driver.feed(Event::Propose { group, payload, token, expected_term: None });
    let entries = driver.sync(3).apply.iter();
    let entries = entries.filter(|task| matches!(task, ApplyTask::Entries { .. })).count();
    assert_eq!(entries, 1, "entry 2 is with the applier");
    let payload = Bytes::from_static(b"b");
    driver.feed(Event::Propose { group, payload, token: Token(2), expected_term: None });
    let effects = driver.destroy();
    assert_eq!(effects.refused, [(Token(2), Refused::LeadershipLost)]);
    let forgets = effects.log.as_ref().expect("the log forgets it");
    assert!(!forgets.lazy, "nothing else may come to sync it");
    let forgets = forgets.seq.0;

    // The applier reports what it did before, and only then that it is done.
    driver.feed(Event::Applied { group, index: Index(2), bytes: 1 });
    driver.feed(Event::Destroyed { group });
    driver.sync(forgets);
    driver.shard.join_group(spec(5, 0), Vec::new(), NOW);
    driver.turn();
    assert_eq!(driver.term(), Some(Term(0)));
    driver.sync(5);
    let to = PeerId(2);
    driver.feed(Event::SnapshotSent { group, to, term: Term(1), session: 1, ok: true });
    let status = driver.shard.status(GROUP).expect("it joined");
    assert_eq!((status.applied, status.commit), (Index(0), Index(0)));
    assert_eq!(status.last, Position::ZERO);
}

/// The chunks of each snapshot lie in a spool of their own. One that arrives while another waits
/// for its install, and is not wanted, must not lend the other its chunks.
#[test]
fn an_install_uses_the_spool_of_its_own_snapshot() {
    let mut driver = Driver::new(spec(3, 3));
    let entry = |index| {
        let position = Position::new(Term(1), Index(index));
        Entry { position, kind: EntryKind::Empty, data: Bytes::new() }
    };
    let (entries, commit) = (vec![entry(1), entry(2)], Index(2));
    let append = Body::Append { session: 1, prev: Position::ZERO, entries, commit, round: 0 };
    driver.hear(3, append);
    let applying = driver.sync(1).apply.clone();
    let [.., ApplyTask::Entries { bytes, .. }] = &applying[..] else { panic!("{applying:?}") };

    // 9@1 waits for the applier; 1@1 arrives a second time, or late.
    let discard = ApplyTask::Discard { group: GROUP, spool: 80 };
    for (index, spool, expected) in [(9, 70, vec![]), (1, 80, vec![discard])] {
        let position = Position::new(Term(1), Index(index));
        let meta = SnapshotMeta { position, membership: Membership::of_voters(3) };
        let body = Body::Snapshot { session: 1, meta };
        let message = Message { from: PeerId(1), to: PeerId(3), term: Term(1), body };
        let effects = driver.feed(Event::SnapshotArrived { group: GROUP, message, spool });
        assert_eq!(effects.apply, expected, "the applier is at work");
    }
    let effects = driver.feed(Event::Applied { group: GROUP, index: Index(2), bytes: *bytes });
    let [ApplyTask::Install { meta, spool, .. }] = &effects.apply[..] else {
        panic!("{:?}", effects.apply)
    };
    assert_eq!((meta.position.index, *spool), (Index(9), 70));
}
