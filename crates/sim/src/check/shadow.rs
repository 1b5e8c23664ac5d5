//! What the logs of one store must hold, kept by the simulator from what it was asked to write.
//!
//! Two images: what the store believes (after each turn), and what its disk owes it (after each
//! sync). Only terms are kept: a position names its entry. After a crash the log may give back the
//! second image, with any number of the writes that came after the last sync, in their order, and
//! nothing else. A write is kept whole or not at all, unless it was too large for one frame.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kontiki_log::Record;
use kontiki_multiraft::TaskSeq;
use kontiki_types::{HardState, Index, Position, RegionId, Term};

/// A log without its data.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ShadowLog {
    /// The entry before the first.
    pub start: Position,
    terms: VecDeque<Term>,
    /// The hard state that goes with it.
    pub hard: HardState,
}

/// One record, without its data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// See [`Record::Append`].
    Append(Index, Vec<Term>),
    /// See [`Record::HardState`].
    Hard(HardState),
    /// See [`Record::Snapshot`].
    Snapshot(Position, bool),
    /// See [`Record::Compact`].
    Compact(Position),
    /// See [`Record::Forget`].
    Forget,
}

impl Change {
    /// The change a record makes.
    pub fn of(record: &Record) -> Option<Self> {
        Some(match record {
            Record::Append { entries, .. } => Self::Append(
                entries.first()?.position.index,
                entries.iter().map(|entry| entry.position.term).collect(),
            ),
            Record::HardState { state, .. } => Self::Hard(*state),
            Record::Snapshot { meta, keep_tail, .. } => Self::Snapshot(meta.position, *keep_tail),
            Record::Compact { to, .. } => Self::Compact(to.position),
            Record::Forget { .. } => Self::Forget,
        })
    }
}

impl ShadowLog {
    /// A log with these contents.
    pub fn new(start: Position, terms: impl IntoIterator<Item = Term>, hard: HardState) -> Self {
        Self { start, terms: terms.into_iter().collect(), hard }
    }

    /// Index of the last entry.
    pub fn last_index(&self) -> Index {
        self.start.index + self.terms.len() as u64
    }

    /// The last entry, or what the log begins after.
    pub fn last(&self) -> Position {
        self.terms.back().map_or(self.start, |&term| Position::new(term, self.last_index()))
    }

    /// The term of the entry at this index, if the log holds it or begins right after it.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.start.index {
            return Some(self.start.term);
        }
        let offset = index.0.checked_sub(self.start.index.0 + 1)?;
        self.terms.get(usize::try_from(offset).ok()?).copied()
    }

    /// True when the entry is in the log, or covered by what the log begins after.
    pub fn holds(&self, position: Position) -> bool {
        position.index < self.start.index || self.term_at(position.index) == Some(position.term)
    }

    /// True when what it holds may be gone after this change.
    fn is_cut_by(&self, change: &Change) -> bool {
        match change {
            Change::Append(first, _) => *first <= self.last_index(),
            Change::Snapshot(..) | Change::Forget => true,
            Change::Hard(_) | Change::Compact(_) => false,
        }
    }

    /// Changes it as the log would.
    ///
    /// # Errors
    /// A record that no log can follow, in words.
    pub fn apply(&mut self, change: &Change) -> Result<(), String> {
        match change {
            Change::Append(first, terms) => {
                let kept = first.0.checked_sub(self.start.index.0 + 1);
                let kept = kept.and_then(|kept| usize::try_from(kept).ok());
                let Some(kept) = kept.filter(|&kept| kept <= self.terms.len()) else {
                    let (start, last) = (self.start, self.last_index());
                    return Err(format!("append from {first} to a log {start}..{last}"));
                };
                self.terms.truncate(kept);
                self.terms.extend(terms);
            }
            Change::Forget => *self = Self::default(),
            Change::Hard(state) => self.hard = *state,
            Change::Snapshot(position, keep_tail) => {
                if *keep_tail && self.term_at(position.index) == Some(position.term) {
                    self.begin_after(*position);
                } else {
                    self.start = *position;
                    self.terms.clear();
                }
            }
            Change::Compact(position) => {
                if !self.holds(*position) {
                    return Err(format!("compacted to {position}, which it does not hold"));
                }
                if position.index > self.start.index {
                    self.begin_after(*position);
                }
            }
        }
        Ok(())
    }

    fn begin_after(&mut self, position: Position) {
        let dropped = position.index - self.start.index;
        self.terms.drain(..usize::try_from(dropped).expect("it was just found in memory"));
        self.start = position;
    }
}

/// The logs of all groups of a store.
pub type Logs = BTreeMap<RegionId, ShadowLog>;

