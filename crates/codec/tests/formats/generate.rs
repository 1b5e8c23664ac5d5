//! Arbitrary values of every encoded type. Numbers lean to the edges of their encodings.

use bytes::Bytes;
use kontiki_codec::apply_state::{ApplyState, Partial};
use kontiki_codec::hello::{Hello, Purpose};
use kontiki_codec::keys::{MetaKey, RegionRow};
use kontiki_codec::outcome_record::{Item, Record, Touch};
use kontiki_codec::region_snapshot::{Part, Totals};
use kontiki_codec::session::Session;
use kontiki_types::{
    AppendOutcome, Body, ClientId, ClusterId, Command, Entry, EntryKind, Epoch, HardState, Header,
    Index, KeyRange, Membership, Message, Outcome, Peer, PeerId, PeerRole, Position, ReadMode,
    Refusal, Region, RegionId, RegionTime, RequestId, SnapshotMeta, StoreId, Term, WriteBatch,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

pub(crate) fn a_hello(cluster: u64, store: u64) -> Hello {
    Hello {
        cluster: ClusterId(cluster),
        from: StoreId(store),
        to: StoreId(cluster),
        incarnation: store,
        purpose: Purpose::Append,
        address: format!("store-{store}.example:7100"),
    }
}

pub(crate) fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..300_u64,
        any::<u64>(),
        (0..64_u32).prop_map(|bit| 1 << bit),
        (0..64_u32).prop_map(|bit| (1 << bit) - 1),
        Just(u64::MAX),
    ]
}

pub(crate) fn data(len_max: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..=len_max).prop_map(Bytes::from)
}

pub(crate) fn position() -> impl Strategy<Value = Position> {
    (number(), number()).prop_map(|(term, index)| Position::new(Term(term), Index(index)))
}

pub(crate) fn entry_kind() -> impl Strategy<Value = EntryKind> {
    prop_oneof![Just(EntryKind::Empty), Just(EntryKind::Normal), Just(EntryKind::Config)]
}

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    (position(), entry_kind(), data(200)).prop_map(|(position, kind, data)| Entry {
        position,
        kind,
        data,
    })
}

pub(crate) fn peers() -> impl Strategy<Value = Vec<Peer>> {
    let role = prop_oneof![
        Just(PeerRole::Voter),
        Just(PeerRole::Learner),
        Just(PeerRole::Incoming),
        Just(PeerRole::Outgoing),
        Just(PeerRole::Demoting),
    ];
    btree_map(number(), (number(), role), 0..7).prop_map(|peers| {
        peers
            .into_iter()
            .map(|(id, (store, role))| Peer { id: PeerId(id), store: StoreId(store), role })
            .collect()
    })
}

pub(crate) fn membership() -> impl Strategy<Value = Membership> {
    peers().prop_map(Membership::new)
}

pub(crate) fn hard_state() -> impl Strategy<Value = HardState> {
    (number(), option::of(number()), number()).prop_map(|(term, vote, commit)| HardState {
        term: Term(term),
        vote: vote.map(PeerId),
        commit: Index(commit),
    })
}

pub(crate) fn snapshot() -> impl Strategy<Value = SnapshotMeta> {
    (position(), membership())
        .prop_map(|(position, membership)| SnapshotMeta { position, membership })
}

fn append() -> impl Strategy<Value = Body> {
    let entries = vec((number(), entry_kind(), data(100)), 0..5);
    // Indexes of the entries must not overflow.
    let prev = (number(), number().prop_map(|index| index.min(u64::MAX - 8)));
    (number(), prev, entries, number(), number()).prop_map(
        |(session, (term, index), entries, commit, round)| Body::Append {
            session,
            prev: Position::new(Term(term), Index(index)),
            entries: (1..)
                .zip(entries)
                .map(|(nth, (term, kind, data))| Entry {
                    position: Position::new(Term(term), Index(index + nth)),
                    kind,
                    data,
                })
                .collect(),
            commit: Index(commit),
            round,
        },
    )
}

