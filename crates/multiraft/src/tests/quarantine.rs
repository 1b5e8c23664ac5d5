//! A replica that may have forgotten what it promised: silent under its old id, succeeded by an
//! heir under a new one.

use std::time::Duration;

use bytes::Bytes;
use kontiki_log::Record;
use kontiki_raft::{Config, Node};
use kontiki_types::{
    Body, Index, Membership, Message, Moment, PeerId, PeerRole, Position, ReadMode, RegionId,
    StoreId, Term,
};

use super::stores::{Answer, GROUP, Stores};
use crate::{
    ApplyTask, Effects, Event, Quarantined, Refused, Shard, ShardConfig, TaskSeq, Token,
    membership_codec,
};

const OLD: PeerId = PeerId(2);
const HEIR: PeerId = PeerId(77);
const SECOND: StoreId = StoreId(2);

fn quarantined(group: RegionId, applied: Position) -> Quarantined {
    let mut heir = Config::new(HEIR, 9, membership_codec());
    heir.commit_notice_delay = Duration::ZERO;
    let why = "a flipped byte".to_owned();
    let membership = Membership::of_voters(3);
    Quarantined { group, store: SECOND, applied, membership, heir, why }
}

fn from_first(to: PeerId, body: Body) -> Event {
    let message = Message { from: PeerId(1), to, term: Term(9), body };
    Event::Message { group: GROUP, store: StoreId(1), message }
}

fn heartbeat() -> Body {
    Body::Heartbeat { session: 1, commit: Index(9), round: 7 }
}

#[test]
fn it_answers_nobody_asks_for_an_heir_and_is_shown() {
    let mut shard = Shard::new(ShardConfig::default());
    shard.add_quarantined(quarantined(GROUP, Position::new(Term(3), Index(9))));
    let now = Moment::ZERO;
    let (payload, expected_term) = (Bytes::from_static(b"x"), None);
    let events = [
        Event::Propose { group: GROUP, payload, token: Token(1), expected_term },
        Event::Read { group: GROUP, token: Token(2), mode: ReadMode::Index },
        Event::Transfer { group: GROUP, to: Some(StoreId(1)), token: Token(3) },
    ];
    let last = Position::new(Term(9), Index(99));
    let bodies = [Body::PreVote { last }, Body::Vote { last, transfer: false }, heartbeat()];
    let said = bodies.into_iter().map(|body| from_first(OLD, body));
    // Nor does one that asks for a vote bring its heir to life.
    let said = said.chain([from_first(HEIR, Body::Vote { last, transfer: false })]);
    for event in events.into_iter().chain(said) {
        shard.on_event(event, now);
    }
    shard.on_time(now);
    let mut effects = Effects::default();
    shard.take_effects(now, &mut effects);
    let refused: Vec<_> = [1, 2, 3].map(|n| (Token(n), Refused::Quarantined)).into();
    assert_eq!(std::mem::take(&mut effects.refused), refused);
    let asked: Vec<_> = effects.send.drain(..).collect();
    assert_eq!(asked.iter().map(|out| out.store.0).collect::<Vec<_>>(), [1, 3]);
    for out in asked {
        let Message { from, term, body, .. } = out.message;
        assert_eq!((from, term, body), (HEIR, Term(0), Body::Succeed { store: SECOND }));
    }
    assert!(effects.is_empty(), "it said more: {effects:?}");
    assert!(shard.next_deadline().is_some_and(|next| next > now), "it asks again, later");

    let status = shard.status(GROUP).expect("shown");
    assert_eq!((status.role, status.peer, status.applied), ("quarantined", OLD, Index(9)));
    assert_eq!(status.quarantine.as_deref(), Some("a flipped byte"));
}

#[test]
fn an_heir_says_nothing_before_its_birth_is_durable() {
    let applied = Position::new(Term(3), Index(9));
    let mut shard = Shard::new(ShardConfig::default());
    shard.add_quarantined(quarantined(GROUP, applied));
    let (now, mut effects) = (Moment::ZERO, Effects::default());
    shard.on_event(from_first(HEIR, heartbeat()), now);
    shard.on_event(from_first(HEIR, heartbeat()), now);
    shard.take_effects(now, &mut effects);
    let task = effects.log.take().expect("its birth");
    assert!(!task.lazy, "its leader waits");
    let [Record::Forget { .. }, Record::Snapshot { meta, .. }, Record::HardState { state, .. }] =
        &task.records[..]
    else {
        panic!("{:?}", task.records)
    };
    assert_eq!((meta.position, state.term, state.vote), (applied, Term(3), None));
    assert!(effects.is_empty(), "{effects:?}");
    shard.on_event(Event::LogSynced { task: TaskSeq(1) }, now);
    shard.on_event(from_first(HEIR, heartbeat()), now);
    shard.take_effects(now, &mut effects);
    assert_eq!(effects.succeeded, [GROUP]);
    let node = shard.node(GROUP).expect("it lives");
    assert_eq!((node.id(), node.term(), node.last_position()), (HEIR, Term(9), applied));
    assert!(shard.status(GROUP).is_some_and(|status| status.quarantine.is_some()));
}

