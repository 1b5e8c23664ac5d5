//! What is logged: changes of one group's durable state, and their bytes.
//!
//! The host turns the store operations of Raft into records; recovery replays them in order. The
//! meaning of a record must never change under the same kind byte: old logs are replayed by new
//! releases.

use kontiki_types::{Entry, HardState, RegionId, SnapshotMeta};

/// One change of one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// Entries to append; where the first index is not past the last of the log, what stands there
    /// and after is replaced.
    Append {
        /// Whose.
        group: RegionId,
        /// Consecutive entries, at least one.
        entries: Vec<Entry>,
    },
    /// A new hard state.
    HardState {
        /// Whose.
        group: RegionId,
        /// The state.
        state: HardState,
    },
    /// The log restarts behind a snapshot.
    Snapshot {
        /// Whose.
        group: RegionId,
        /// Where, and with which membership.
        meta: SnapshotMeta,
        /// The log holds the entry at that position, so entries after it stay.
        keep_tail: bool,
    },
    /// Entries up to and including this position are not needed any more.
    Compact {
        /// Whose.
        group: RegionId,
        /// The new start, with the membership as of there.
        to: SnapshotMeta,
    },
    /// The group is gone from this store; a later record of the same id begins anew.
    Forget {
        /// Whose.
        group: RegionId,
    },
}

impl Record {
    /// The group it belongs to.
    pub fn group(&self) -> RegionId {
        match self {
            Self::Append { group, .. }
            | Self::HardState { group, .. }
            | Self::Snapshot { group, .. }
            | Self::Compact { group, .. }
            | Self::Forget { group } => *group,
        }
    }
}
