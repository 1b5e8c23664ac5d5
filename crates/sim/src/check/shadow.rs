//! What the log of one store must hold, kept by the simulator from what it was asked to write.
//!
//! Two images: what the store believes (after each turn), and what its disk owes it (after each
//! sync). Only terms are kept: a position names its entry. After a crash the log may give back the
//! second image, with any number of the writes that came after the last sync, in their order, and
//! nothing else. A write is kept whole or not at all, unless it was too large for one frame.

use std::collections::VecDeque;

use kontiki_log::Record;
use kontiki_multiraft::TaskSeq;
use kontiki_types::{HardState, Index, Position, Term};

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
            Record::Forget { .. } => return None,
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

/// The two images of one store's log, and what lies between.
#[derive(Clone, Default, Debug)]
pub struct Shadow {
    /// What the store believes.
    pub believed: ShadowLog,
    /// What the disk owes.
    pub owed: ShadowLog,
    /// Tasks that left the shard and are not written.
    turned: VecDeque<(TaskSeq, Vec<Change>)>,
    /// What was written and is not synced.
    written: Vec<Written>,
}

/// One write of the log.
#[derive(Clone, Default, Debug)]
struct Written {
    changes: Vec<Change>,
    /// It became several frames, or an unknown number of them: a part of it may survive.
    is_cut: bool,
}

impl Shadow {
    /// A task left the shard.
    ///
    /// # Errors
    /// A record that no log can follow, in words.
    pub fn on_task(&mut self, task: TaskSeq, records: &[Record]) -> Result<(), String> {
        let changes: Vec<_> = records.iter().filter_map(Change::of).collect();
        for change in &changes {
            self.believed.apply(change)?;
        }
        self.turned.push_back((task, changes));
        Ok(())
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

    /// Everything written is durable.
    ///
    /// # Errors
    /// A record that no log can follow, in words.
    pub fn on_synced(&mut self) -> Result<(), String> {
        for written in std::mem::take(&mut self.written) {
            for change in &written.changes {
                self.owed.apply(change)?;
            }
        }
        Ok(())
    }

    /// Frames written and not synced.
    pub fn written_count(&self) -> usize {
        self.written.len()
    }

    /// The log gave this back after a crash. Tells how many unsynced frames survived.
    ///
    /// # Errors
    /// It owed something else, in words.
    pub fn on_recovered(&mut self, found: ShadowLog) -> Result<usize, String> {
        let mut owed = self.owed.clone();
        let writes = std::mem::take(&mut self.written);
        let mut survived = (owed == found).then_some(0);
        for (before, Written { changes, is_cut }) in writes.iter().enumerate() {
            for change in changes {
                if *is_cut && holds_part(&owed, change, &found)? {
                    survived = Some(before);
                }
                owed.apply(change)?;
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
fn holds_part(owed: &ShadowLog, change: &Change, found: &ShadowLog) -> Result<bool, String> {
    let Change::Append(first, terms) = change else { return Ok(owed == found) };
    let kept = (found.last_index().0 + 1).checked_sub(first.0);
    let kept = kept.and_then(|kept| usize::try_from(kept).ok()).unwrap_or(0);
    if kept == 0 || kept >= terms.len() {
        return Ok(owed == found);
    }
    let mut log = owed.clone();
    log.apply(&Change::Append(*first, terms[..kept].to_vec()))?;
    Ok(log == *found || owed == found)
}

fn describe(log: &ShadowLog) -> String {
    let last = log.last_index();
    let term = log.term_at(last).unwrap_or_default();
    format!("{}..{} with {:?}", log.start, Position::new(term, last), log.hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(terms: &[u64]) -> ShadowLog {
        let terms = terms.iter().map(|&term| Term(term));
        ShadowLog::new(Position::ZERO, terms, HardState::default())
    }

    fn shadow() -> Shadow {
        let mut shadow = Shadow { owed: log(&[1, 1]), ..Shadow::default() };
        let write = |change| Written { changes: vec![change], is_cut: false };
        shadow.written = vec![
            write(Change::Append(Index(3), vec![Term(1)])),
            write(Change::Append(Index(2), vec![Term(2)])),
        ];
        shadow
    }

    #[test]
    fn any_prefix_of_the_unsynced_frames_may_survive() {
        for (found, survived) in [(&[1, 1][..], 0), (&[1, 1, 1], 1), (&[1, 2], 2)] {
            assert_eq!(shadow().on_recovered(log(found)), Ok(survived), "{found:?}");
        }
    }

    #[test]
    fn a_part_of_a_write_survives_only_if_it_was_cut() {
        let changes = vec![
            Change::Append(Index(3), vec![Term(2), Term(2), Term(2)]),
            Change::Append(Index(6), vec![Term(3)]),
        ];
        for (is_cut, part) in [(true, Ok(0)), (false, Err(()))] {
            let written = vec![Written { changes: changes.clone(), is_cut }];
            let shadow = Shadow { owed: log(&[1, 1]), written, ..Shadow::default() };
            let survived = |terms| shadow.clone().on_recovered(log(terms)).map_err(drop);
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
            assert!(shadow().on_recovered(log(found)).is_err(), "{found:?}");
        }
        let mut other_vote = log(&[1, 1]);
        other_vote.hard.term = Term(1);
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
