//! What of a group's log may go: what is durable elsewhere and needed by nobody, but for a margin.
//!
//! Part of [`super::Group`]; the shard calls it when its engine is synced or a snapshot is taken.

use kontiki_log::Record;
use kontiki_types::Index;
use kontiki_types::mutants::{self, Mutant};

use super::{Durability, Group};
use crate::ShardConfig;

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
        self.compact(config, groups)
    }

    /// The engine is durable up to what was applied at the asking: drop the log below it, but for a
    /// margin, and for what live followers need, the ones that a snapshot is on its way to as well.
    pub(crate) fn on_engine_synced(
        &mut self,
        config: &ShardConfig,
        groups: usize,
    ) -> Option<Record> {
        self.durable_applied = self.durable_applied.max(self.syncing_applied);
        self.compact(config, groups)
    }

    fn compact(&mut self, config: &ShardConfig, groups: usize) -> Option<Record> {
        let bytes = self.node.log_bytes();
        let retain = config.retain_bytes.min(config.retain_bytes_all / groups);
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
