//! The checker, checked: stored bad histories are refused, good ones accepted, and on small
//! histories it agrees with a second checker that simply tries every order.

use std::fmt::Write as _;

use super::history::{End, Record};
use super::*;
use crate::generate::{Shape, register_history};
use crate::rng::Rng;
use bytes::Bytes;

/// Writes histories as a small drawing: one line an operation, `client [invoked..returned] what`.
///
/// `1 [0..5] put a`, `2 [6..7] get → a`, `2 [6..7] get → -` (nothing), `1 [0..?] put a` (unknown),
/// `1 [0..x] put a` (failed), `3 [1..2] cas a b → yes`, `3 [1..2] pia a → no`, `1 [0..1] del`,
/// `3 [1..2] cas a - → no/b` (compare and delete, not applied over b).
fn drawn(lines: &[&str]) -> History<&'static str> {
    let mut history = History::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let client = words.next().unwrap().parse().unwrap();
        let times = words.next().unwrap().trim_matches(['[', ']']);
        let (invoked_at, returned_at) = times.split_once("..").unwrap();
        let mut rest: Vec<&str> = words.collect();
        let outcome = rest.iter().position(|&w| w == "→").map(|at| rest.split_off(at)[1]);
        let id = history.invoke(client, "k", operation(&rest), invoked_at.parse().unwrap());
        match returned_at {
            "?" => {}
            "x" => history.fail(id),
            at => history.ok(id, answer(outcome), at.parse().unwrap()),
        }
    }
    history
}

fn operation(words: &[&str]) -> Operation {
    let value = |word: &str| Bytes::copy_from_slice(word.as_bytes());
    match words {
        ["get"] => Operation::Get,
        ["del"] => Operation::Delete,
        ["put", v] => Operation::Put(value(v)),
        ["pia", v] => Operation::PutIfAbsent(value(v)),
        ["gap", v] => Operation::GetAndPut(value(v)),
        ["cas", e, "-"] => Operation::CompareAndDelete(value(e)),
        ["cas", "-", new] => Operation::CompareAndPut { expect: None, new: value(new) },
        ["cas", e, new] => Operation::CompareAndPut { expect: Some(value(e)), new: value(new) },
        other => panic!("no such operation: {other:?}"),
    }
}

fn answer(word: Option<&str>) -> Outcome {
    match word {
        None => Outcome::Done,
        Some("yes") => Outcome::Applied(true),
        Some("no") => Outcome::Applied(false),
        Some("-") => Outcome::Value(None),
        Some(both) if both.contains('/') => {
            let (applied, previous) = both.split_once('/').unwrap();
            let previous = (previous != "-").then(|| Bytes::copy_from_slice(previous.as_bytes()));
            Outcome::Conditional { applied: applied == "yes", previous }
        }
        Some(value) => Outcome::Value(Some(Bytes::copy_from_slice(value.as_bytes()))),
    }
}

