//! Frozen bytes: the formats as they stand on disks and travel between versions, one line each in
//! `golden.txt`. When this fails, a format changed: that needs a new version byte, not a new line.

use std::fmt::Write as _;

use bytes::Bytes;
use kontiki_codec::{entry, frame, hard_state, membership, payloads, snapshot};
use kontiki_types::{
    Body, Entry, EntryKind, HardState, Index, Membership, Message, Peer, PeerId, PeerRole,
    Position, RegionId, SnapshotMeta, StoreId, Term,
};

/// Every vector: its name and its bytes.
fn vectors() -> Vec<(&'static str, Vec<u8>)> {
    let mut vectors = Vec::new();
    group_vectors(&mut |name, bytes| vectors.push((name, bytes)));
    vectors
}

type Add<'a> = &'a mut dyn FnMut(&'static str, Vec<u8>);

fn part<T: ?Sized>(value: &T, encode: impl FnOnce(&mut Vec<u8>, &T)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out, value);
    out
}

fn at(term: u64, index: u64) -> Position {
    Position::new(Term(term), Index(index))
}

fn peers() -> Vec<Peer> {
    let peer = |id, store, role| Peer { id: PeerId(id), store: StoreId(store), role };
    vec![
        peer(1, 1, PeerRole::Voter),
        peer(2, 2, PeerRole::Demoting),
        peer(300, 3, PeerRole::Learner),
    ]
}

fn normal(position: Position, data: &'static [u8]) -> Entry {
    Entry { position, kind: EntryKind::Normal, data: Bytes::from_static(data) }
}

/// What a Raft group keeps and says.
fn group_vectors(add: Add<'_>) {
    let empty = Entry { position: at(1, 1), kind: EntryKind::Empty, data: Bytes::new() };
    add("entry, empty", part(&empty, entry::encode));
    add("entry, normal", part(&normal(at(3, 300), b"hi"), entry::encode));
    let mut state = HardState { term: Term(200), vote: Some(PeerId(3)), commit: Index(128) };
    add("hard state, voted", part(&state, hard_state::encode));
    state.vote = None;
    add("hard state, not voted", part(&state, hard_state::encode));
    let membership = Membership::new(peers());
    add("membership", membership::to_bytes(&membership).to_vec());
    add("snapshot meta", part(&SnapshotMeta { position: at(2, 9), membership }, snapshot::encode));
    let mut builder = payloads::Builder::default();
    builder.push(b"one");
    builder.push(b"");
    add("payloads, two", builder.finish().to_vec());
    let append = Body::Append {
        session: 4,
        prev: at(2, 5),
        entries: vec![normal(at(3, 6), b"x"), normal(at(3, 7), b"y")],
        commit: Index(5),
        round: 8,
    };
    let [append, now] = [append, Body::TimeoutNow].map(|body| Message {
        from: PeerId(1),
        to: PeerId(2),
        term: Term(3),
        body,
    });
    let frame = frame::encode([(RegionId(9), &append), (RegionId(300), &now)]);
    add("frame of two messages", frame.to_vec());
}

#[test]
fn formats_have_not_changed() {
    let mut found = String::new();
    for (name, bytes) in vectors() {
        let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(found, "{name}: {}", hex.join(" ")).expect("strings take everything");
    }
    let frozen = include_str!("golden.txt");
    for (found, frozen) in found.lines().zip(frozen.lines()) {
        assert_eq!(found, frozen);
    }
    assert_eq!(found, frozen, "vectors were added or removed:\n{found}");
}
