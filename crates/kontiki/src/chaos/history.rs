//! What is known of one key that a single writer changes, and whether a read of it may be.
//!
//! The writer numbers its changes 1, 2, 3 … and has one under way at a time, so the changes of a
//! key are totally ordered without looking at the cluster. A read must not be older than its
//! *floor*: the newest change that was acknowledged, or that another read had seen, before the
//! read began. That is linearizability of a register with a single writer, checked in constant
//! time. A change without an answer may take effect at any later time, or never; seeing one is
//! never held against the cluster, except that what was seen once must stay.
//!
//! Pure: called by writers, readers and the last verification with what they did and saw.

/// Number of a change of one key; 0 stands for the time before the first.
pub(crate) type Version = usize;

/// What a change makes of the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// It has the value of this version.
    Put,
    /// It is not there.
    Delete,
}

/// What became of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Under way.
    Pending,
    /// Acknowledged.
    Acked,
    /// No answer: it may take effect at any time, or never.
    Unknown,
    /// Refused: it certainly did not take effect.
    Refused,
}

/// What a read saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// No value.
    Absent,
    /// The value of this version.
    Version(Version),
    /// A value that nobody wrote under this key.
    Foreign,
}

/// What is wrong with a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wrong {
    /// It shows the key as it was before `floor`.
    Old {
        /// The oldest version it might have shown.
        floor: Version,
    },
    /// It shows what was never written, or was refused.
    NeverWritten,
}

/// The changes of one key, in order, and what is known to have taken effect.
#[derive(Clone, Default, Debug)]
pub(crate) struct History {
    changes: Vec<(Change, Fate)>,
    floor: Version,
}

impl History {
    /// The writer is about to make a change.
    ///
    /// # Panics
    /// When the change before has no end yet: a key has one writer, with one change at a time.
    pub(crate) fn begin(&mut self, change: Change) -> Version {
        let pending = self.changes.last().is_some_and(|(_, fate)| *fate == Fate::Pending);
        assert!(!pending, "change {} is still under way", self.changes.len());
        self.changes.push((change, Fate::Pending));
        self.changes.len()
    }

    /// The change under way has ended.
    ///
    /// # Panics
    /// When `version` is not the last change, or has ended before.
    pub(crate) fn end(&mut self, version: Version, fate: Fate) {
        assert_eq!(version, self.changes.len(), "only the last change can be under way");
        let (_, entry) = self.changes.last_mut().expect("version 0 is never begun");
        assert_eq!(*entry, Fate::Pending, "change {version} ended twice");
        *entry = fate;
        if fate == Fate::Acked {
            self.floor = self.floor.max(version);
        }
    }

    /// The oldest version that a read which begins now may show.
    pub(crate) fn floor(&self) -> Version {
        self.floor
    }

    /// Judges a read that began when the floor was `floor`, and learns from it.
    ///
    /// # Errors
    /// Why no linearizable store could have answered so.
    pub(crate) fn judge(&mut self, floor: Version, seen: Seen) -> Result<(), Wrong> {
        let shown = match seen {
            Seen::Foreign => return Err(Wrong::NeverWritten),
            Seen::Version(version) => self.judge_version(floor, version)?,
            Seen::Absent => self.judge_absent(floor)?,
        };
        self.floor = self.floor.max(shown);
        Ok(())
    }

    /// The version that is now known to have taken effect.
    fn judge_version(&self, floor: Version, version: Version) -> Result<Version, Wrong> {
        let change = version.checked_sub(1).and_then(|index| self.changes.get(index));
        match change {
            None | Some((Change::Delete, _) | (_, Fate::Refused)) => Err(Wrong::NeverWritten),
            // Written again, late, by a request whose answer never came.
            Some((_, Fate::Unknown)) if version < floor => Ok(floor),
            Some(_) if version < floor => Err(Wrong::Old { floor }),
            Some(_) => Ok(version),
        }
    }

