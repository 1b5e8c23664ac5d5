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
        self.durable_applied = self.durable_applied.max(index);
        let margin = self.margin(config, groups);
        self.compact(config, margin)
    }

    /// The engine is durable up to what was applied at the asking: drop the log below it, but for a
    /// margin, and for what live followers need, the ones that a snapshot is on its way to as well.
    pub(crate) fn on_engine_synced(
        &mut self,
        config: &ShardConfig,
        groups: usize,
    ) -> Option<Record> {
        self.durable_applied = self.durable_applied.max(self.syncing_applied);
        let margin = self.margin(config, groups);
        self.compact(config, margin)
    }

    /// The log is crowded by what this group keeps in it: give up what is durable elsewhere, at
    /// once, and what is only applied as soon as it is durable.
    pub(crate) fn on_log_crowded(&mut self, config: &ShardConfig) -> (Option<Record>, Unsaved) {
        let record = self.compact(config, 0);
        self.is_crowding = self.applied > self.durable_applied;
        (record, self.is_crowding.then_some(self.durability))
    }

    /// Bytes of log that stay for followers that come back from a short absence.
    fn margin(&mut self, config: &ShardConfig, groups: usize) -> usize {
        let is_crowding = std::mem::take(&mut self.is_crowding);
        if is_crowding { 0 } else { config.retain_bytes.min(config.retain_bytes_all / groups) }
    }

    fn compact(&mut self, config: &ShardConfig, retain: usize) -> Option<Record> {
        let bytes = self.node.log_bytes();
        if bytes < retain {
            return None;
        }
        let unsynced = mutants::is_on(Mutant::CompactUnsynced);
        let mut to = if unsynced { self.applied } else { self.durable_applied };
        to = to.min(self.node.log_after_keeping(retain));
        if bytes < config.retain_bytes_max {
            to = to.min(self.node.log_needed_after().unwrap_or(to));
        }
        self.node.compact(to)?;
        Some(Record::Compact { group: self.id, to: self.node.start() })
    }
}
