//! Records in, groups out: the second half of recovery.
//!
//! Frames come in order of sequence number, with the gaps between them announced. A group is whole
//! only when every one of its sections since its beginning (or since its last restatement) was
//! seen, which the chain of `previous` numbers tells; anything else quarantines that group and no
//! other. Nothing here panics on what it reads: bytes that pass a checksum may still be wrong.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use kontiki_types::{Entry, HardState, Position, RegionId, SnapshotMeta};

use crate::broken::{self, Broken};
use crate::change::{Change, decode_section};
use crate::frame::{Head, Salt, Section};
use crate::index::{Cursor, GroupIndex, Index, Live, Place, Runs};
use crate::scan::section_bytes;
use crate::{Damage, Group};

/// Why a group cannot be used.
type Why = String;

/// One group on its way.
#[derive(Debug)]
struct Pending {
    last_frame: u64,
    hard_state: Option<(HardState, u64)>,
    meta: Option<(SnapshotMeta, u64)>,
    entries: VecDeque<Entry>,
    runs: Runs,
    /// Every change since the group's beginning was seen, so each must fit exactly. Otherwise the
    /// log begins in the middle of its history, and only the outcome must fit.
    exact: bool,
    broken: Option<Why>,
    /// The reason is in the log already.
    marked: bool,
}

/// All groups on their way.
#[derive(Debug)]
pub(crate) struct Replay {
    start: u64,
    groups: BTreeMap<RegionId, Pending>,
    live: Live,
    /// First frame of the last gap.
    last_gap: Option<u64>,
    damage: Vec<Damage>,
}

/// What came out.
pub(crate) struct Replayed {
    /// For the host.
    pub(crate) groups: BTreeMap<RegionId, Group>,
    /// For the log.
    pub(crate) index: Index,
    /// For both.
    pub(crate) damage: Vec<Damage>,
    /// Groups whose quarantine is news and must be logged.
    pub(crate) fresh: Vec<(RegionId, Why)>,
}

impl Replay {
    /// A replay whose first frame is `start`.
    pub(crate) fn new(start: u64) -> Self {
        Self {
            start,
            groups: BTreeMap::new(),
            live: Live::default(),
            last_gap: None,
            damage: Vec::new(),
        }
    }

    /// Frames that were durable are missing here.
    pub(crate) fn gap(&mut self, first: u64, last: u64) {
        assert!(first <= last, "gap {first}..={last}");
        self.last_gap = Some(first);
        self.damage.push(Damage::Unreadable { first, last });
    }

    /// The next frame, which begins at `offset` of a segment that was read into `bytes`.
    pub(crate) fn frame(&mut self, salt: Salt, bytes: &[u8], offset: u64, head: &Head) {
        for (at, section) in head.placed(offset) {
            let place =
                Place { segment: salt.number, offset: at, len: section.len, crc: section.crc };
            let changes = section_bytes(bytes, at, section.len)
                .filter(|bytes| salt.crc(at, bytes) == section.crc)
                // Copied, so that entries keep their section in memory and not the whole segment.
                .and_then(|bytes| decode_section(Bytes::copy_from_slice(bytes)).ok());
            match changes {
                Some(changes) => self.section(head.marks.seq, section, place, changes),
                None => self.bad_section(head.marks.seq, section, place.segment),
            }
        }
    }

    /// A section that does not pass its checksum, or says what no release of this log writes.
    fn bad_section(&mut self, seq: u64, section: Section, segment: u64) {
        let group = section.group;
        self.damage.push(Damage::Section { group, frame: seq });
        let mut pending = self.enter(seq, section, segment);
        pending.break_for(format!("its part of frame {seq} is damaged"), &mut self.live);
        pending.last_frame = seq;
        self.groups.insert(group, pending);
    }