/// Bad histories, each with the fault a store would have to have. All must be refused, for ever.
const BAD: &[(&str, &[&str])] = &[
    ("stale read", &["1 [0..1] put a", "1 [2..3] put b", "2 [4..5] get → a"]),
    ("lost write", &["1 [0..1] put a", "2 [2..3] get → -"]),
    (
        "two winners of one compare-and-put",
        &["1 [0..1] put a", "2 [2..9] cas a b → yes", "3 [2..9] cas a c → yes"],
    ),
    ("read of a value nobody wrote", &["1 [0..1] put a", "2 [2..3] get → z"]),
    (
        "reads going back during one write",
        &["1 [0..1] put a", "1 [2..20] put b", "2 [3..4] get → b", "3 [5..6] get → a"],
    ),
    ("read from the future", &["2 [0..1] get → a", "1 [2..3] put a"]),
    ("a failed write seen", &["1 [0..x] put a", "2 [5..6] get → a"]),
    ("an unknown write seen before it was sent", &["2 [0..1] get → a", "1 [2..?] put a"]),
    (
        "an unknown write that comes back after being overwritten",
        &[
            "1 [0..?] put a",
            "2 [1..2] get → a",
            "2 [3..4] put b",
            "2 [5..6] get → b",
            "3 [7..8] get → a",
        ],
    ),
    ("a delete that did nothing", &["1 [0..1] put a", "1 [2..3] del", "2 [4..5] get → a"]),
    ("a delete that found nothing", &["1 [0..1] put a", "1 [2..3] del → no"]),
    ("two firsts", &["1 [0..9] pia a → yes", "2 [0..9] pia b → yes"]),
    ("a compare-and-put refused without cause", &["1 [0..1] put a", "2 [2..3] cas a b → no"]),
    ("a compare-and-put over a wrong value", &["1 [0..1] put a", "2 [2..3] cas z b → yes"]),
    ("a put-if-absent over a value", &["1 [0..1] put a", "2 [2..3] pia b → -"]),
    (
        "a retried increment-like chain applied twice",
        &["1 [0..1] cas - a → yes", "2 [2..3] cas a b → yes", "3 [4..5] cas a c → yes"],
    ),
    (
        "two readers see two writes in opposite orders",
        &[
            "1 [0..50] put a",
            "2 [0..50] put b",
            "3 [1..2] get → a",
            "3 [3..4] get → b",
            "4 [5..6] get → a",
        ],
    ),
    ("a compare-and-put that contradicts itself", &["1 [0..1] put a", "2 [2..3] cas b c → yes/a"]),
    (
        "a refused compare-and-put that wrote",
        &["1 [0..1] put a", "2 [2..3] cas b c → no/a", "2 [4..5] get → c"],
    ),
    (
        "a compare-and-delete that left the value",
        &["1 [0..1] put a", "2 [2..3] cas a - → yes/a", "2 [4..5] get → a"],
    ),
    ("get-and-put that returns what was not there", &["1 [0..1] put a", "2 [2..3] gap b → -"]),
    ("get-and-put pairs that form a ring", &["1 [0..9] gap a → b", "2 [0..9] gap b → a"]),
];

/// Good histories that a careless checker refuses.
const GOOD: &[(&str, &[&str])] = &[
    ("nothing", &[]),
    (
        "one after the other",
        &["1 [0..1] put a", "2 [2..3] get → a", "1 [4..5] del", "2 [6..7] get → -"],
    ),
    ("a read during a write sees the old", &["1 [0..9] put a", "2 [1..2] get → -"]),
    ("a read during a write sees the new", &["1 [0..9] put a", "2 [1..2] get → a"]),
    ("equal times are concurrent", &["1 [0..5] put a", "2 [5..6] get → -"]),
    ("one winner", &["1 [0..1] put a", "2 [2..9] cas a b → yes", "3 [2..9] cas a c → no"]),
    ("unknown write that never happened", &["1 [0..?] put a", "2 [100..101] get → -"]),
    ("unknown write that happened", &["1 [0..?] put a", "2 [100..101] get → a"]),
    (
        "unknown write that happened late",
        &[
            "1 [0..?] put a",
            "2 [1..2] get → -",
            "2 [3..4] put b",
            "2 [5..6] get → b",
            "3 [7..8] get → a",
        ],
    ),
    (
        "unknown compare-and-put in a chain of unknowns",
        &["1 [0..?] put a", "2 [0..?] cas a b", "3 [0..?] cas b c", "4 [9..10] get → c"],
    ),
    (
        "unknown delete noticed by put-if-absent",
        &["1 [0..1] put a", "2 [2..?] del", "3 [3..4] pia b → yes"],
    ),
    (
        "unknown write that only a refused compare-and-put notices",
        &["1 [0..1] put a", "2 [2..?] put b", "3 [3..4] cas a c → no", "3 [5..6] put d"],
    ),
    ("unknown read tells nothing", &["1 [0..1] put a", "2 [2..?] get", "3 [3..4] get → a"]),
    ("failed write not seen", &["1 [0..x] put a", "2 [5..6] get → -"]),
    (
        "answers only explained by an order unlike that of invocation",
        &["1 [0..9] put a", "2 [1..9] put b", "3 [2..9] put c", "4 [10..11] get → a"],
    ),
    (
        "compare-and-delete, then compare with nothing",
        &["1 [0..1] put a", "2 [2..3] cas a - → yes/a", "2 [4..5] cas - b → yes/-"],
    ),
    ("get-and-put as a chain", &["1 [0..9] gap a → -", "2 [0..9] gap b → a", "3 [10..11] get → b"]),
];

