//! Rounds of a single node with more than one input: what a driver that collects events sees and a
//! script, which drains after each, does not.

use std::time::Duration;

use bytes::Bytes;
use kontiki_types::{
    AppendOutcome, Body, Entry, EntryKind, Index, Membership, Message, Moment, PeerId, Position,
    ReadMode, SnapshotMeta, Term,
};

use crate::testing::codec;
use crate::{Batch, Config, Contradiction, Node, ReadId, Restored, Seq};

const NOW: Moment = Moment(1_000_000);

/// Peer 1 of three, just started.
fn node() -> Node {
    let mut config = Config::new(PeerId(1), 1, codec::READABLE);
    config.commit_notice_delay = Duration::ZERO;
    let snapshot = SnapshotMeta { position: Position::ZERO, membership: Membership::of_voters(3) };
    Node::new(config, Restored { snapshot, ..Restored::default() }, NOW)
}

fn message(from: u64, term: u64, body: Body) -> Message {
    Message { from: PeerId(from), to: PeerId(1), term: Term(term), body }
}

/// An append of one entry after `prev` by the leader of `term`.
fn append(from: u64, term: u64, prev: Position) -> Message {
    let position = Position::new(Term(term), prev.index.next());
    let data = Bytes::from_static(b"x");
    let entries = vec![Entry { position, kind: EntryKind::Normal, data }];
    message(from, term, Body::Append { session: from, prev, entries, commit: Index(0), round: 0 })
}

fn take(node: &mut Node) -> Batch {
    let mut batch = Batch::default();
    node.take(&mut batch);
    batch
}

/// Make everything durable that the batch holds.
fn persist(node: &mut Node, batch: &Batch) {
    if let Some(op) = &batch.store {
        node.on_persisted(op.seq, NOW);
    }
}

/// A node that leads term 1 with its no-op at 1, committed by peer 2.
fn leader() -> Node {
    let mut node = node();
    node.campaign(NOW);
    node.step(message(2, 1, Body::PreVoteReply { granted: true }), NOW);
    let batch = take(&mut node);
    persist(&mut node, &batch);
    node.step(message(2, 1, Body::VoteReply { granted: true }), NOW);
    let batch = take(&mut node);
    persist(&mut node, &batch);
    node.step(accepted(2, 1, 1), NOW);
    take(&mut node);
    assert_eq!(node.commit(), Index(1), "{}", node.describe());
    node
}

/// Sessions are counted from 1 in order of peer.
fn accepted(from: u64, session: u64, matched: u64) -> Message {
    let outcome = AppendOutcome::Accepted { matched: Index(matched) };
    message(from, 1, Body::AppendReply { session, outcome, round: 0 })
}

#[test]
fn what_cannot_be_is_told_before_it_is_handed_over() {
    let heartbeat = |from, term, commit| {
        let (session, commit) = (1, Index(commit));
        message(from, term, Body::Heartbeat { session, commit, round: 0 })
    };
    let term = Term(1);
    let node = leader();
    let (leader, from) = (PeerId(1), PeerId(2));
    let twice = Some(Contradiction::TwoLeaders { term, leader, from });
    assert_eq!(node.contradiction(&heartbeat(2, 1, 0)), twice);
    assert_eq!(node.contradiction(&heartbeat(2, 2, 1)), None, "a newer term");
    // What is committed here is of term 1.
    let first = append(2, 2, Position::ZERO);
    let [ours, theirs] = [1, 2].map(|term| Position::new(Term(term), Index(1)));
    let differs = Some(Contradiction::CommittedDiffers { from, ours, theirs });
    assert_eq!(node.contradiction(&first), differs);
    let after = |term| append(2, 3, Position::new(Term(term), Index(1)));
    assert_eq!(node.contradiction(&after(2)), differs, "by what it follows");
    assert_eq!(node.contradiction(&after(1)), None);

    let mut follower = self::node();
    follower.step(append(2, 1, Position::ZERO), NOW);
    let (leader, from) = (PeerId(2), PeerId(3));
    let twice = Some(Contradiction::TwoLeaders { term, leader, from });
    assert_eq!(follower.contradiction(&append(3, 1, Position::ZERO)), twice);
    assert_eq!(follower.contradiction(&heartbeat(2, 1, 1)), None);
    let (commit, last) = (Index(2), Position::new(term, Index(1)));
    let lost = Some(Contradiction::LogLost { from: PeerId(2), commit, last });
    assert_eq!(follower.contradiction(&heartbeat(2, 1, 2)), lost);
    assert_eq!(follower.contradiction(&heartbeat(2, 0, 2)), None, "it is of old");
    let to = PeerId(9);
    let to_another = Message { to, ..heartbeat(2, 1, 2) };
    assert_eq!(follower.contradiction(&to_another), None, "it held that, on this store");
}

