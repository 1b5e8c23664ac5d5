//! What the groups of a shard hold in memory, counted together.
//!
//! A group bounds its own: `kontiki_raft::Config::cache_bytes_max` and
//! [`ShardConfig::unapplied_bytes_max`]. A thousand groups that all fill theirs would hold a
//! thousand times that. So the shard keeps the sums, and its budgets ([`crate::cache`],
//! [`Held::under_way_max`]) go by them.

use crate::ShardConfig;
use crate::cache::URGENT_AT;
use crate::group::Group;

/// Bytes that a group holds, or that all do.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Held {
    /// Of entries that are at hand without reading the log.
    pub(crate) cached: usize,
    /// Proposed or handed to the applier, and not yet applied.
    pub(crate) under_way: usize,
}

impl Held {
    /// What this group holds may have changed since it was counted last.
    pub(crate) fn note(&mut self, group: &mut Group) {
        let now = group.held();
        let before = std::mem::replace(&mut group.counted, now);
        self.cached = self.cached + now.cached - before.cached;
        self.under_way = self.under_way + now.under_way - before.under_way;
    }

    /// This group is no more.
    pub(crate) fn forget(&mut self, group: &Group) {
        self.cached -= group.counted.cached;
        self.under_way -= group.counted.under_way;
    }

    /// Beyond how many bytes under way a group takes no more proposals, when all of `groups` hold
    /// this: as soon as the sum is over the budget, its equal share. Who has none may always begin,
    /// so one that is stuck keeps nobody out. A share of those that are busy would let in more:
    /// each that begins makes it smaller only for those after it.
    pub(crate) fn under_way_max(&self, config: &ShardConfig, groups: usize) -> usize {
        // What leaves memory before it is sent or applied must be read back from the log.
        let in_memory = config.cache_bytes_all.saturating_mul(URGENT_AT);
        let all = config.unapplied_bytes_all.min(in_memory);
        let share = if self.under_way > all { all / groups.max(1) } else { usize::MAX };
        share.min(config.unapplied_bytes_max)
    }
}