/// The two images of one store's logs, and what lies between. Groups share frames, so a crash takes
/// or leaves a frame with what it holds of every group.
#[derive(Clone, Default, Debug)]
pub struct Shadow {
    /// What the store believes.
    pub believed: Logs,
    /// What the disk owes.
    pub owed: Logs,
    /// What it owed of each group when it was last told to forget it.
    pub forgotten: Logs,
    /// Where each group's log ended before the writes of the last sync that made it shorter.
    pub cut: BTreeMap<RegionId, Vec<Position>>,
    /// Tasks that left the shard and are not written.
    turned: VecDeque<(TaskSeq, Vec<(RegionId, Change)>)>,
    /// What was written and is not synced.
    written: Vec<Written>,
}

/// One write of the log.
#[derive(Clone, Default, Debug)]
struct Written {
    changes: Vec<(RegionId, Change)>,
    /// It became several frames, or an unknown number of them: a part of it may survive.
    is_cut: bool,
}

impl Shadow {
    /// A task left the shard. Tells which logs it cuts.
    ///
    /// # Errors
    /// A record that no log can follow, in words.
    pub fn on_task(
        &mut self,
        task: TaskSeq,
        records: &[Record],
    ) -> Result<BTreeSet<RegionId>, String> {
        let changes = records.iter().filter_map(|r| Some((r.group(), Change::of(r)?)));
        let changes: Vec<_> = changes.collect();
        let mut cut = BTreeSet::new();
        for change in &changes {
            note_cut(&self.believed, change, &mut cut);
            apply(&mut self.believed, change)?;
        }
        self.turned.push_back((task, changes));
        Ok(cut)
    }

    /// All tasks up to this one were written, as so many frames.
    pub fn on_written(&mut self, task: TaskSeq, frames: u64) {
        self.move_written(task, frames > 1);
    }

    /// The write of all tasks up to this one failed in the middle.
    pub fn on_write_failed(&mut self, task: TaskSeq) {
        self.move_written(task, true);
    }

    fn move_written(&mut self, task: TaskSeq, is_cut: bool) {
        let mut changes = Vec::new();
        while self.turned.front().is_some_and(|(turned, _)| *turned <= task) {
            changes.extend(self.turned.pop_front().into_iter().flat_map(|(_, changes)| changes));
        }
        self.written.push(Written { changes, is_cut });
    }

    /// Everything written is durable. Tells of which groups the disk may hold less than before.
    ///
    /// # Errors
    /// A record that no log can follow, in words.
    pub fn on_synced(&mut self) -> Result<BTreeSet<RegionId>, String> {
        self.cut.clear();
        let mut cut = BTreeSet::new();
        for written in std::mem::take(&mut self.written) {
            for change in &written.changes {
                note_cut(&self.owed, change, &mut cut);
                self.owe(change)?;
            }
        }
        Ok(cut)
    }

    fn owe(&mut self, change: &(RegionId, Change)) -> Result<(), String> {
        let group = change.0;
        let before = self.owed.get(&group).map(ShadowLog::last);
        if matches!(change.1, Change::Forget)
            && let Some(log) = self.owed.get(&group)
        {
            self.forgotten.insert(group, log.clone());
        }
        apply(&mut self.owed, change)?;
        let last = self.owed.get(&group).map(ShadowLog::last_index);
        if let Some(end) = before.filter(|end| last < Some(end.index)) {
            self.cut.entry(group).or_default().push(end);
        }
        Ok(())
    }

    /// Frames written and not synced.
    pub fn written_count(&self) -> usize {
        self.written.len()
    }

    /// What was written of a group is lost, and the log knows it: it owes nothing of it any more.
    /// Gives what it owed.
    pub fn lose(&mut self, lost: RegionId) -> Option<ShadowLog> {
        for written in &mut self.written {
            written.changes.retain(|(group, _)| *group != lost);
        }
        self.owed.remove(&lost)
    }

    /// The log gave this back after a crash. Tells how many unsynced frames survived.
    ///
    /// # Errors
    /// It owed something else, in words.
    pub fn on_recovered(&mut self, found: Logs) -> Result<usize, String> {
        let mut owed = self.owed.clone();
        let writes = std::mem::take(&mut self.written);
        let mut survived = (owed == found).then_some(0);
        for (before, Written { changes, is_cut }) in writes.iter().enumerate() {
            for change in changes {
                if *is_cut && holds_part(&owed, change, &found)? {
                    survived = Some(before);
                }
                apply(&mut owed, change)?;
            }
            if owed == found {
                survived = Some(before + 1);
            }
        }
        let Some(survived) = survived else {
            return Err(format!(
                "found {}, owed {} and {} unsynced frames to {}",
                describe(&found),
                describe(&self.owed),
                writes.len(),
                describe(&owed),
            ));
        };
        self.turned.clear();
        self.owed = found.clone();
        self.believed = found;
        Ok(survived)
    }
}

/// True when `found` is `owed` with nothing or a part of this change.
fn holds_part(owed: &Logs, change: &(RegionId, Change), found: &Logs) -> Result<bool, String> {
    if owed == found {
        return Ok(true);
    }
    let (group, Change::Append(first, terms)) = change else { return Ok(false) };
    let kept = found.get(group).and_then(|log| (log.last_index().0 + 1).checked_sub(first.0));
    let kept = kept.and_then(|kept| usize::try_from(kept).ok()).unwrap_or(0);
    if kept == 0 || kept >= terms.len() {
        return Ok(false);
    }
    let mut logs = owed.clone();
    apply(&mut logs, &(*group, Change::Append(*first, terms[..kept].to_vec())))?;
    Ok(logs == *found)
}