/// The first entry is as it should be, the second is not.
#[test]
fn all_that_an_append_says_of_committed_entries_is_compared() {
    let mut node = node();
    let first = Position::new(Term(1), Index(1));
    node.step(append(2, 1, Position::ZERO), NOW);
    node.step(append(2, 1, first), NOW);
    let batch = take(&mut node);
    persist(&mut node, &batch);
    let (session, commit) = (2, Index(2));
    node.step(message(2, 1, Body::Heartbeat { session, commit, round: 0 }), NOW);
    assert_eq!(node.commit(), commit, "{}", node.describe());

    let entry = |term, index| {
        let (position, data) = (Position::new(Term(term), Index(index)), Bytes::from_static(b"x"));
        Entry { position, kind: EntryKind::Normal, data }
    };
    let told = |second, third| {
        let entries = vec![entry(1, 1), entry(second, 2), entry(third, 3)];
        let prev = Position::ZERO;
        message(3, 2, Body::Append { session: 3, prev, entries, commit: Index(0), round: 0 })
    };
    let (ours, theirs) = (entry(1, 2).position, entry(2, 2).position);
    let differs = Contradiction::CommittedDiffers { from: PeerId(3), ours, theirs };
    assert_eq!(node.contradiction(&told(2, 2)), Some(differs));
    assert_eq!(node.contradiction(&told(1, 2)), None, "what comes after may be anything");
}

#[test]
fn appends_of_one_round_are_written_at_once_and_acknowledged_once() {
    let mut node = node();
    node.step(append(2, 1, Position::ZERO), NOW);
    node.step(append(2, 1, Position::new(Term(1), Index(1))), NOW);
    node.step(append(2, 1, Position::new(Term(1), Index(2))), NOW);
    let batch = take(&mut node);
    let op = batch.store.expect("three entries");
    assert_eq!(op.entries.len(), 3);
    let [reply] = &batch.send[..] else { panic!("one reply, not {:?}", batch.send) };
    assert_eq!(reply.after, op.seq);
    let matched = AppendOutcome::Accepted { matched: Index(3) };
    assert_eq!(reply.message.body, Body::AppendReply { session: 2, outcome: matched, round: 0 });
}

#[test]
fn proposals_of_one_round_leave_as_one_append_per_follower() {
    let mut node = leader();
    for _ in 0..3 {
        node.propose(Bytes::from_static(b"x"), None, NOW).expect("it leads");
    }
    // Peer 2 replicates; peer 3 never answered its probe, so it gets nothing.
    let batch = take(&mut node);
    let [append] = &batch.send[..] else { panic!("one append, not {:?}", batch.send) };
    assert_eq!((append.after, append.message.to), (Seq(0), PeerId(2)));
    assert!(
        matches!(&append.message.body, Body::Append { entries, .. } if entries.len() == 3),
        "{:?}",
        append.message
    );
    assert_eq!(batch.store.map(|op| op.entries.len()), Some(3));
}

