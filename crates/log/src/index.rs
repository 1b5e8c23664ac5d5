//! What the log remembers in memory: per group where its state stands, per segment what is live.
//!
//! Entries themselves are not kept; the Raft core holds them. The index answers two questions: may
//! this change follow what was logged before (a bug of the caller asserts here, before a byte is
//! written), and which segments hold something that is still needed.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use kontiki_types::{HardState, Position, RegionId, SnapshotMeta, slack};

use crate::change::Change;

/// Where the bytes of a section stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Number of the segment.
    pub(crate) segment: u64,
    /// Offset in it.
    pub(crate) offset: u64,
    /// Length.
    pub(crate) len: u32,
    /// Checksum.
    pub(crate) crc: u32,
}

/// How many live things each segment holds: runs of entries, hard states, starts of logs.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Live {
    counts: BTreeMap<u64, u64>,
    /// Bytes of the sections that hold entries.
    bytes: u64,
}

impl Live {
    /// Live things in this segment.
    pub(crate) fn of(&self, segment: u64) -> u64 {
        self.counts.get(&segment).copied().unwrap_or(0)
    }

    /// Bytes of all sections that hold entries which are needed.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn add_run(&mut self, place: Place) {
        self.add(place.segment);
        self.bytes += u64::from(place.len);
    }

    fn remove_run(&mut self, place: Place) {
        self.remove(place.segment);
        self.bytes -= u64::from(place.len);
    }

    fn add(&mut self, segment: u64) {
        *self.counts.entry(segment).or_default() += 1;
    }

    fn remove(&mut self, segment: u64) {
        let count = self.counts.get_mut(&segment).expect("what is removed was added");
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&segment);
        }
    }

    /// What stood `at` one segment stands in another now.
    pub(crate) fn shift(&mut self, at: &mut u64, to: u64) {
        self.remove(*at);
        self.add(to);
        *at = to;
    }
}

/// Consecutive entries that stand in one section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    /// First index still live.
    pub(crate) first: u64,
    /// Last index still live.
    pub(crate) last: u64,
    /// Where.
    pub(crate) place: Place,
}

/// The live entries of one group, in order of index.
#[derive(Clone, Default, Debug)]
pub(crate) struct Runs {
    runs: VecDeque<Run>,
}

impl Runs {
    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Run> + '_ {
        self.runs.iter()
    }

    /// Bytes of the sections that hold them.
    pub(crate) fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.place.len)).sum()
    }

    /// Entries `first..=last` were logged at `place` and replace what stood at `first` and after.
    pub(crate) fn append(&mut self, first: u64, last: u64, place: Place, live: &mut Live) {
        assert!(first <= last, "entries {first}..={last}");
        while let Some(back) = self.runs.back_mut() {
            if back.last < first {
                break;
            }
            if back.first < first {
                back.last = first - 1;
                break;
            }
            live.remove_run(back.place);
            self.runs.pop_back();
        }
        // A frame holds what many turns logged: one run, or whoever reads it back reads the whole
        // section once for each of them.
        match self.runs.back_mut() {
            Some(back) if back.place == place && back.last + 1 == first => back.last = last,
            _ => {
                live.add_run(place);
                self.runs.push_back(Run { first, last, place });
            }
        }
    }

    /// Entries up to `index` are not needed any more.
    pub(crate) fn compact(&mut self, index: u64, live: &mut Live) {
        while let Some(front) = self.runs.front_mut() {
            if front.last > index {
                front.first = front.first.max(index + 1);
                break;
            }
            live.remove_run(front.place);
            self.runs.pop_front();
        }
        slack::trim(&mut self.runs);
    }

    /// No entry is needed any more.
    pub(crate) fn clear(&mut self, live: &mut Live) {
        for run in self.runs.drain(..) {
            live.remove_run(run.place);
        }
    }
}

/// Where a group stands, as far as the next change must know it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Cursor {
    /// Term and vote never go back.
    pub(crate) hard_state: HardState,
    /// The position before the first entry.
    pub(crate) base: Position,
    /// The last entry, or `base`.
    pub(crate) last: Position,
    /// Only `Forget` may follow.
    pub(crate) quarantined: bool,
}

