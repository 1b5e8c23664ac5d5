//! What commands do, and do only once: one claim a test.

use kontiki_types::{ClientId, Command, Epoch, Outcome, Refusal};

use crate::Tuning;
use crate::tests::builders::{entry, header, key, payload, put, range, value};
use crate::tests::node::Node;

/// Applies one payload as the next entry and gives its outcomes.
fn apply(node: &mut Node, payloads: Vec<bytes::Bytes>) -> Vec<Vec<Outcome>> {
    let index = node.replica.applied().index.0 + 1;
    let mut log = vec![entry(0, Vec::new()); usize::try_from(index - 1).unwrap()];
    log.push(entry(index, payloads));
    node.apply(&log, 1).unwrap().into_iter().map(|(_, outcomes)| outcomes).collect()
}

fn swap(expect: Option<&str>, update: Option<&str>) -> Command {
    Command::CompareAndPut { key: key("k"), expect: expect.map(value), update: update.map(value) }
}

fn conditional(applied: bool, previous: Option<&str>) -> Outcome {
    Outcome::Conditional { applied, previous: previous.map(value) }
}

#[test]
fn two_swaps_in_one_batch_have_one_winner() {
    let mut node = Node::new(Tuning::default());
    let first = payload(header(1, 1), 1, vec![swap(None, Some("a")), swap(None, Some("b"))]);
    let second = payload(header(2, 1), 1, vec![swap(None, Some("c")), swap(Some("a"), Some("d"))]);
    assert_eq!(
        apply(&mut node, vec![first, second]),
        [
            vec![conditional(true, None), conditional(false, Some("a"))],
            vec![conditional(false, Some("a")), conditional(true, Some("a"))],
        ]
    );
    assert_eq!(node.data(), [(key("k"), value("d"))]);
}

#[test]
fn put_if_absent_sees_puts_and_deletes_of_its_own_batch() {
    let mut node = Node::new(Tuning::default());
    let absent = |text| Command::PutIfAbsent { key: key("k"), value: value(text) };
    let commands = vec![put("k", "a"), absent("b"), Command::Delete { key: key("k") }, absent("c")];
    let outcomes = apply(&mut node, vec![payload(header(1, 1), 1, commands)]);
    let expected =
        vec![Outcome::Done, conditional(false, Some("a")), Outcome::Done, conditional(true, None)];
    assert_eq!(outcomes, [expected]);
}

#[test]
fn a_swap_without_update_deletes() {
    let mut node = Node::new(Tuning::default());
    let commands = vec![put("k", "a"), swap(Some("a"), None), swap(Some("a"), Some("b"))];
    let outcomes = apply(&mut node, vec![payload(header(1, 1), 1, commands)]);
    let expected = vec![Outcome::Done, conditional(true, Some("a")), conditional(false, None)];
    assert_eq!(outcomes, [expected]);
    assert_eq!(node.data(), []);
}

#[test]
fn a_range_delete_is_in_order_with_puts() {
    let mut node = Node::new(Tuning::default());
    let commands = vec![
        put("a", "1"),
        put("b", "2"),
        Command::DeleteRange { range: range("a", Some("b")) },
        put("a", "3"),
        Command::DeleteRange { range: range("b", None) },
    ];
    let outcomes = apply(&mut node, vec![payload(header(1, 1), 1, commands)]);
    let removed = Outcome::Removed(1);
    let expected = vec![Outcome::Done, Outcome::Done, removed.clone(), Outcome::Done, removed];
    assert_eq!(outcomes, [expected]);
    assert_eq!(node.data(), [(key("a"), value("3"))]);
}

#[test]
fn a_retry_answers_the_first_outcome_and_has_no_effect() {
    let mut node = Node::new(Tuning::default());
    let request = payload(header(1, 1), 7, vec![swap(None, Some("a"))]);
    assert_eq!(apply(&mut node, vec![request.clone()]), [[conditional(true, None)]]);
    let other = payload(header(2, 1), 1, vec![swap(Some("a"), Some("b"))]);
    apply(&mut node, vec![other]);
    // In the same process, and after restarts with the outcome in a record or in a folded row.
    for _ in 0..3 {
        assert_eq!(apply(&mut node, vec![request.clone()]), [[conditional(true, None)]]);
        assert_eq!(node.data(), [(key("k"), value("b"))]);
        node.reopen();
    }
}

