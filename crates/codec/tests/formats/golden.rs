//! Frozen bytes: the formats as they stand on disks and travel between versions, one line each in
//! `golden.txt`. When this fails, a format changed: that needs a new version byte, not a new line.

use std::fmt::Write as _;

use bytes::Bytes;
use kontiki_codec::admin::{self, Member, Reply, Request};
use kontiki_codec::apply_state::{self, ApplyState, Partial};
use kontiki_codec::heir;
use kontiki_codec::hello;
use kontiki_codec::install_marker::{self, InstallMarker};
use kontiki_codec::keys::{Keyspace, MetaKey, RegionRow, raw_key};
use kontiki_codec::outcome_record::{self, Item, Record, Touch};
use kontiki_codec::region_snapshot::{self, Part, Totals};
use kontiki_codec::session::{self, Session};
use kontiki_codec::snapshot_manifest::{self, FileEntry, Manifest};
use kontiki_codec::store_ident::{self, StoreIdent};
use kontiki_codec::value::{self, Value};
use kontiki_codec::{
    command, entry, frame, hard_state, membership, outcome, payloads, region, snapshot,
};
use kontiki_types::{
    Body, ClientId, ClusterId, Command, Entry, EntryKind, Epoch, HardState, Header, Index,
    KeyRange, Membership, Message, Outcome, Peer, PeerId, PeerRole, Position, Refusal, Region,
    RegionId, RegionTime, RequestId, SnapshotMeta, StoreId, Term, WriteBatch,
};

use crate::generate;

const TIME: RegionTime = RegionTime { now_ms: 1000, seen_ms: 990, lived_ms: 300 };