    fn judge_absent(&self, floor: Version) -> Result<Version, Wrong> {
        if floor == 0 {
            return Ok(0);
        }
        let deleted = |from: Version, unknown_only: bool| {
            (1..).zip(&self.changes).skip(from.saturating_sub(1)).find(|(_, (change, fate))| {
                let may_be = match fate {
                    Fate::Refused => false,
                    Fate::Unknown => true,
                    Fate::Pending | Fate::Acked => !unknown_only,
                };
                *change == Change::Delete && may_be
            })
        };
        // The oldest delete that explains it: the least that this read proves.
        if let Some((version, _)) = deleted(floor, false) {
            return Ok(version);
        }
        // Or one that took effect late.
        match deleted(1, true) {
            Some(_) => Ok(floor),
            None => Err(Wrong::Old { floor }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes these changes with these fates, in order.
    fn history(changes: &[(Change, Fate)]) -> History {
        let mut history = History::default();
        for &(change, fate) in changes {
            let version = history.begin(change);
            if fate != Pending {
                history.end(version, fate);
            }
        }
        history
    }

    use Change::{Delete, Put};
    use Fate::{Acked, Pending, Refused, Unknown};

    #[test]
    fn a_read_shows_the_last_acknowledged_change_or_a_later_one() {
        let mut h = history(&[(Put, Acked), (Put, Acked), (Put, Pending)]);
        assert_eq!(h.floor(), 2);
        assert_eq!(h.judge(2, Seen::Version(2)), Ok(()));
        assert_eq!(h.judge(2, Seen::Version(3)), Ok(()));
        assert_eq!(h.judge(2, Seen::Version(1)), Err(Wrong::Old { floor: 2 }));
        assert_eq!(h.judge(2, Seen::Absent), Err(Wrong::Old { floor: 2 }));
    }

    #[test]
    fn what_one_read_saw_the_next_must_not_miss() {
        let mut h = history(&[(Put, Acked), (Put, Pending)]);
        assert_eq!(h.judge(1, Seen::Version(2)), Ok(()));
        assert_eq!(h.floor(), 2, "seen, though not yet acknowledged");
        assert_eq!(h.judge(h.floor(), Seen::Version(1)), Err(Wrong::Old { floor: 2 }));
        // A read that began before may still show the old one.
        assert_eq!(h.judge(1, Seen::Version(1)), Ok(()));
    }

    #[test]
    fn a_lost_delete_and_a_lost_put_are_both_seen() {
        let mut h = history(&[(Put, Acked), (Delete, Acked)]);
        assert_eq!(h.judge(2, Seen::Absent), Ok(()));
        assert_eq!(h.judge(2, Seen::Version(1)), Err(Wrong::Old { floor: 2 }));
        let mut h = history(&[(Delete, Acked), (Put, Acked)]);
        assert_eq!(h.judge(2, Seen::Absent), Err(Wrong::Old { floor: 2 }));
    }

    #[test]
    fn a_change_without_answer_may_have_happened_early_late_or_never() {
        let mut h = history(&[(Put, Acked), (Put, Unknown)]);
        assert_eq!(h.judge(1, Seen::Version(1)), Ok(()), "never");
        assert_eq!(h.judge(1, Seen::Version(2)), Ok(()), "early");
        let mut h = history(&[(Put, Unknown), (Put, Acked)]);
        assert_eq!(h.judge(2, Seen::Version(1)), Ok(()), "late");
        assert_eq!(h.floor(), 2);
        let mut h = history(&[(Delete, Unknown), (Put, Acked)]);
        assert_eq!(h.judge(2, Seen::Absent), Ok(()), "late");
    }

    #[test]
    fn what_was_never_written_is_reported() {
        let mut h = history(&[(Put, Acked), (Put, Refused), (Delete, Acked)]);
        assert_eq!(h.judge(1, Seen::Version(2)), Err(Wrong::NeverWritten), "refused");
        assert_eq!(h.judge(1, Seen::Version(3)), Err(Wrong::NeverWritten), "a delete");
        assert_eq!(h.judge(1, Seen::Version(4)), Err(Wrong::NeverWritten), "the future");
        assert_eq!(h.judge(1, Seen::Version(0)), Err(Wrong::NeverWritten), "no version");
        assert_eq!(h.judge(1, Seen::Foreign), Err(Wrong::NeverWritten));
    }

    #[test]
    fn an_absent_key_proves_only_the_oldest_delete_that_explains_it() {
        let mut h = history(&[(Put, Acked), (Delete, Unknown), (Put, Unknown), (Delete, Pending)]);
        assert_eq!(h.judge(1, Seen::Absent), Ok(()));
        assert_eq!(h.floor(), 2);
        assert_eq!(h.judge(2, Seen::Version(3)), Ok(()));
    }
}
