//! After a start: from what the log and the engine gave back to a group that may take part again.
//!
//! The log and the engine are made durable at different times, so either may be ahead:
//!
//! | log | engine | what happened | what is done |
//! |---|---|---|---|
//! | nothing | at zero | first start | the log begins at zero with the bootstrap membership |
//! | nothing | past zero | the log is lost, and with it a vote | refuse: this replica could vote twice |
//! | reaches the engine | at or past the log's start | normal | replay from the engine's position |
//! | ends before the engine | anywhere | crash between install of a snapshot and its log record | the log restarts at the engine's position |
//! | begins after the engine | | the engine lost what the log no longer has | refuse |
//! | quarantined | | damage on disk | the replica is kept out ([`crate::Shard::add_quarantined`]) |

use kontiki_log::{Group as LogGroup, Record};
use kontiki_raft::Restored;
use kontiki_types::{HardState, Membership, Position, RegionId, SnapshotMeta};

/// Why a replica may not take part.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The engine has data but the log does not know the group.
    #[error(
        "{group}: the log of this replica is missing although it had applied up to {applied}; \
         restore the log directory, or replace the store"
    )]
    LogMissing {
        /// Which group.
        group: RegionId,
        /// What the engine holds.
        applied: Position,
    },
    /// The engine lost entries that the log has dropped.
    #[error(
        "{group}: the engine has applied up to {applied} but the log begins after {start}; \
         restore the engine directory, or replace the store"
    )]
    EngineBehind {
        /// Which group.
        group: RegionId,
        /// What the engine holds.
        applied: Position,
        /// Where the log begins.
        start: Position,
    },
    /// The log of the group is damaged: it may have promised what it does not remember. The store
    /// can serve its other groups.
    #[error("{group}: the log is damaged ({why})")]
    Quarantined {
        /// Which group.
        group: RegionId,
        /// What was found.
        why: String,
    },
}

/// Whether log and engine of one group can be brought together. Changes nothing.
///
/// # Errors
/// As [`restore()`].
pub fn may_restore(
    group: RegionId,
    log: Option<&LogGroup>,
    applied: Position,
) -> Result<(), RestoreError> {
    match log {
        Some(LogGroup::Quarantined { why }) => {
            Err(RestoreError::Quarantined { group, why: why.clone() })
        }
        Some(LogGroup::Whole { snapshot, .. }) if applied.index < snapshot.position.index => {
            Err(RestoreError::EngineBehind { group, applied, start: snapshot.position })
        }
        None if applied != Position::ZERO => Err(RestoreError::LogMissing { group, applied }),
        Some(LogGroup::Whole { .. }) | None => Ok(()),
    }
}

/// Bring log and engine of one group together. The records must be logged and durable before the
/// group says anything.
///
/// # Errors
/// When this replica could break a promise it made before; see the table of this module.
pub fn restore(
    group: RegionId,
    log: Option<LogGroup>,
    applied: Position,
    membership: &Membership,
) -> Result<(Restored, Vec<Record>), RestoreError> {
    may_restore(group, log.as_ref(), applied)?;
    let Some(LogGroup::Whole { hard_state, snapshot, entries }) = log else {
        return Ok(first_start(group, membership));
    };
    let start = snapshot.position;
    let holds_applied = if applied.index == start.index {
        true
    } else {
        let offset = usize::try_from(applied.index - start.index - 1).unwrap_or(usize::MAX);
        entries.get(offset).is_some_and(|entry| entry.position == applied)
    };
    if holds_applied {
        let restored =
            Restored { hard_state, snapshot, entries, applied: applied.index, installed: None };
        return Ok((restored, Vec::new()));
    }
    Ok(restart_at(group, hard_state, applied, membership))
}

fn first_start(group: RegionId, membership: &Membership) -> (Restored, Vec<Record>) {
    let meta = SnapshotMeta { position: Position::ZERO, membership: membership.clone() };
    let restored = Restored { snapshot: meta.clone(), ..Restored::default() };
    (restored, vec![Record::Snapshot { group, meta, keep_tail: false }])
}

/// The engine holds a snapshot that the log has not heard of: the log restarts there. Its term is
/// one this peer has seen, so the hard state must not be behind it.
fn restart_at(
    group: RegionId,
    mut hard_state: HardState,
    applied: Position,
    membership: &Membership,
) -> (Restored, Vec<Record>) {
    let meta = SnapshotMeta { position: applied, membership: membership.clone() };
    let mut records = vec![Record::Snapshot { group, meta: meta.clone(), keep_tail: false }];
    if hard_state.term < applied.term {
        hard_state.term = applied.term;
        hard_state.vote = None;
        records.push(Record::HardState { group, state: hard_state });
    }
    hard_state.commit = hard_state.commit.max(applied.index);
    let applied = applied.index;
    let restored = Restored { hard_state, snapshot: meta, applied, ..Restored::default() };
    (restored, records)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kontiki_types::{Entry, EntryKind, Index, Term};

    use super::*;

    const GROUP: RegionId = RegionId(1);

    fn at(term: u64, index: u64) -> Position {
        Position::new(Term(term), Index(index))
    }

    fn log(start: Position, entries: &[Position]) -> LogGroup {
        let entry = |&position| Entry { position, kind: EntryKind::Normal, data: Bytes::new() };
        LogGroup::Whole {
            hard_state: HardState { term: Term(3), vote: None, commit: Index(0) },
            snapshot: SnapshotMeta { position: start, membership: Membership::of_voters(3) },
            entries: entries.iter().map(entry).collect(),
        }
    }

    fn run(log: Option<LogGroup>, applied: Position) -> Result<(Restored, usize), RestoreError> {
        let result = restore(GROUP, log, applied, &Membership::of_voters(3));
        result.map(|(restored, records)| (restored, records.len()))
    }

    #[test]
    fn first_start_logs_the_bootstrap_membership() {
        let (restored, records) = run(None, Position::ZERO).expect("fine");
        assert_eq!(restored.snapshot.membership, Membership::of_voters(3));
        assert_eq!(records, 1);
    }

    #[test]
    fn a_lost_log_is_refused() {
        let error = run(None, at(1, 4)).expect_err("refused");
        assert_eq!(error, RestoreError::LogMissing { group: GROUP, applied: at(1, 4) });
    }

    #[test]
    fn replay_begins_where_the_engine_stands() {
        let (restored, records) =
            run(Some(log(at(1, 3), &[at(1, 4), at(2, 5)])), at(1, 4)).expect("fine");
        assert_eq!((restored.applied, restored.entries.len(), records), (Index(4), 2, 0));
    }

    #[test]
    fn a_log_that_ends_before_the_engine_restarts_there() {
        let (restored, records) = run(Some(log(at(1, 3), &[at(1, 4)])), at(4, 9)).expect("fine");
        assert_eq!(restored.snapshot.position, at(4, 9));
        assert_eq!(restored.hard_state.term, Term(4));
        assert!(restored.entries.is_empty());
        assert_eq!(records, 2);
    }

    #[test]
    fn a_conflicting_entry_at_the_engines_position_is_dropped_with_its_tail() {
        let (restored, records) =
            run(Some(log(at(1, 3), &[at(1, 4), at(1, 5)])), at(2, 4)).expect("fine");
        assert_eq!((restored.snapshot.position, restored.entries.len()), (at(2, 4), 0));
        assert_eq!(records, 1);
    }

    #[test]
    fn an_engine_behind_the_log_is_refused() {
        let error = run(Some(log(at(1, 8), &[])), at(1, 4)).expect_err("refused");
        assert!(matches!(error, RestoreError::EngineBehind { .. }), "{error}");
    }
}