    fn section(&mut self, seq: u64, section: Section, place: Place, changes: Vec<Change<'static>>) {
        let mut slot = Some(self.enter(seq, section, place.segment));
        for change in changes {
            if matches!(change, Change::Forget) {
                if let Some(mut gone) = slot.take() {
                    gone.release(&mut self.live);
                }
                continue;
            }
            let pending = slot.get_or_insert_with(|| Pending::born(place.segment));
            pending.apply(change, place, &mut self.live);
        }
        if let Some(mut pending) = slot {
            pending.last_frame = seq;
            self.groups.insert(section.group, pending);
        }
    }

    /// Takes the group out as it stands before this section.
    fn enter(&mut self, seq: u64, section: Section, segment: u64) -> Pending {
        let known = self.groups.remove(&section.group);
        if section.previous == 0 {
            if let Some(mut before) = known {
                before.release(&mut self.live);
            }
            return Pending::born(segment);
        }
        let mut pending = known.unwrap_or_else(Pending::unknown);
        let expected = pending.last_frame;
        let before_the_log = expected == 0 && section.previous < self.start;
        if section.previous != expected && !before_the_log && !broken::is(Broken::Chain) {
            let previous = section.previous;
            let why = format!("frame {seq} continues frame {previous}, which cannot be read");
            pending.break_for(why, &mut self.live);
        }
        pending
    }

    /// Every frame was seen.
    pub(crate) fn finish(mut self) -> Replayed {
        let mut groups = BTreeMap::new();
        let mut indexed = BTreeMap::new();
        let mut fresh = Vec::new();
        for (id, mut pending) in std::mem::take(&mut self.groups) {
            if let Some(gap) = self.last_gap
                && pending.last_frame < gap
            {
                let why = format!("nothing of it is found behind frame {gap}, which is missing");
                pending.break_for(why, &mut self.live);
            }
            if let Err(why) = pending.check_outcome() {
                pending.break_for(why, &mut self.live);
            }
            if let (Some(why), false) = (&pending.broken, pending.marked) {
                fresh.push((id, why.clone()));
            }
            let (group, index) = pending.into_outcome(&mut self.live);
            groups.insert(id, group);
            indexed.insert(id, index);
        }
        let index = Index::new(indexed, self.live);
        Replayed { groups, index, damage: self.damage, fresh }
    }
}

impl Pending {
    /// A group that begins in this segment.
    fn born(segment: u64) -> Self {
        Self {
            hard_state: Some((HardState::default(), segment)),
            meta: Some((SnapshotMeta::default(), segment)),
            exact: true,
            ..Self::unknown()
        }
    }

    /// A group whose beginning is not in the log any more.
    fn unknown() -> Self {
        Self {
            last_frame: 0,
            hard_state: None,
            meta: None,
            entries: VecDeque::new(),
            runs: Runs::default(),
            exact: false,
            broken: None,
            marked: false,
        }
    }

    /// The group is damaged from here on, until it is restated, or forgotten and begun anew. The
    /// first reason is kept.
    fn break_for(&mut self, why: Why, live: &mut Live) {
        self.release(live);
        self.broken.get_or_insert(why);
    }

    fn release(&mut self, live: &mut Live) {
        self.runs.clear(live);
        self.entries.clear();
    }

    fn apply(&mut self, change: Change<'static>, place: Place, live: &mut Live) {
        if let Change::Quarantine(why) = change {
            self.release(live);
            self.hard_state = Some((HardState::default(), place.segment));
            self.meta = Some((SnapshotMeta::default(), place.segment));
            self.broken = Some(why.into_owned());
            self.marked = true;
            return;
        }
        let restated = matches!(change, Change::Restate { .. }) && !self.marked;
        if self.broken.is_some() && !restated {
            return;
        }
        if let Err(why) = self.try_apply(change, place, live) {
            self.break_for(why, live);
        }
    }