impl Cursor {
    /// The cursor after this change.
    ///
    /// # Panics
    /// When the change cannot follow: a bug of the caller, found before it reaches the disk.
    pub(crate) fn step(&mut self, group: RegionId, change: &Change<'_>) {
        match change {
            Change::Append(entries) => self.append(group, entries),
            Change::HardState(state) => {
                let old = self.hard_state;
                assert!(state.term >= old.term, "{group}: {state:?} after {old:?}");
                let same_vote = old.vote.is_none() || state.vote == old.vote;
                assert!(state.term > old.term || same_vote, "{group}: {state:?} after {old:?}");
                self.hard_state = *state;
            }
            Change::Snapshot { meta, keep_tail: false } => {
                let (old, new) = (self.base, meta.position);
                assert!(new.index >= old.index, "{group}: snapshot at {new} before start {old}");
                self.base = new;
                self.last = new;
            }
            Change::Snapshot { meta, keep_tail: true } | Change::Compact(meta) => {
                let (base, last, to) = (self.base, self.last, meta.position);
                assert!(to.index >= base.index, "{group}: compaction to {to} before start {base}");
                assert!(to.index <= last.index, "{group}: compaction to {to} beyond end {last}");
                self.base = to;
            }
            Change::Forget => *self = Self::default(),
            Change::Restate { hard_state, meta, entries } => {
                let end = entries.last().map_or(meta.position, |entry| entry.position);
                *self = Self {
                    hard_state: *hard_state,
                    base: meta.position,
                    last: end,
                    quarantined: false,
                };
            }
            Change::Quarantine(_) => self.quarantined = true,
        }
    }

    fn append(&mut self, group: RegionId, entries: &[kontiki_types::Entry]) {
        let first = entries.first().expect("an append has entries").position;
        let (base, last) = (self.base, self.last);
        assert!(first.index > base.index, "{group}: append at {first}, log starts after {base}");
        assert!(first.index <= last.index.next(), "{group}: append at {first}, log ends at {last}");
        let follows = first.index == last.index.next();
        assert!(!follows || first.term >= last.term, "{group}: append at {first} after {last}");
        let mut before = first;
        for entry in entries.iter().skip(1) {
            let next = entry.position;
            assert!(next.index == before.index.next(), "{group}: entry {next} after {before}");
            assert!(next.term >= before.term, "{group}: entry {next} after {before}");
            before = next;
        }
        self.last = before;
    }
}

/// One group.
#[derive(Clone, Debug)]
pub(crate) struct GroupIndex {
    /// Where it stands.
    pub(crate) cursor: Cursor,
    /// The start of its log, as last logged.
    pub(crate) meta: SnapshotMeta,
    /// Why it is quarantined.
    pub(crate) quarantined: Option<String>,
    /// The frame with its newest section.
    pub(crate) last_frame: u64,
    /// Segment of the newest hard state, or of the group's beginning.
    pub(crate) hard_at: u64,
    /// Segment of the newest start, or of the group's beginning.
    pub(crate) meta_at: u64,
    /// Its entries.
    pub(crate) runs: Runs,
}

impl GroupIndex {
    /// True when this segment holds something of the group that is needed.
    pub(crate) fn touches(&self, segment: u64) -> bool {
        self.hard_at == segment || self.meta_at == segment || self.has_entries_in(segment)
    }

    /// True when this segment holds entries that are needed.
    pub(crate) fn has_entries_in(&self, segment: u64) -> bool {
        // What is logged later stands in a later segment.
        self.runs.runs.binary_search_by_key(&segment, |run| run.place.segment).is_ok()
    }

    /// What this segment holds of the group besides entries, to be said again elsewhere.
    pub(crate) fn repeated(&self, segment: u64) -> Vec<Change<'static>> {
        if let Some(why) = &self.quarantined {
            return vec![Change::Quarantine(why.clone().into())];
        }
        let hard_state = Change::HardState(self.cursor.hard_state);
        let start = Change::Compact(Cow::Owned(self.meta.clone()));
        let at = [(self.hard_at, hard_state), (self.meta_at, start)];
        at.into_iter().filter(|(at, _)| *at == segment).map(|(_, change)| change).collect()
    }
}

/// All groups.
#[derive(Clone, Default, Debug)]
pub(crate) struct Index {
    groups: BTreeMap<RegionId, GroupIndex>,
    live: Live,
}

impl Index {
    /// The index of recovered groups, whose places are counted already.
    pub(crate) fn new(groups: BTreeMap<RegionId, GroupIndex>, live: Live) -> Self {
        let index = Self { groups, live };
        index.assert_counts();
        index
    }

    /// One group.
    pub(crate) fn group(&self, group: RegionId) -> Option<&GroupIndex> {
        self.groups.get(&group)
    }