#[test]
fn bad_histories_are_refused_with_an_explanation() {
    for (name, lines) in BAD {
        let report = check(&drawn(lines), BUDGET_DEFAULT);
        let Verdict::Violation { key, explanation } = &report.verdict else {
            panic!("{name} passed: {report}");
        };
        assert_eq!(key, "\"k\"", "{name}");
        assert!(explanation.contains("none of these can come next"), "{name}: {explanation}");
    }
}

#[test]
fn good_histories_are_accepted() {
    for (name, lines) in GOOD {
        let report = check(&drawn(lines), BUDGET_DEFAULT);
        assert!(report.is_ok(), "{name}: {report}");
    }
}

#[test]
fn the_explanation_names_the_dead_end() {
    let report = check(&drawn(BAD[0].1), BUDGET_DEFAULT);
    let expected =
        "key \"k\" is not linearizable: no order of its 3 operations explains every answer
  the longest order explains 2 operations:
    #0 client 1 put b\"a\" → done [0..1]
    #1 client 1 put b\"b\" → done [2..3]
  then the value is b\"b\", and none of these can come next:
    #2 client 2 get → b\"a\" [4..5]
 (1 keys, 3 operations, 2 configurations)";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn a_bad_key_outranks_an_undecided_one_and_good_ones() {
    let mut history = History::new();
    for client in 0..12 {
        history.invoke(client, "busy", Operation::Put(Bytes::from(format!("a{client}"))), 0);
    }
    for client in 0..12 {
        let id = history.invoke(client, "busy", Operation::Put(Bytes::from(vec![b'b'])), client);
        history.ok(id, Outcome::Done, 100);
    }
    let id = history.invoke(0, "busy", Operation::Get, 200);
    history.ok(id, Outcome::Value(Some(Bytes::from_static(b"z"))), 201);
    let undecided = check(&history, 5);
    assert_eq!(undecided.verdict, Verdict::Unknown { keys: vec!["\"busy\"".to_owned()] });
    assert!(!undecided.is_ok(), "undecided is not a pass");

    let id = history.invoke(0, "stale", Operation::Get, 200);
    history.ok(id, Outcome::Value(Some(Bytes::from_static(b"z"))), 201);
    let report = check(&history, 5);
    assert!(matches!(report.verdict, Verdict::Violation { key, .. } if key == "\"stale\""));
}

#[test]
fn histories_of_a_real_register_are_accepted() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let shape = Shape {
            operation_count: 400,
            client_count: 1 + rng.below(8),
            key_count: 1 + rng.below(3),
            unknown_per_mille: *rng.pick(&[0, 20, 100]),
            fail_per_mille: *rng.pick(&[0, 50]),
            is_conditional: rng.chance(500),
        };
        let history = register_history(&mut rng, shape);
        assert!(history.ok_count() > 100, "seed {seed}: too little happened to prove anything");
        let report = check(&history, BUDGET_DEFAULT);
        assert!(report.is_ok(), "seed {seed}, {shape:?}: {report}");
    }
}

#[test]
fn one_invented_read_is_always_found() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let shape = Shape { unknown_per_mille: 10, ..LARGE };
        let mut history = register_history(&mut rng, shape);
        change_one_read(&mut history, &mut rng, &[Some(Bytes::from_static(b"nobody wrote this"))]);
        let report = check(&history, BUDGET_DEFAULT);
        assert!(matches!(report.verdict, Verdict::Violation { .. }), "seed {seed}: {report}");
    }
}

const LARGE: Shape = Shape {
    operation_count: 600,
    client_count: 6,
    key_count: 1,
    unknown_per_mille: 0,
    fail_per_mille: 0,
    is_conditional: true,
};

/// Gives one answered read another answer. False when the history has none.
fn change_one_read(history: &mut History<u64>, rng: &mut Rng, answers: &[Option<Bytes>]) -> bool {
    let reads: Vec<usize> = (0..history.len())
        .filter(|&i| {
            matches!(history.record(i).operation, Operation::Get)
                && matches!(history.record(i).end, End::Ok { .. })
        })
        .collect();
    if reads.is_empty() {
        return false;
    }
    let record = history.record_mut(*rng.pick(&reads));
    let End::Ok { outcome, .. } = &mut record.end else { unreachable!("filtered above") };
    *outcome = Outcome::Value(rng.pick(answers).clone());
    true
}

