//! What of a group's log may go: what is durable elsewhere and needed by nobody, but for a margin.
//!
//! Part of [`super::Group`]; the shard calls it when its engine is synced, a snapshot is taken, or
//! the log has no room for margins.

use kontiki_log::Record;
use kontiki_types::Index;
use kontiki_types::mutants::{self, Mutant};

use super::{Durability, Group};
use crate::ShardConfig;

/// What must become durable, and by what, before more of a log can go.
pub(crate) type Unsaved = Option<Durability>;

/// What of a log stays although it is durable elsewhere, in bytes.
#[derive(Clone, Copy)]
struct Keep {
    /// For followers that come back from a short absence.
    margin: usize,
    /// For followers that are alive, as long as the log is shorter than this.
    needed: usize,
}

impl Keep {
    /// Where there is no room: what live followers need, as much as there is a margin else.
    fn crowded(config: &ShardConfig) -> Self {
        Self { margin: 0, needed: config.retain_bytes }
    }
}

impl Group {
    pub(crate) fn on_engine_sync_asked(&mut self) {
        if self.durability == Durability::Engine {
            self.syncing_applied = self.applied;
        }
    }

    /// A snapshot of its own holds durably all up to here.
    pub(crate) fn on_snapshotted(
        &mut self,
        index: Index,
        config: &ShardConfig,
        groups: usize,
    ) -> Option<Record> {
        if mutants::is_on(Mutant::SaveUnnoticed) {
            return None;
        }
        self.durable_applied = self.durable_applied.max(index);
        let keep = self.keep(config, groups);
        self.compact(keep)
    }

    /// The engine is durable up to what was applied at the asking: drop the log below it, but for a
    /// margin, and for what live followers need, the ones that a snapshot is on its way to as well.
    pub(crate) fn on_engine_synced(
        &mut self,
        config: &ShardConfig,
        groups: usize,
    ) -> Option<Record> {
        self.durable_applied = self.durable_applied.max(self.syncing_applied);
        let keep = self.keep(config, groups);
        self.compact(keep)
    }

    /// The log is crowded by what this group keeps in it: give up what is durable elsewhere, at
    /// once, and what is only applied as soon as it is durable.
    pub(crate) fn on_log_crowded(&mut self, config: &ShardConfig) -> (Option<Record>, Unsaved) {
        let record = self.compact(Keep::crowded(config));
        self.is_crowding = self.applied > self.durable_applied && !self.is_halted();
        (record, self.is_crowding.then_some(self.durability))
    }

    fn keep(&mut self, config: &ShardConfig, groups: usize) -> Keep {
        if std::mem::take(&mut self.is_crowding) {
            return Keep::crowded(config);
        }
        let margin = config.retain_bytes.min(config.retain_bytes_all / groups);
        Keep { margin, needed: config.retain_bytes_max }
    }

    fn compact(&mut self, keep: Keep) -> Option<Record> {
        let bytes = self.node.log_bytes();
        if bytes < keep.margin {
            return None;
        }
        let unsynced = mutants::is_on(Mutant::CompactUnsynced);
        let mut to = if unsynced { self.applied } else { self.durable_applied };
        to = to.min(self.node.log_after_keeping(keep.margin));
        if bytes < keep.needed {
            to = to.min(self.node.log_needed_after().unwrap_or(to));
        }
        self.node.compact(to)?;
        Some(Record::Compact { group: self.id, to: self.node.start() })
    }
}