fn note_cut(logs: &Logs, (group, change): &(RegionId, Change), cut: &mut BTreeSet<RegionId>) {
    if logs.get(group).is_some_and(|log| log.is_cut_by(change)) {
        cut.insert(*group);
    }
}

fn apply(logs: &mut Logs, (group, change): &(RegionId, Change)) -> Result<(), String> {
    if *change == Change::Forget {
        logs.remove(group);
        return Ok(());
    }
    let log = logs.entry(*group).or_default();
    log.apply(change).map_err(|why| format!("{group}: {why}"))
}

fn describe(logs: &Logs) -> String {
    let logs = logs.iter().map(|(group, log)| {
        let last = log.last_index();
        let term = log.term_at(last).unwrap_or_default();
        format!("{group} {}..{} with {:?}", log.start, Position::new(term, last), log.hard)
    });
    logs.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(terms: &[u64]) -> ShadowLog {
        let terms = terms.iter().map(|&term| Term(term));
        ShadowLog::new(Position::ZERO, terms, HardState::default())
    }

    const ONE: RegionId = RegionId(1);
    const OTHER: RegionId = RegionId(2);

    fn logs(one: &[u64], other: &[u64]) -> Logs {
        Logs::from([(ONE, log(one)), (OTHER, log(other))])
    }

    /// The second frame holds changes of both groups.
    fn shadow() -> Shadow {
        let mut shadow = Shadow { owed: logs(&[1, 1], &[]), ..Shadow::default() };
        let write = |changes| Written { changes, is_cut: false };
        shadow.written = vec![
            write(vec![(ONE, Change::Append(Index(3), vec![Term(1)]))]),
            write(vec![
                (ONE, Change::Append(Index(2), vec![Term(2)])),
                (OTHER, Change::Append(Index(1), vec![Term(7)])),
            ]),
        ];
        shadow
    }

    #[test]
    fn any_prefix_of_the_unsynced_frames_may_survive() {
        let none = &[][..];
        for (one, other, survived) in
            [(&[1, 1][..], none, 0), (&[1, 1, 1], none, 1), (&[1, 2], &[7], 2)]
        {
            assert_eq!(shadow().on_recovered(logs(one, other)), Ok(survived), "{one:?}");
        }
    }

    #[test]
    fn a_part_of_a_write_survives_only_if_it_was_cut() {
        let changes = vec![
            (ONE, Change::Append(Index(3), vec![Term(2), Term(2), Term(2)])),
            (ONE, Change::Append(Index(6), vec![Term(3)])),
        ];
        for (is_cut, part) in [(true, Ok(0)), (false, Err(()))] {
            let written = vec![Written { changes: changes.clone(), is_cut }];
            let shadow = Shadow { owed: logs(&[1, 1], &[]), written, ..Shadow::default() };
            let survived = |terms| shadow.clone().on_recovered(logs(terms, &[])).map_err(drop);
            assert_eq!(survived(&[1, 1]), Ok(0));
            assert_eq!(survived(&[1, 1, 2]), part);
            assert_eq!(survived(&[1, 1, 2, 2, 2]), part);
            assert_eq!(survived(&[1, 1, 2, 2, 2, 3]), Ok(1));
            assert_eq!(survived(&[1, 1, 2, 3]), Err(()));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for found in [&[1][..], &[1, 1, 2], &[1, 2, 2], &[]] {
            assert!(shadow().on_recovered(logs(found, &[])).is_err(), "{found:?}");
        }
        // Half of a frame.
        assert!(shadow().on_recovered(logs(&[1, 1], &[7])).is_err());
        assert!(shadow().on_recovered(logs(&[1, 2], &[])).is_err());
        let mut other_vote = logs(&[1, 1], &[]);
        other_vote.entry(ONE).or_default().hard.term = Term(1);
        assert!(shadow().on_recovered(other_vote).is_err());
    }

    #[test]
    fn compaction_and_snapshots_move_the_start() {
        let mut log = log(&[1, 1, 2, 2]);
        log.apply(&Change::Compact(Position::new(Term(1), Index(2)))).expect("held");
        assert_eq!((log.start.index, log.last_index()), (Index(2), Index(4)));
        assert!(log.holds(Position::new(Term(1), Index(1))));
        log.apply(&Change::Snapshot(Position::new(Term(2), Index(3)), true)).expect("fine");
        assert_eq!((log.start.index, log.last_index()), (Index(3), Index(4)));
        log.apply(&Change::Snapshot(Position::new(Term(5), Index(4)), true)).expect("fine");
        assert_eq!((log.start.index, log.last_index()), (Index(4), Index(4)));
        assert!(log.apply(&Change::Append(Index(6), vec![Term(5)])).is_err(), "a gap");
    }
}
