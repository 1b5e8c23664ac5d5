//! Arbitrary values of every encoded type. Numbers lean to the edges of their encodings.

use bytes::Bytes;
use kontiki_types::{
    AppendOutcome, Body, Entry, EntryKind, HardState, Index, Membership, Message, Peer, PeerId,
    PeerRole, Position, RegionId, SnapshotMeta, StoreId, Term,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

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
        (number(), snapshot()).prop_map(|(session, meta)| Body::Snapshot { session, meta }),
        number().prop_map(|id| Body::ReadIndex { id }),
        (number(), option::of(number()))
            .prop_map(|(id, index)| Body::ReadIndexReply { id, index: index.map(Index) }),
        Just(Body::TimeoutNow),
        Just(Body::TimeoutNowRefused),
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
