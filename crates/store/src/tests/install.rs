//! Snapshots: what they replace, what a crash in the middle leaves, what damage does.

use kontiki_engine::Family;
use kontiki_multiraft::{Error, StateMachine};
use kontiki_types::SnapshotMeta;

use crate::Tuning;
use crate::tests::builders::{entry, header, payload, put};
use crate::tests::node::Node;

const SPOOL: u64 = 4;

fn small() -> Tuning {
    Tuning { snapshot_chunk_bytes: 64, delete_chunk_rows: 2, ..Tuning::default() }
}

fn filled(names: &[&str]) -> Node {
    let mut node = Node::new(small());
    for (index, name) in (1..).zip(names) {
        let mut log = vec![entry(0, Vec::new()); usize::try_from(index - 1).unwrap()];
        log.push(entry(index, vec![payload(header(1, 1), index, vec![put(name, "x")])]));
        node.apply(&log, 1).unwrap();
    }
    node
}

fn meta(node: &Node) -> SnapshotMeta {
    SnapshotMeta { position: node.replica.applied(), membership: node.replica.membership() }
}

#[test]
fn an_install_clears_what_was_there_and_brings_rows_and_sessions() {
    let mut source = filled(&["a", "b", "c", "d", "e", "f"]);
    let mut target = filled(&["a", "old", "older", "z"]);
    let (chunks, meta) = (source.snapshot(), meta(&source));
    assert!(chunks.len() > 3, "{} chunks", chunks.len());
    target.replica.install(&meta, SPOOL, &mut chunks.into_iter().map(Ok)).unwrap();
    target.check();
    assert_eq!(target.data(), source.data());
    assert_eq!(target.hash(), source.hash());
    target.crash(0);
    assert!(target.pending_install.is_none(), "an install is durable when it returns");
    assert_eq!(target.hash(), source.hash());
}

#[test]
fn an_install_that_breaks_anywhere_is_resumed_from_its_spool() {
    let mut source = filled(&["a", "b", "c", "d", "e", "f"]);
    let (chunks, meta) = (source.snapshot(), meta(&source));
    let mut resumed = 0;
    for writes in 0.. {
        let mut target = filled(&["a", "old", "older", "oldest", "z"]);
        target.fail_write(writes);
        let result = target.replica.install(&meta, SPOOL, &mut chunks.clone().into_iter().map(Ok));
        if result.is_ok() {
            break;
        }
        target.crash(usize::MAX);
        if let Some(pending) = target.pending_install.take() {
            assert_eq!((pending.spool, &pending.meta), (SPOOL, &meta));
            resumed += 1;
            target.replica.install(&meta, SPOOL, &mut chunks.clone().into_iter().map(Ok)).unwrap();
            assert_eq!(target.hash(), source.hash());
        } else {
            // Nothing was destroyed before the marker was there.
            assert_eq!(target.data().len(), 5);
        }
    }
    assert!(resumed > 2, "only {resumed} crashes fell into an install");
}

#[test]
fn a_damaged_or_cut_snapshot_is_refused() {
    let mut source = filled(&["a", "b", "c", "d", "e", "f"]);
    let (chunks, meta) = (source.snapshot(), meta(&source));
    for damaged in 0..chunks.len() {
        let mut flipped = chunks.clone();
        let mut bytes = flipped[damaged].to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        flipped[damaged] = bytes.into();
        let mut cut = chunks.clone();
        cut.truncate(damaged);
        let mut missing = chunks.clone();
        missing.remove(damaged);
        for chunks in [flipped, cut, missing] {
            let mut target = filled(&["a", "old"]);
            let result = target.replica.install(&meta, SPOOL, &mut chunks.into_iter().map(Ok));
            assert!(matches!(result, Err(Error::Snapshot(_))), "chunk {damaged}: {result:?}");
        }
    }
}

/// Every chunk is whole and in its place, and yet it is nobody's state.
#[test]
fn a_snapshot_whose_hash_does_not_agree_is_refused_before_anything_is_destroyed() {
    let mut source = filled(&["a", "b", "c", "d", "e", "f"]);
    let mut other = filled(&["a", "b", "c", "d", "e", "g"]);
    let (mut chunks, meta) = (source.snapshot(), meta(&source));
    let ends = (chunks.pop().expect("an end"), other.snapshot().pop().expect("an end"));
    assert_ne!(ends.0, ends.1);
    chunks.push(ends.1);

    let mut target = filled(&["a", "old"]);
    let checked = target.replica.check_snapshot(&meta, &mut chunks.clone().into_iter().map(Ok));
    assert!(matches!(checked, Err(Error::Snapshot(_))), "{checked:?}");
    target.crash(usize::MAX);
    assert!(target.pending_install.is_none());
    assert_eq!(target.data().len(), 2);

    chunks.pop();
    chunks.push(ends.0);
    target.replica.check_snapshot(&meta, &mut chunks.into_iter().map(Ok)).unwrap();
}

#[test]
fn a_destroyed_replica_leaves_nothing_behind_not_even_after_a_crash() {
    let mut node = filled(&["a", "b", "c", "d", "e"]);
    let before = node.rows(Family::Meta).len();
    node.replica.destroy().unwrap();
    assert_eq!(node.unsynced_count(), 0, "it is durable when it returns");
    assert_eq!(node.data(), []);
    let left = node.rows(Family::Meta);
    assert_eq!(left.len(), 1, "only the identity of the store stays of {before}: {left:?}");
}
