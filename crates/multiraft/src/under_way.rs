//! What all groups of a shard have under way together, as one budget.
//!
//! A group bounds its own by [`ShardConfig::unapplied_bytes_max`]. A thousand groups that all fill
//! theirs would hold a thousand times that: what leaves memory before it is sent or applied must be
//! read back from the log, queues run over, and what was dropped is sent again. So beyond the sum a
//! group is refused as soon as it has its equal share. The others may still have theirs: one that
//! is stuck keeps nobody out.

use crate::ShardConfig;
use crate::group::Group;

/// See the module.
#[derive(Default, Debug)]
pub(crate) struct UnderWay {
    /// Of all groups, each as of its last [`UnderWay::note`].
    bytes: usize,
}

impl UnderWay {
    /// What this group has under way may have changed.
    pub(crate) fn note(&mut self, group: &mut Group) {
        let now = group.under_way_bytes();
        let before = std::mem::replace(&mut group.counted_under_way, now);
        self.bytes = self.bytes + now - before;
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// This group is no more.
    pub(crate) fn forget(&mut self, group: &Group) {
        self.bytes -= group.counted_under_way;
    }

    /// Beyond how many bytes under way a group takes no more proposals; who has none may always
    /// begin. A share of those that are busy would let in more: each that begins makes it smaller
    /// only for those after it.
    pub(crate) fn bytes_max(&self, config: &ShardConfig, groups: usize) -> usize {
        let all = config.unapplied_bytes_all;
        let share = if self.bytes > all { all / groups.max(1) } else { usize::MAX };
        share.min(config.unapplied_bytes_max)
    }
}