fn append_outcome() -> impl Strategy<Value = AppendOutcome> {
    prop_oneof![
        number().prop_map(|matched| AppendOutcome::Accepted { matched: Index(matched) }),
        (number(), position())
            .prop_map(|(prev, hint)| AppendOutcome::Rejected { prev: Index(prev), hint }),
    ]
}

fn read_mode() -> impl Strategy<Value = ReadMode> {
    prop_oneof![Just(ReadMode::Index), Just(ReadMode::Lease)]
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        position().prop_map(|last| Body::PreVote { last }),
        any::<bool>().prop_map(|granted| Body::PreVoteReply { granted }),
        (position(), any::<bool>()).prop_map(|(last, transfer)| Body::Vote { last, transfer }),
        any::<bool>().prop_map(|granted| Body::VoteReply { granted }),
        append(),
        (number(), append_outcome(), number())
            .prop_map(|(session, outcome, round)| Body::AppendReply { session, outcome, round }),
        (number(), number(), number()).prop_map(|(session, commit, round)| Body::Heartbeat {
            session,
            commit: Index(commit),
            round
        }),
        (number(), number()).prop_map(|(session, round)| Body::HeartbeatReply { session, round }),
        (number(), position()).prop_map(|(session, commit)| Body::Sleep { session, commit }),
        (number(), snapshot()).prop_map(|(session, meta)| Body::Snapshot { session, meta }),
        (number(), read_mode()).prop_map(|(id, mode)| Body::ReadIndex { id, mode }),
        (number(), option::of(number()))
            .prop_map(|(id, index)| Body::ReadIndexReply { id, index: index.map(Index) }),
        Just(Body::TimeoutNow),
        Just(Body::TimeoutNowRefused),
        number().prop_map(|as_of| Body::Removed { as_of: Index(as_of) }),
        number().prop_map(|store| Body::Succeed { store: StoreId(store) }),
    ]
}

pub(crate) fn message() -> impl Strategy<Value = Message> {
    (number(), number(), number(), body()).prop_map(|(from, to, term, body)| Message {
        from: PeerId(from),
        to: PeerId(to),
        term: Term(term),
        body,
    })
}

pub(crate) fn messages() -> impl Strategy<Value = Vec<(RegionId, Message)>> {
    vec((number().prop_map(RegionId), message()), 0..6)
}

pub(crate) fn range() -> impl Strategy<Value = KeyRange> {
    (data(20), option::of(data(20))).prop_map(|(start, end)| KeyRange { start, end })
}

fn epoch() -> impl Strategy<Value = Epoch> {
    (number(), number()).prop_map(|(conf_ver, version)| Epoch { conf_ver, version })
}

pub(crate) fn region() -> impl Strategy<Value = Region> {
    (number(), range(), epoch(), peers()).prop_map(|(id, range, epoch, peers)| Region {
        id: RegionId(id),
        range,
        epoch,
        peers,
    })
}

fn command() -> impl Strategy<Value = Command> {
    let maybe = || option::of(data(40));
    prop_oneof![
        (data(20), data(300)).prop_map(|(key, value)| Command::Put { key, value }),
        data(20).prop_map(|key| Command::Delete { key }),
        vec((data(20), maybe()), 0..5).prop_map(|changes| Command::Batch { changes }),
        range().prop_map(|range| Command::DeleteRange { range }),
        (data(20), data(300)).prop_map(|(key, value)| Command::PutIfAbsent { key, value }),
        (data(20), maybe(), maybe()).prop_map(|(key, expect, update)| Command::CompareAndPut {
            key,
            expect,
            update
        }),
        Just(Command::HashState),
    ]
}

pub(crate) fn write_batch() -> impl Strategy<Value = WriteBatch> {
    let header = (number(), number(), any::<bool>(), epoch(), number());
    (header, vec((number(), command()), 0..8)).prop_map(
        |((client, lowest, open, epoch, wall_ms), commands)| WriteBatch {
            header: Header {
                client: ClientId(client),
                lowest: RequestId(lowest),
                open,
                epoch,
                wall_ms,
            },
            commands: commands.into_iter().map(|(id, c)| (RequestId(id), c)).collect(),
        },
    )
}