/// It cannot hear that it was removed; a leader that wants another replica here shows it.
#[test]
fn one_that_was_removed_makes_room_for_another() {
    let mut shard = Shard::new(ShardConfig::default());
    shard.add_quarantined(quarantined(GROUP, Position::new(Term(3), Index(9))));
    let (now, mut effects) = (Moment::ZERO, Effects::default());
    shard.on_event(from_first(OLD, heartbeat()), now);
    shard.on_event(from_first(PeerId(99), heartbeat()), now);
    shard.take_effects(now, &mut effects);
    let unknown = std::mem::take(&mut effects.unknown);
    assert_eq!(unknown.iter().map(|unknown| unknown.message.to).collect::<Vec<_>>(), [PeerId(99)]);

    assert!(!shard.is_free(GROUP) && shard.destroy_group(GROUP));
    shard.take_effects(now, &mut effects);
    let task = effects.log.take().expect("the log forgets it, and with it the damage");
    assert_eq!(task.records, [Record::Forget { group: GROUP }]);
    assert_eq!(std::mem::take(&mut effects.apply), [ApplyTask::Destroy { group: GROUP }]);
    shard.on_event(Event::LogSynced { task: task.seq }, now);
    assert!(!shard.is_free(GROUP), "its state machine is still here");
    shard.on_event(Event::Destroyed { group: GROUP }, now);
    assert!(shard.is_free(GROUP));
}

/// Writes something, so that there is something to refill.
fn put(stores: &mut Stores, store: u64, text: &'static str) -> Answer {
    let payload = Bytes::from_static(text.as_bytes());
    let token = stores.ask(store, |token| Event::Propose {
        group: GROUP,
        payload,
        token,
        expected_term: None,
    });
    stores.answers.remove(&token).unwrap_or(Answer::Refused(Refused::Busy))
}

/// Store 2 comes back without its log; its state machine holds what it held then.
fn damage(stores: &mut Stores) {
    let machine = stores.store(2).machine.clone().expect("there is one");
    let applied = machine.state().position;
    let store = stores.store(2);
    store.shard = Shard::new(ShardConfig::default());
    store.shard.add_quarantined(quarantined(GROUP, applied));
}

#[test]
fn it_is_succeeded_and_refilled_and_votes_again() {
    let mut stores = Stores::led(3, 0);
    put(&mut stores, 1, "before");
    damage(&mut stores);
    put(&mut stores, 1, "meanwhile");
    // Without the third store there is no majority: the damaged one has no say.
    let third = stores.all.remove(&StoreId(3)).expect("there");
    assert!(matches!(put(&mut stores, 1, "alone"), Answer::Refused(_)));
    stores.all.insert(StoreId(3), third);
    for _ in 0..50 {
        stores.pass(2, Duration::from_millis(50));
        stores.pass(1, Duration::from_millis(50));
    }
    let members = stores.store(1).shard.node(GROUP).expect("it leads").membership().clone();
    assert!(!members.contains(OLD) && !members.is_joint(), "{members:?}");
    assert_eq!(members.peer(HEIR).map(|p| (p.store, p.role)), Some((SECOND, PeerRole::Voter)));
    let status = stores.store(2).shard.status(GROUP).expect("shown");
    assert_eq!((status.role, status.quarantine), ("follower", None));
    // Its word counts again.
    stores.all.remove(&StoreId(3));
    let answer = put(&mut stores, 1, "two");
    let leader = stores.store(1).shard.node(GROUP).map(Node::describe);
    assert!(matches!(answer, Answer::Replied(_)), "{answer:?} {leader:?}");
    let machine = stores.store(2).machine.clone().expect("there is one");
    let held = machine.state().payloads.clone();
    let texts = ["before", "meanwhile", "alone", "two"];
    assert_eq!(held, texts.map(|text| Bytes::from_static(text.as_bytes())));
}