    fn try_apply(
        &mut self,
        change: Change<'static>,
        place: Place,
        live: &mut Live,
    ) -> Result<(), Why> {
        match change {
            Change::Append(entries) => self.append(entries.into_owned(), place, live),
            Change::HardState(state) => {
                if let Some((old, _)) = self.hard_state
                    && state.term < old.term
                {
                    return Err(format!("its term falls from {} to {}", old.term, state.term));
                }
                self.hard_state = Some((state, place.segment));
                Ok(())
            }
            Change::Snapshot { meta, keep_tail: false } => {
                self.release(live);
                self.meta = Some((meta.into_owned(), place.segment));
                self.exact = true;
                Ok(())
            }
            Change::Snapshot { meta, keep_tail: true } | Change::Compact(meta) => {
                let to = meta.position.index;
                while self.entries.front().is_some_and(|entry| entry.position.index <= to) {
                    self.entries.pop_front();
                }
                self.runs.compact(to.0, live);
                self.meta = Some((meta.into_owned(), place.segment));
                Ok(())
            }
            Change::Restate { hard_state, meta, entries } => {
                self.release(live);
                self.broken = None;
                self.exact = true;
                self.hard_state = Some((hard_state, place.segment));
                self.meta = Some((meta.into_owned(), place.segment));
                if entries.is_empty() {
                    return Ok(());
                }
                self.append(entries.into_owned(), place, live)
            }
            Change::Forget | Change::Quarantine(_) => unreachable!("handled by the callers"),
        }
    }

    fn append(&mut self, entries: Vec<Entry>, place: Place, live: &mut Live) -> Result<(), Why> {
        let ([first, .., last] | [first @ last]) = &entries[..] else {
            return Err("an append without entries".to_owned());
        };
        let (first, last) = (first.position, last.position);
        if self.exact && first.index <= self.base().index {
            return Err(format!("entry {first} at or before the start {}", self.base()));
        }
        while self.entries.back().is_some_and(|entry| entry.position.index >= first.index) {
            self.entries.pop_back();
        }
        let mut before = match self.entries.back() {
            Some(entry) => entry.position,
            None if self.exact => self.base(),
            // The entries before were compacted later on and their segments freed.
            None => Position { term: first.term, index: first.index.prev() },
        };
        for entry in &entries {
            let next = entry.position;
            if next.index != before.index.next() || next.term < before.term {
                return Err(format!("entry {next} follows {before}"));
            }
            before = next;
        }
        self.runs.append(first.index.0, last.index.0, place, live);
        self.entries.extend(entries);
        Ok(())
    }

    fn base(&self) -> Position {
        self.meta.as_ref().map_or(Position::ZERO, |(meta, _)| meta.position)
    }

    /// The outcome must fit, whatever was seen of the way to it.
    fn check_outcome(&self) -> Result<(), Why> {
        if self.broken.is_some() {
            return Ok(());
        }
        if self.hard_state.is_none() || self.meta.is_none() {
            return Err("its beginning is missing".to_owned());
        }
        let base = self.base();
        match self.entries.front() {
            Some(entry) if entry.position.index != base.index.next() => {
                Err(format!("its first entry is {}, its log starts after {base}", entry.position))
            }
            Some(entry) if entry.position.term < base.term => {
                Err(format!("its first entry is {}, its log starts after {base}", entry.position))
            }
            _ => Ok(()),
        }
    }

    fn into_outcome(self, live: &mut Live) -> (Group, GroupIndex) {
        let (hard_state, hard_at) = self.hard_state.unwrap_or_default();
        let (meta, meta_at) = self.meta.unwrap_or_default();
        let mut index = crate::index::born(hard_at, live);
        live.shift(&mut index.meta_at, meta_at);
        index.last_frame = self.last_frame;
        if let Some(why) = self.broken {
            index.cursor.quarantined = true;
            index.quarantined = Some(why.clone());
            return (Group::Quarantined { why }, index);
        }
        let base = meta.position;
        let last = self.entries.back().map_or(base, |entry| entry.position);
        index.cursor = Cursor { hard_state, base, last, quarantined: false };
        index.meta = meta.clone();
        index.runs = self.runs;
        let entries = Vec::from(self.entries);
        (Group::Whole { hard_state, snapshot: meta, entries }, index)
    }
}