/// On small histories, many of them with one read changed to another value of the run, the search
/// and a checker that tries every order must agree; and both verdicts must be common, or this says
/// little.
#[test]
fn the_search_agrees_with_trying_every_order() {
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..4_000 {
        let mut rng = Rng::new(seed);
        let shape = Shape {
            operation_count: 8,
            client_count: 3,
            key_count: 1,
            unknown_per_mille: *rng.pick(&[0, 300]),
            fail_per_mille: 50,
            is_conditional: rng.chance(600),
        };
        let mut history = register_history(&mut rng, shape);
        if rng.chance(700) {
            let mut answers = vec![None];
            answers.extend((1..5).map(|n| Some(Bytes::from(format!("v{n}")))));
            change_one_read(&mut history, &mut rng, &answers);
        }
        let report = check(&history, BUDGET_DEFAULT);
        let records: Vec<&Record> = (0..history.len()).map(|i| history.record(i)).collect();
        let expected = naive::has_order(&records);
        assert_ne!(report.verdict, Verdict::Unknown { keys: vec!["0".to_owned()] });
        assert_eq!(report.is_ok(), expected, "seed {seed}: {}\n{report}", listing(&records));
        if expected {
            accepted += 1;
        } else {
            refused += 1;
        }
    }
    assert!(accepted > 1_000 && refused > 400, "one-sided: {accepted} accepted, {refused} refused");
}

fn listing(records: &[&Record]) -> String {
    let mut text = String::new();
    for record in records {
        let _ = write!(text, "\n  {record}");
    }
    text
}

/// The definition, spelled out: try every order, on plain values, with no memo and no shortcut.
mod naive {
    use super::*;

    pub(super) fn has_order(records: &[&Record]) -> bool {
        let counted: Vec<&Record> =
            records.iter().copied().filter(|r| r.end != End::Fail).collect();
        extend(&counted, &mut vec![false; counted.len()], None)
    }

    fn extend(records: &[&Record], used: &mut [bool], value: Option<&Bytes>) -> bool {
        let returned = |i: usize| match &records[i].end {
            End::Ok { at, .. } => *at,
            _ => u64::MAX,
        };
        if (0..records.len()).all(|i| used[i] || returned(i) == u64::MAX) {
            return true;
        }
        let first_return = (0..records.len()).filter(|&i| !used[i]).map(returned).min();
        for i in 0..records.len() {
            if used[i] || Some(records[i].invoked_at) > first_return {
                continue;
            }
            let (next, answers) = result(&records[i].operation, value);
            let agrees = match &records[i].end {
                End::Ok { outcome, .. } => answers.contains(outcome),
                _ => true,
            };
            if agrees {
                used[i] = true;
                if extend(records, used, next.as_ref()) {
                    return true;
                }
                used[i] = false;
            }
        }
        false
    }

    /// The value after, and every true answer.
    fn result(operation: &Operation, value: Option<&Bytes>) -> (Option<Bytes>, Vec<Outcome>) {
        let before = value.cloned();
        let (after, applied) = match operation {
            Operation::Get => return (before.clone(), vec![Outcome::Value(before)]),
            Operation::Put(new) | Operation::GetAndPut(new) => {
                return (Some(new.clone()), vec![Outcome::Done, Outcome::Value(before)]);
            }
            Operation::Delete => (None, before.is_some()),
            Operation::CompareAndPut { expect, new } if *expect == before => {
                (Some(new.clone()), true)
            }
            Operation::CompareAndDelete(expect) if Some(expect) == value => (None, true),
            Operation::PutIfAbsent(new) if before.is_none() => (Some(new.clone()), true),
            _ => (before.clone(), false),
        };
        let both = Outcome::Conditional { applied, previous: before.clone() };
        (after, vec![Outcome::Done, Outcome::Applied(applied), Outcome::Value(before), both])
    }
}