/// Every vector: its name and its bytes.
fn vectors() -> Vec<(&'static str, Vec<u8>)> {
    let mut vectors = Vec::new();
    group_vectors(&mut |name, bytes| vectors.push((name, bytes)));
    client_vectors(&mut |name, bytes| vectors.push((name, bytes)));
    row_vectors(&mut |name, bytes| vectors.push((name, bytes)));
    chunk_vectors(&mut |name, bytes| vectors.push((name, bytes)));
    library_vectors(&mut |name, bytes| vectors.push((name, bytes)));
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

fn key(text: &str) -> Bytes {
    raw_key(Keyspace::DEFAULT, text.as_bytes())
}

fn descriptor() -> Region {
    Region {
        id: RegionId(7),
        range: KeyRange::new(key("a"), Some(key("m"))),
        epoch: Epoch { conf_ver: 1, version: 300 },
        peers: peers(),
    }
}

fn commands() -> Vec<Command> {
    let value = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    vec![
        Command::Put { key: key("k"), value: value("v") },
        Command::Delete { key: key("k") },
        Command::Batch { changes: vec![(key("a"), Some(value("1"))), (key("b"), None)] },
        Command::DeleteRange { range: KeyRange::new(key("a"), Some(key("b"))) },
        Command::PutIfAbsent { key: key("k"), value: value("") },
        Command::CompareAndPut { key: key("k"), expect: None, update: Some(value("v")) },
        Command::HashState,
    ]
}

fn outcomes() -> Vec<Outcome> {
    let refusals = [
        Refusal::EpochNotMatch(vec![descriptor()]),
        Refusal::KeyNotInRegion,
        Refusal::SessionUnknown,
        Refusal::RequestForgotten,
        Refusal::SessionFull,
        Refusal::Invalid,
    ];
    let previous = Some(Bytes::from_static(b"old"));
    [
        Outcome::Done,
        Outcome::Removed(300),
        Outcome::Conditional { applied: true, previous: None },
        Outcome::Conditional { applied: false, previous },
    ]
    .into_iter()
    .chain(refusals.map(Outcome::Refused))
    .collect()
}

/// What a region is told and answers.
fn client_vectors(add: Add<'_>) {
    let header = Header {
        client: ClientId(0x0102_0304_0506_0708),
        lowest: RequestId(10),
        open: true,
        epoch: Epoch { conf_ver: 1, version: 2 },
        wall_ms: 1_700_000_000_000,
    };
    let commands = (11..).map(RequestId).zip(commands()).collect();
    add("command, every kind", command::to_bytes(&WriteBatch { header, commands }).to_vec());
    add("outcome, every kind", outcome::to_bytes(&outcomes()).to_vec());
}

/// Rows and their keys.
fn row_vectors(add: Add<'_>) {
    add("key, raw", raw_key(Keyspace::new(0x0a_0b_0c).expect("24 bits"), b"user").to_vec());
    add("key, store ident", MetaKey::StoreIdent.to_bytes().to_vec());
    let mut row = |name, row| add(name, MetaKey::Region(RegionId(258), row).to_bytes().to_vec());
    row("key, apply state", RegionRow::ApplyState);
    row("key, descriptor", RegionRow::Descriptor);
    row("key, install marker", RegionRow::InstallMarker);
    row("key, heir", RegionRow::Heir);
    row("key, outcome record", RegionRow::OutcomeRecord(Index(259)));
    row("key, session", RegionRow::Session(ClientId(260)));
    add("value, plain", value::plain(b"v").to_vec());
    let expiring = Value { expires_ms: Some(1), data: Bytes::from_static(b"v") };
    add("value, expiring", value::to_bytes(&expiring).to_vec());
    add("descriptor", region::to_bytes(&descriptor()).to_vec());
    let mut state = ApplyState { position: at(2, 300), time: TIME, partial: None };
    add("apply state", apply_state::to_bytes(&state).to_vec());
    state.partial = Some(Partial { payload: 1, command: 2, removed: 300 });
    add("apply state, partial", apply_state::to_bytes(&state).to_vec());
    add("session", session::to_bytes(&a_session()).to_vec());
    let touch = Touch { client: ClientId(5), lowest: RequestId(9), open: false, wall_ms: 1001 };
    let items = vec![
        Item::Touch(touch),
        Item::Outcome(RequestId(9), Outcome::Done),
        Item::Outcome(RequestId(10), Outcome::Removed(2)),
    ];
    let record = outcome_record::to_bytes(&Record { time: TIME, items });
    add("outcome record", record.to_vec());
    let ident = StoreIdent { cluster: ClusterId(1), store: StoreId(2) };
    add("store ident", store_ident::to_bytes(ident).to_vec());
    add("hello", hello::to_bytes(&generate::a_hello(1, 2)).to_vec());
    let meta = SnapshotMeta { position: at(2, 9), membership: Membership::of_voters(1) };
    add("heir", heir::to_bytes(PeerId(300)).to_vec());
    add("install marker", install_marker::to_bytes(&InstallMarker { spool: 300, meta }).to_vec());
}

fn a_session() -> Session {
    let outcomes = vec![(RequestId(9), Outcome::Done), (RequestId(12), Outcome::Removed(1))];
    Session { lowest: RequestId(8), used_ms: 1000, outcomes }
}

/// Snapshots on their way.
fn chunk_vectors(add: Add<'_>) {
    let rows = vec![(key("a"), value::plain(b"1")), (key("b"), value::plain(b"2"))];
    let parts = [
        ("chunk, head", Part::Head { region: descriptor(), time: TIME }),
        ("chunk, rows", Part::Rows(rows)),
        ("chunk, sessions", Part::Sessions(vec![(ClientId(5), a_session())])),
        ("chunk, end", Part::End(Totals { rows: 2, sessions: 1, hash: 7 })),
    ];
    for (sequence, (name, part)) in (0..).zip(parts) {
        add(name, region_snapshot::encode(sequence, &part).to_vec());
    }
}

/// What the Raft library keeps beside its snapshots, and what its operators say.
fn library_vectors(add: Add<'_>) {
    let file = |name: &str, bytes, crc| FileEntry { name: name.to_owned(), bytes, crc };
    let manifest = Manifest {
        meta: SnapshotMeta { position: at(2, 300), membership: Membership::new(peers()) },
        files: vec![file("state.bin", 300, 7), file("empty", 0, 0)],
    };
    add("snapshot manifest", snapshot_manifest::to_bytes(&manifest).to_vec());
    add("admin, magic", admin::MAGIC.to_vec());
    for (name, request) in requests() {
        add(name, admin::request_to_bytes(&request).to_vec());
    }
    let refused = Reply::Refused { code: 1009, message: "busy".to_owned() };
    for (name, reply) in [
        ("admin reply, done", Reply::Done),
        ("admin reply, members", Reply::Members(vec![member(2, 300, "b:1", true)])),
        ("admin reply, groups", Reply::Groups(vec![RegionId(1), RegionId(300)])),
        ("admin reply, refused", refused),
    ] {
        add(name, admin::reply_to_bytes(&reply).to_vec());
    }
}

fn member(store: u64, peer: u64, address: &str, is_learner: bool) -> Member {
    Member { store: StoreId(store), peer: PeerId(peer), address: address.to_owned(), is_learner }
}

fn requests() -> Vec<(&'static str, Request)> {
    let group = RegionId(300);
    let members = vec![member(1, 1, "a:1", false), member(2, 300, "", true)];
    vec![
        ("admin, leader", Request::Leader(group)),
        ("admin, members", Request::Members(group)),
        ("admin, alive", Request::Alive(group)),
        ("admin, add", Request::Add(group, member(3, 4, "c:1", false))),
        ("admin, promote", Request::Promote(group, PeerId(300))),
        ("admin, remove", Request::Remove(group, PeerId(2))),
        ("admin, change peers", Request::ChangePeers(group, members.clone())),
        ("admin, reset learners", Request::ResetLearners(group, members.clone())),
        ("admin, reset peers", Request::ResetPeers(group, members.clone())),
        ("admin, transfer", Request::Transfer(group, Some(StoreId(2)))),
        ("admin, transfer to any", Request::Transfer(group, None)),
        ("admin, snapshot", Request::Snapshot(group)),
        ("admin, groups", Request::Groups),
        ("admin, learn", Request::Learn(members)),
    ]
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