/// Within one round an entry is accepted, then replaced by a newer leader's: the operation of the
/// round holds only the newer one. The acknowledgement of the older would be released by an
/// operation that never wrote what it claims.
#[test]
fn acknowledgement_of_an_entry_replaced_in_the_same_round_never_leaves() {
    let mut node = node();
    node.step(append(2, 1, Position::ZERO), NOW);
    node.step(append(3, 2, Position::ZERO), NOW);
    let batch = take(&mut node);
    let terms: Vec<Term> = batch.send.iter().map(|outgoing| outgoing.message.term).collect();
    assert_eq!(terms, [Term(2)], "{:?}", batch.send);
    let written = batch.store.map(|op| op.entries.iter().map(|e| e.position).collect());
    assert_eq!(written, Some(vec![Position::new(Term(2), Index(1))]));
}

/// The same for a vote: given and overtaken by a newer term before it was written.
#[test]
fn vote_overtaken_in_the_same_round_never_leaves() {
    let mut node = node();
    let vote = Body::Vote { last: Position::ZERO, transfer: false };
    node.step(message(2, 1, vote.clone()), NOW);
    node.step(message(3, 2, vote), NOW);
    let batch = take(&mut node);
    let replies: Vec<(PeerId, Term)> =
        batch.send.iter().map(|out| (out.message.to, out.message.term)).collect();
    assert_eq!(replies, [(PeerId(3), Term(2))]);
    assert_eq!(batch.store.and_then(|op| op.hard_state).and_then(|s| s.vote), Some(PeerId(3)));
}

/// A reign that begins a snapshot and ends in the same round must not ask for it: the driver would
/// stream it in the name of a term that another peer leads.
#[test]
fn snapshot_wanted_dies_with_the_reign_that_wanted_it() {
    let mut node = leader();
    node.propose(Bytes::from_static(b"x"), None, NOW).expect("it leads");
    let batch = take(&mut node);
    persist(&mut node, &batch);
    node.step(accepted(2, 1, 2), NOW);
    let applied = take(&mut node).apply.len();
    assert!(applied > 0, "nothing to apply");
    node.on_applied(Index(2));
    assert_eq!(node.compact(Index(2)), Some(Position::new(Term(1), Index(2))));
    let outcome = AppendOutcome::Rejected { prev: Index(0), hint: Position::ZERO };
    node.step(message(3, 1, Body::AppendReply { session: 2, outcome, round: 0 }), NOW);
    let heartbeat = Body::Heartbeat { session: 1, commit: Index(0), round: 0 };
    node.step(message(2, 2, heartbeat), NOW);
    let wanted = |notice: &crate::Notice| matches!(notice, crate::Notice::SnapshotWanted { .. });
    assert!(!take(&mut node).notices.iter().any(wanted));
}

#[test]
fn a_round_without_news_is_empty() {
    let mut node = leader();
    let batch = take(&mut node);
    assert!(batch.store.is_none() && batch.send.is_empty() && batch.apply.is_empty());
    assert!(batch.reads.is_empty() && batch.notices.is_empty());
}

/// Reads of one round share one heartbeat round, however many they are.
#[test]
fn reads_of_one_round_cost_one_round() {
    let mut node = leader();
    for read in 1..=100 {
        node.read(ReadId(read), ReadMode::Index, NOW).expect("it leads");
    }
    let batch = take(&mut node);
    assert_eq!(batch.send.len(), 2, "{:?}", batch.send);
    node.step(message(2, 1, Body::HeartbeatReply { session: 1, round: 1 }), NOW);
    assert_eq!(take(&mut node).reads.len(), 100);
}

/// Deadlines are told before they pass, and a late call is as good as one in time.
#[test]
fn a_late_call_makes_up_for_all_deadlines() {
    let mut node = leader();
    let deadline = node.next_deadline().expect("a leader has heartbeats to send");
    assert!(deadline > NOW, "{deadline} is not in the future");
    node.on_time(deadline);
    assert_eq!(take(&mut node).send.len(), 2, "a heartbeat to each follower");
    assert!(node.next_deadline().expect("the next heartbeat") > deadline);
    // Nobody answered for ten seconds: it steps down, and a follower's deadline begins.
    let late = Moment(NOW.0 + 10_000_000);
    node.on_time(late);
    assert_eq!(node.role_name(), "follower");
    assert!(node.next_deadline().expect("an election deadline") > late);
}
