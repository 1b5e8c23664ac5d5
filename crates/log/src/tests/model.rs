//! What the log must hold: the same records applied to maps and vectors.
//!
//! Also the generator of random records that may legally follow.

use std::collections::BTreeMap;

use bytes::Bytes;
use kontiki_types::{
    Entry, EntryKind, HardState, Index, Membership, PeerId, Position, RegionId, SnapshotMeta, Term,
};

use crate::{Group, Record, Recovered};

/// A small seeded generator (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Draw(pub(super) u64);

impl Draw {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// One group.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct ModelGroup {
    pub(super) hard_state: HardState,
    pub(super) meta: SnapshotMeta,
    pub(super) entries: Vec<Entry>,
}

impl ModelGroup {
    fn last(&self) -> Position {
        self.entries.last().map_or(self.meta.position, |entry| entry.position)
    }

    fn compact(&mut self, meta: &SnapshotMeta) {
        self.entries.retain(|entry| entry.position.index > meta.position.index);
        self.meta = meta.clone();
    }
}

/// All groups.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Model {
    pub(super) groups: BTreeMap<RegionId, ModelGroup>,
}

impl Model {
    pub(super) fn apply(&mut self, record: &Record) {
        if let Record::Forget { group } = record {
            self.groups.remove(group);
            return;
        }
        let group = self.groups.entry(record.group()).or_default();
        match record {
            Record::Append { entries, .. } => {
                group.entries.retain(|old| old.position.index < entries[0].position.index);
                group.entries.extend(entries.iter().cloned());
            }
            Record::HardState { state, .. } => group.hard_state = *state,
            Record::Snapshot { meta, keep_tail: false, .. } => {
                group.entries.clear();
                group.meta = meta.clone();
            }
            Record::Snapshot { meta, keep_tail: true, .. } | Record::Compact { to: meta, .. } => {
                group.compact(meta);
            }
            Record::Forget { .. } => unreachable!("handled above"),
        }
    }

    /// The state that was recovered, when every group is whole.
    pub(super) fn of(recovered: &Recovered) -> Option<Self> {
        let mut groups = BTreeMap::new();
        for (&id, group) in &recovered.groups {
            let Group::Whole { hard_state, snapshot, entries } = group else { return None };
            let group = ModelGroup {
                hard_state: *hard_state,
                meta: snapshot.clone(),
                entries: entries.clone(),
            };
            groups.insert(id, group);
        }
        Some(Self { groups })
    }

    /// A random record that may follow.
    pub(super) fn draw_record(&self, draw: &mut Draw, shape: &Shape) -> Record {
        let group = RegionId(1 + draw.below(shape.groups));
        let Some(known) = self.groups.get(&group) else {
            let meta = SnapshotMeta {
                position: Position::ZERO,
                membership: Membership::of_voters(1 + draw.below(3)),
            };
            return match draw.below(3) {
                0 => draw_append(group, &ModelGroup::default(), draw, shape),
                1 => Record::HardState { group, state: draw_hard(HardState::default(), draw) },
                _ => Record::Snapshot { group, meta, keep_tail: false },
            };
        };
        let held = known.entries.len() as u64;
        match draw.below(20) {
            0 if shape.forgets => Record::Forget { group },
            1 => {
                let last = known.last();
                let position = Position::new(last.term, last.index + draw.below(4));
                let meta = SnapshotMeta { position, membership: Membership::of_voters(3) };
                Record::Snapshot { group, meta, keep_tail: false }
            }
            2 if held > 0 => {
                Record::Snapshot { group, meta: draw_meta(known, draw), keep_tail: true }
            }
            3..6 => Record::HardState { group, state: draw_hard(known.hard_state, draw) },
            6..10 if held > 0 => Record::Compact { group, to: draw_meta(known, draw) },
            _ => draw_append(group, known, draw, shape),
        }
    }
}

/// What records look like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) groups: u64,
    pub(super) data_bytes: u64,
    pub(super) forgets: bool,
}

fn draw_meta(known: &ModelGroup, draw: &mut Draw) -> SnapshotMeta {
    let at = draw.below(known.entries.len() as u64);
    // Mostly all of it, so that segments become free.
    let at = if draw.one_in(3) { at } else { known.entries.len() as u64 - 1 };
    let position = known.entries[usize::try_from(at).unwrap()].position;
    SnapshotMeta { position, membership: Membership::of_voters(1 + draw.below(5)) }
}

fn draw_hard(old: HardState, draw: &mut Draw) -> HardState {
    if draw.one_in(2) {
        return HardState { commit: old.commit + draw.below(3), ..old };
    }
    let vote = draw.one_in(2).then(|| PeerId(1 + draw.below(3)));
    HardState { term: old.term.next(), vote, commit: old.commit }
}

fn draw_append(group: RegionId, known: &ModelGroup, draw: &mut Draw, shape: &Shape) -> Record {
    let last = known.last();
    let mut position = Position::new(Term(last.term.0.max(1)), last.index.next());
    if !known.entries.is_empty() && draw.one_in(4) {
        // A new leader replaces the end.
        let at = usize::try_from(draw.below(known.entries.len() as u64)).unwrap();
        position = Position::new(last.term.next(), known.entries[at].position.index);
    }
    let count = 1 + draw.below(4);
    let entries = (0..count)
        .map(|n| {
            let len = usize::try_from(draw.below(shape.data_bytes)).unwrap();
            let byte = draw.next().to_le_bytes()[0];
            let kind = if len == 0 { EntryKind::Empty } else { EntryKind::Normal };
            let position = Position { index: position.index + n, ..position };
            Entry { position, kind, data: Bytes::from(vec![byte; len]) }
        })
        .collect();
    Record::Append { group, entries }
}

/// A record of one entry; for tests that tell a story.
pub(super) fn append(group: u64, term: u64, index: u64, data: &[u8]) -> Record {
    let entry = Entry {
        position: Position::new(Term(term), Index(index)),
        kind: EntryKind::Normal,
        data: Bytes::copy_from_slice(data),
    };
    Record::Append { group: RegionId(group), entries: vec![entry] }
}

/// A record of a hard state.
pub(super) fn hard(group: u64, term: u64) -> Record {
    let state = HardState { term: Term(term), vote: Some(PeerId(1)), commit: Index(0) };
    Record::HardState { group: RegionId(group), state }
}

/// A record of a compaction.
pub(super) fn compact(group: u64, term: u64, index: u64) -> Record {
    let position = Position::new(Term(term), Index(index));
    let to = SnapshotMeta { position, membership: Membership::of_voters(3) };
    Record::Compact { group: RegionId(group), to }
}