pub(crate) fn outcome() -> impl Strategy<Value = Outcome> {
    let refusal = prop_oneof![
        vec(region(), 0..3).prop_map(Refusal::EpochNotMatch),
        Just(Refusal::KeyNotInRegion),
        Just(Refusal::SessionUnknown),
        Just(Refusal::RequestForgotten),
        Just(Refusal::SessionFull),
        Just(Refusal::Invalid),
    ];
    prop_oneof![
        Just(Outcome::Done),
        number().prop_map(Outcome::Removed),
        (any::<bool>(), option::of(data(40)))
            .prop_map(|(applied, previous)| Outcome::Conditional { applied, previous }),
        refusal.prop_map(Outcome::Refused),
    ]
}

pub(crate) fn outcomes() -> impl Strategy<Value = Vec<Outcome>> {
    vec(outcome(), 0..6)
}

pub(crate) fn session() -> impl Strategy<Value = Session> {
    (number(), number(), btree_map(number(), outcome(), 0..6)).prop_map(
        |(lowest, used_ms, outcomes)| Session {
            lowest: RequestId(lowest),
            used_ms,
            outcomes: outcomes
                .into_iter()
                .filter(|(request, _)| *request >= lowest)
                .map(|(request, outcome)| (RequestId(request), outcome))
                .collect(),
        },
    )
}

pub(crate) fn touch() -> impl Strategy<Value = Touch> {
    (number(), number(), any::<bool>(), number()).prop_map(|(client, lowest, open, wall_ms)| {
        Touch { client: ClientId(client), lowest: RequestId(lowest), open, wall_ms }
    })
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    let item = prop_oneof![
        touch().prop_map(Item::Touch),
        (number(), outcome()).prop_map(|(id, outcome)| Item::Outcome(RequestId(id), outcome)),
    ];
    (region_time(), touch(), vec(item, 0..8)).prop_map(|(time, first, mut items)| {
        if !items.is_empty() {
            items.insert(0, Item::Touch(first));
        }
        Record { time, items }
    })
}

fn region_time() -> impl Strategy<Value = RegionTime> {
    let times = (number(), number(), number());
    times.prop_map(|(now_ms, seen_ms, lived_ms)| RegionTime { now_ms, seen_ms, lived_ms })
}

pub(crate) fn apply_state() -> impl Strategy<Value = ApplyState> {
    let partial = (number(), number(), number()).prop_map(|(payload, command, removed)| Partial {
        payload,
        command,
        removed,
    });
    (position(), region_time(), option::of(partial))
        .prop_map(|(position, time, partial)| ApplyState { position, time, partial })
}

pub(crate) fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        (region(), region_time()).prop_map(|(region, time)| Part::Head { region, time }),
        vec((data(20), data(60)), 0..6).prop_map(Part::Rows),
        vec((number().prop_map(ClientId), session()), 0..4).prop_map(Part::Sessions),
        (number(), number(), any::<u64>()).prop_map(|(rows, sessions, hash)| Part::End(Totals {
            rows,
            sessions,
            hash
        })),
    ]
}

pub(crate) fn meta_key() -> impl Strategy<Value = MetaKey> {
    let row = prop_oneof![
        Just(RegionRow::ApplyState),
        Just(RegionRow::Descriptor),
        Just(RegionRow::Heir),
        Just(RegionRow::InstallMarker),
        number().prop_map(|index| RegionRow::OutcomeRecord(Index(index))),
        number().prop_map(|client| RegionRow::Session(ClientId(client))),
    ];
    prop_oneof![
        Just(MetaKey::StoreIdent),
        (number(), row).prop_map(|(region, row)| MetaKey::Region(RegionId(region), row)),
    ]
}
