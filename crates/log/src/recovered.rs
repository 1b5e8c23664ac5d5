//! What the log found when it was opened: per group what is whole, and what is not.
//!
//! Handed to the host once, by [`crate::Log::open`]. The log keeps no entries of its own after
//! that.

use std::collections::BTreeMap;

use kontiki_types::{Entry, HardState, RegionId, SnapshotMeta};

/// Everything the log holds, by group.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Recovered {
    /// Every group the log knows and has not forgotten.
    pub groups: BTreeMap<RegionId, Group>,
    /// How the end of the log looked.
    pub tail: Tail,
    /// Damage found below what was known to be durable; empty in a healthy log.
    pub damage: Vec<Damage>,
}

impl Recovered {
    /// A group may have existed only in bytes that cannot be read, so a group that the engine knows
    /// and the log does not must be treated as quarantined, not as new.
    pub fn may_hide_groups(&self) -> bool {
        self.damage.iter().any(|damage| matches!(damage, Damage::Unreadable { .. }))
    }

    /// Takes out one group. One that is not known although something cannot be read counts as
    /// quarantined: it may have promised what nobody can read any more.
    pub fn take(&mut self, group: RegionId) -> Option<Group> {
        self.groups.remove(&group).or_else(|| {
            let why = "what cannot be read may have been about it".to_owned();
            self.may_hide_groups().then_some(Group::Quarantined { why })
        })
    }

    /// Groups that are quarantined, in order.
    pub fn quarantined(&self) -> impl Iterator<Item = RegionId> + '_ {
        self.groups
            .iter()
            .filter(|(_, group)| matches!(group, Group::Quarantined { .. }))
            .map(|(&id, _)| id)
    }
}

/// One group as recovered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Group {
    /// Exactly what was written, at least up to the last sync.
    Whole {
        /// Term, vote, commit hint.
        hard_state: HardState,
        /// Where the log begins.
        snapshot: SnapshotMeta,
        /// Consecutive entries after `snapshot.position`.
        entries: Vec<Entry>,
    },
    /// Something that was durable is lost. The group must not vote, must not acknowledge, and is
    /// refilled by snapshot after a `Forget` record.
    Quarantined {
        /// What was found, for people.
        why: String,
    },
}

/// How the end of the log looked.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Tail {
    /// The last frame is whole.
    #[default]
    Whole,
    /// Frames that no later frame proves durable were incomplete and are dropped: the normal trace
    /// of a crash between write and sync.
    Torn {
        /// Sequence number of the first frame dropped.
        frame: u64,
    },
}

/// Damage below what was known to be durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Damage {
    /// One group's part of one frame does not pass its checksum.
    Section {
        /// Whose.
        group: RegionId,
        /// Sequence number of the frame.
        frame: u64,
    },
    /// Frames that were durable cannot be read; which groups they touched is told by the chains of
    /// sections (`docs/internals/disk-format.md`), and may include groups not known otherwise.
    Unreadable {
        /// First missing sequence number.
        first: u64,
        /// Last missing sequence number.
        last: u64,
    },
}
