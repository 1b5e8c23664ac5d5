//! A range delete larger than a batch: whatever the crash, it ends as if there had been none.

use kontiki_multiraft::{Error, StateMachine};
use kontiki_types::limits::{SESSION_STEP_MS, SESSION_TTL_MS};
use kontiki_types::{Command, Outcome};

use crate::Tuning;
use crate::limits::EXPIRED_PER_PAYLOAD;
use crate::tests::builders::{entry, header, payload, put, range};
use crate::tests::node::Node;

fn tuning() -> Tuning {
    Tuning { delete_chunk_rows: 2, records_max: 2, ..Tuning::default() }
}

fn log() -> Vec<kontiki_multiraft::Committed> {
    let rows = (0..9).map(|n| put(&format!("k{n}"), "x")).collect();
    let delete = Command::DeleteRange { range: range("k1", Some("k8")) };
    // Outcomes before and after the delete, in its own payload and in others.
    let around = vec![put("before", "1"), delete, put("after", "2")];
    vec![
        entry(1, vec![payload(header(1, 1), 1, rows)]),
        entry(
            2,
            vec![
                payload(header(2, 1), 1, vec![put("first", "0")]),
                payload(header(1, 1), 10, around),
            ],
        ),
        entry(3, vec![payload(header(1, 1), 13, vec![put("last", "3")])]),
        entry(4, vec![payload(header(2, 1), 2, vec![put("last", "4")])]),
    ]
}

#[test]
fn a_cut_delete_ends_like_one_that_was_not() {
    let log = log();
    let mut whole = Node::new(Tuning::default());
    let replies = whole.apply(&log, 4).unwrap();
    assert_eq!(replies[2].1, [Outcome::Done, Outcome::Removed(7), Outcome::Done]);
    let mut cut = Node::new(tuning());
    assert_eq!(cut.apply(&log, 4).unwrap(), replies);
    assert_eq!(cut.hash(), whole.hash());
    // Outcomes that followed the cut are in the engine too (the simulator's seeds 2 and 3).
    cut.reopen();
    cut.check();
    assert_eq!(cut.hash(), whole.hash());
}

#[test]
fn a_crash_at_any_write_of_a_delete_leaves_no_trace() {
    let log = log();
    let mut whole = Node::new(Tuning::default());
    whole.apply(&log, 4).unwrap();
    let (mut crashes, mut halves) = (0, 0);
    for writes in 0.. {
        let mut node = Node::new(tuning());
        node.apply(&log, 1).unwrap();
        node.fail_write(writes);
        let done = node.apply(&log, 3).is_ok();
        // Every prefix of what was written may survive.
        for keep in 0..=node.unsynced_count() {
            let mut survivor = Node::new(tuning());
            survivor.apply(&log, 1).unwrap();
            survivor.fail_write(writes);
            let _ = survivor.apply(&log, 3);
            survivor.crash(keep);
            if survivor.replica.partial.is_some() {
                // Half an entry is no position: nobody may read it or copy it.
                assert!(survivor.replica.cell().is_replacing());
                let mut source = survivor.replica.snapshot().unwrap();
                assert!(matches!(source.next_chunk(), Err(Error::Snapshot(_))));
                halves += 1;
            }
            survivor.apply(&log, 4).unwrap();
            assert_eq!(survivor.hash(), whole.hash(), "write {writes} failed, {keep} survived");
            crashes += 1;
        }
        if done {
            break;
        }
    }
    assert!(halves > 3, "only {halves} crashes left half an entry");
    assert!(crashes > 10, "only {crashes} crashes");
}

/// A payload expires a bounded number of sessions. Cut in two, it is one payload still, also when
/// a restart rebuilds the sessions from what stands in the engine.
#[test]
fn a_cut_payload_expires_sessions_once() {
    let crowd = u64::try_from(3 * EXPIRED_PER_PAYLOAD).unwrap();
    let opened = (0..crowd).map(|client| payload(header(client, 1), 1, vec![put("k0", "x")]));
    let mut pacer = header(crowd + 1, 1);
    let pace = (1..=SESSION_TTL_MS / SESSION_STEP_MS).map(|n| {
        pacer.wall_ms += SESSION_STEP_MS;
        payload(pacer, n, vec![put("k0", "x")])
    });
    let pace = pace.collect();
    let mut late = header(crowd, 1);
    late.wall_ms = pacer.wall_ms + SESSION_STEP_MS;
    let rows = (1..9).map(|n| put(&format!("k{n}"), "x"));
    let delete = Command::DeleteRange { range: range("k1", Some("k8")) };
    let commands = rows.chain([delete, put("after", "2")]).collect();
    let late = vec![payload(late, 1, commands)];
    let log = [entry(1, opened.collect()), entry(2, pace), entry(3, late)];
    let mut whole = Node::new(Tuning::default());
    whole.apply(&log, 3).unwrap();
    let left = whole.replica.sessions.len();
    assert!((2 * EXPIRED_PER_PAYLOAD..3 * EXPIRED_PER_PAYLOAD).contains(&left), "{left} are left");
    let mut cut = Node::new(Tuning { delete_chunk_rows: 2, ..Tuning::default() });
    cut.apply(&log, 3).unwrap();
    assert_eq!(cut.hash(), whole.hash());
    cut.reopen();
    cut.check();
    assert_eq!(cut.hash(), whole.hash());
}
