//! The line of snapshots that a store sends: whatever becomes of one, the next has its turn.

use std::collections::VecDeque;

use bytes::Bytes;
use kontiki_raft::{Config, Restored};
use kontiki_types::{
    AppendOutcome, Body, HardState, Index, Membership, Message, Moment, Peer, PeerId, PeerRole,
    Position, RegionId, SnapshotMeta, StoreId, Term,
};

use crate::{
    Applier, ApplyTask, Committed, Durability, Effects, Error, Event, GroupSpec, Round, Shard,
    ShardConfig, SnapshotSource, StateMachine, Token,
};

const FIRST: RegionId = RegionId(1);
const SECOND: RegionId = RegionId(2);
const LEARNER: StoreId = StoreId(2);
const NOW: Moment = Moment(60_000_000);

/// A group of one voter, here, whose log begins after an entry that the learner lacks.
fn spec(group: RegionId) -> GroupSpec {
    let peer = |id, role| Peer { id: PeerId(id), store: StoreId(id), role };
    let membership = Membership::new([peer(1, PeerRole::Voter), peer(2, PeerRole::Learner)]);
    let position = Position::new(Term(1), Index(5));
    let restored = Restored {
        hard_state: HardState { term: Term(1), vote: None, commit: Index(5) },
        snapshot: SnapshotMeta { position, membership },
        ..Restored::default()
    };
    let raft = Config::new(PeerId(1), 1, crate::membership_codec());
    GroupSpec { group, raft, restored, durability: Durability::Engine }
}

/// Both groups lead here, and both learners have said that they have nothing. Gives
/// what is opened for them.
fn asked() -> (Shard, Vec<ApplyTask>) {
    let mut shard = Shard::new(ShardConfig::default());
    for group in [FIRST, SECOND] {
        shard.join_group(spec(group), Vec::new(), Moment::ZERO);
    }
    shard.on_time(NOW);
    let mut opened = Vec::new();
    let mut effects = Effects::default();
    loop {
        shard.take_effects(NOW, &mut effects);
        if effects.is_empty() {
            return (shard, opened);
        }
        opened.extend(effects.apply.drain(..).filter(is_snapshot));
        let task = effects.log.take();
        let gated = task.iter().flat_map(|task| &task.gated);
        for sent in effects.send.iter().chain(gated) {
            if let Body::Append { session, prev, .. } = sent.message.body {
                let hint = Position::ZERO;
                let outcome = AppendOutcome::Rejected { prev: prev.index, hint };
                let (from, to, term) = (PeerId(2), PeerId(1), sent.message.term);
                let body = Body::AppendReply { session, outcome, round: 0 };
                let message = Message { from, to, term, body };
                let event = Event::Message { group: sent.group, store: LEARNER, message };
                shard.on_event(event, NOW);
            }
        }
        if let Some(task) = &task {
            shard.on_event(Event::LogSynced { task: task.seq }, NOW);
        }
    }
}

fn is_snapshot(task: &ApplyTask) -> bool {
    matches!(task, ApplyTask::Snapshot { .. })
}

fn report(task: &ApplyTask, ok: bool) -> Event {
    let &ApplyTask::Snapshot { group, to, term, session, .. } = task else { panic!("{task:?}") };
    Event::SnapshotSent { group, to, term, session, ok }
}

fn opens(shard: &mut Shard) -> Vec<RegionId> {
    let mut effects = Effects::default();
    shard.take_effects(NOW, &mut effects);
    let group = |task: &ApplyTask| match *task {
        ApplyTask::Snapshot { group, .. } => Some(group),
        _ => None,
    };
    effects.apply.iter().filter_map(group).collect()
}

#[test]
fn one_is_opened_and_then_the_next() {
    let (mut shard, opened) = asked();
    let [first] = &opened[..] else { panic!("one at a time: {opened:?}") };
    shard.on_event(report(first, true), NOW);
    assert_eq!(opens(&mut shard), [SECOND]);
}

#[test]
fn the_next_has_its_turn_whatever_becomes_of_the_group_before() {
    for end in [Shard::halt_now, |shard: &mut Shard, group| assert!(shard.destroy_group(group))] {
        let (mut shard, opened) = asked();
        end(&mut shard, FIRST);
        assert_eq!(opens(&mut shard), [], "it is on its way");
        shard.on_event(report(&opened[0], false), NOW);
        assert_eq!(opens(&mut shard), [SECOND]);
    }
}

#[test]
fn a_group_that_halts_while_it_waits_is_passed_over() {
    let (mut shard, opened) = asked();
    shard.halt_now(SECOND);
    shard.on_event(report(&opened[0], true), NOW);
    assert_eq!((opens(&mut shard), shard.snapshots_passed_over()), (vec![], 1));
}

/// A state machine that gives no snapshot, for one reason or another.
struct Refuses(fn() -> Error);

impl StateMachine for Refuses {
    fn apply(&mut self, _: &[Committed], _: &mut Vec<(Token, Bytes)>) -> Result<(), Error> {
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Box<dyn SnapshotSource>, Error> {
        Err(self.0())
    }

    fn install(
        &mut self,
        _: &SnapshotMeta,
        _: u64,
        _: &mut dyn Iterator<Item = Result<Bytes, Error>>,
    ) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn whoever_has_no_snapshot_to_send_says_so_once() {
    let (_, opened) = asked();
    let reasons: [Option<fn() -> Error>; 3] = [
        None,
        Some(|| Error::Snapshot("not now".to_owned())),
        Some(|| Error::Failed("broken".to_owned())),
    ];
    for reason in reasons {
        let mut applier = Applier::new();
        if let Some(reason) = reason {
            applier.add(FIRST, Box::new(Refuses(reason)));
        }
        let (mut tasks, mut round) = (VecDeque::from([opened[0].clone()]), Round::default());
        applier.run(&mut tasks, &mut round).expect("the store goes on");
        let is_report = |event: &&Event| matches!(event, Event::SnapshotSent { .. });
        let reports: Vec<_> = round.events.iter().filter(is_report).collect();
        assert_eq!(reports, [&report(&opened[0], false)]);
    }
}