    /// All groups in order.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (RegionId, &GroupIndex)> + '_ {
        self.groups.iter().map(|(&id, group)| (id, group))
    }

    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Live things in this segment.
    pub(crate) fn live(&self, segment: u64) -> u64 {
        self.live.of(segment)
    }

    /// Bytes of all sections that hold entries which are needed.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live.bytes()
    }

    /// Where a group stands; a group not known stands at its beginning.
    pub(crate) fn cursor(&self, group: RegionId) -> Cursor {
        self.group(group).map_or_else(Cursor::default, |known| known.cursor)
    }

    /// The frame with the group's newest section; 0 when it has none.
    pub(crate) fn last_frame(&self, group: RegionId) -> u64 {
        self.group(group).map_or(0, |known| known.last_frame)
    }

    /// A change was logged in frame `seq` at `place`. True when it took the place of entries.
    pub(crate) fn apply(
        &mut self,
        group: RegionId,
        change: &Change<'_>,
        seq: u64,
        place: Place,
    ) -> bool {
        if matches!(change, Change::Forget) {
            self.forget(group);
            return false;
        }
        let live = &mut self.live;
        let known = self.groups.entry(group).or_insert_with(|| born(place.segment, live));
        assert!(known.last_frame <= seq, "{group}: frame {seq} after {}", known.last_frame);
        let cuts = match change {
            Change::Append(entries) => {
                entries.first().is_some_and(|e| e.position.index <= known.cursor.last.index)
            }
            _ => false,
        };
        known.cursor.step(group, change);
        known.last_frame = seq;
        known.place(change, place, live);
        cuts
    }

    fn forget(&mut self, group: RegionId) {
        let Some(mut known) = self.groups.remove(&group) else { return };
        known.runs.clear(&mut self.live);
        self.live.remove(known.hard_at);
        self.live.remove(known.meta_at);
    }

    /// The counts equal what the groups say; costs a walk over everything.
    pub(crate) fn assert_counts(&self) {
        let mut counted = Live::default();
        for group in self.groups.values() {
            counted.add(group.hard_at);
            counted.add(group.meta_at);
            group.runs.iter().for_each(|run| counted.add_run(run.place));
        }
        assert!(counted == self.live, "{counted:?} counted, {:?} kept", self.live);
    }
}

impl GroupIndex {
    fn place(&mut self, change: &Change<'_>, place: Place, live: &mut Live) {
        let segment = place.segment;
        match change {
            Change::Append(entries) => self.append(entries, place, live),
            Change::HardState(_) => live.shift(&mut self.hard_at, segment),
            Change::Snapshot { meta, keep_tail: false } => {
                self.runs.clear(live);
                self.start(meta, segment, live);
            }
            Change::Snapshot { meta, keep_tail: true } | Change::Compact(meta) => {
                self.runs.compact(meta.position.index.0, live);
                self.start(meta, segment, live);
            }
            Change::Restate { meta, entries, .. } => {
                self.runs.clear(live);
                live.shift(&mut self.hard_at, segment);
                self.start(meta, segment, live);
                self.append(entries, place, live);
            }
            Change::Quarantine(why) => {
                self.runs.clear(live);
                live.shift(&mut self.hard_at, segment);
                live.shift(&mut self.meta_at, segment);
                self.quarantined = Some(why.clone().into_owned());
            }
            Change::Forget => unreachable!("a forgotten group has no place"),
        }
    }

    fn start(&mut self, meta: &SnapshotMeta, segment: u64, live: &mut Live) {
        live.shift(&mut self.meta_at, segment);
        self.meta.clone_from(meta);
    }

    fn append(&mut self, entries: &[kontiki_types::Entry], place: Place, live: &mut Live) {
        if let [first, .., last] | [first @ last] = entries {
            self.runs.append(first.position.index.0, last.position.index.0, place, live);
        }
    }
}

/// A group that begins in this segment. Its beginning counts as its hard state and its start until
/// they are logged, so that the segment stays as long as recovery needs to see the beginning.
pub(crate) fn born(segment: u64, live: &mut Live) -> GroupIndex {
    live.add(segment);
    live.add(segment);
    GroupIndex {
        cursor: Cursor::default(),
        meta: SnapshotMeta::default(),
        quarantined: None,
        last_frame: 0,
        hard_at: segment,
        meta_at: segment,
        runs: Runs::default(),
    }
}