#[test]
fn a_retry_after_a_fold_and_a_restart_is_known_still() {
    let mut node = Node::new(Tuning { records_max: 1, ..Tuning::default() });
    let request = payload(header(1, 1), 1, vec![swap(None, Some("a"))]);
    apply(&mut node, vec![request.clone()]);
    for n in 1..5 {
        apply(&mut node, vec![payload(header(2, n), n, vec![put("other", "x")])]);
    }
    node.reopen();
    assert_eq!(apply(&mut node, vec![request]), [[conditional(true, None)]]);
}

#[test]
fn what_was_answered_is_forgotten_and_refused() {
    let mut node = Node::new(Tuning::default());
    apply(&mut node, vec![payload(header(1, 1), 1, vec![put("k", "a")])]);
    apply(&mut node, vec![payload(header(1, 2), 2, vec![put("k", "b")])]);
    let late = payload(header(1, 1), 1, vec![put("k", "a")]);
    let refused = Outcome::Refused(Refusal::RequestForgotten);
    assert_eq!(apply(&mut node, vec![late]), [[refused]]);
    assert_eq!(node.data(), [(key("k"), value("b"))]);
}

#[test]
fn an_unknown_session_is_refused_unless_it_may_be_opened() {
    let mut node = Node::new(Tuning::default());
    let mut closed = header(9, 1);
    closed.open = false;
    let refused = Outcome::Refused(Refusal::SessionUnknown);
    let commands = vec![put("k", "a"), put("k", "b")];
    let outcomes = apply(&mut node, vec![payload(closed, 1, commands.clone())]);
    assert_eq!(outcomes, [vec![refused; 2]]);
    assert_eq!(node.data(), []);
    let outcomes = apply(&mut node, vec![payload(header(9, 1), 1, commands)]);
    assert_eq!(outcomes, [vec![Outcome::Done; 2]]);
}

#[test]
fn an_epoch_that_was_overtaken_is_refused_at_apply_with_the_region() {
    let mut node = Node::new(Tuning::default());
    let mut stale = header(1, 1);
    stale.epoch = Epoch { conf_ver: 1, version: 0 };
    let outcomes = apply(&mut node, vec![payload(stale, 1, vec![put("k", "a")])]);
    let current = vec![node.replica.region().clone()];
    assert_eq!(outcomes, [[Outcome::Refused(Refusal::EpochNotMatch(current))]]);
    assert_eq!(node.data(), []);
    // Not remembered: the same request under the right epoch is carried out.
    let outcomes = apply(&mut node, vec![payload(header(1, 1), 1, vec![put("k", "a")])]);
    assert_eq!(outcomes, [[Outcome::Done]]);
}

#[test]
fn nonsense_in_the_log_is_refused_and_stops_nothing() {
    let mut node = Node::new(Tuning::default());
    let invalid = Outcome::Refused(Refusal::Invalid);
    let garbage = bytes::Bytes::from_static(b"\xff\x00garbage");
    let good = payload(header(1, 1), 1, vec![put("k", "a")]);
    let outcomes = apply(&mut node, vec![garbage, good]);
    assert_eq!(outcomes, [vec![invalid.clone()], vec![Outcome::Done]]);
    let no_space = Command::Put { key: bytes::Bytes::from_static(b"?"), value: value("x") };
    let empty = Command::Batch { changes: Vec::new() };
    let outcomes = apply(&mut node, vec![payload(header(1, 2), 2, vec![no_space, empty])]);
    assert_eq!(outcomes, [vec![invalid.clone(), invalid]]);
    assert_eq!(node.data(), [(key("k"), value("a"))]);
}

#[test]
fn replicated_time_never_goes_back() {
    let mut node = Node::new(Tuning::default());
    let at = |client, wall_ms| {
        let mut header = header(client, 1);
        header.wall_ms = wall_ms;
        payload(header, 1, vec![put("k", "a")])
    };
    apply(&mut node, vec![at(1, 5000)]);
    apply(&mut node, vec![at(2, 1000)]);
    assert_eq!(node.replica.cell().now_ms(), 5000);
    node.reopen();
    assert_eq!(node.replica.cell().now_ms(), 5000);
    assert!(node.replica.sessions.row(ClientId(2)).is_some());
}

#[test]
fn a_failed_engine_write_is_an_error_and_answers_nobody() {
    let mut node = Node::new(Tuning::default());
    node.fail_write(0);
    let log = [entry(1, vec![payload(header(1, 1), 1, vec![put("k", "a")])])];
    // `Node::apply` asserts that nobody was answered.
    assert!(node.apply(&log, 1).is_err());
}
