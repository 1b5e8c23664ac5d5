//! The entries that all groups of a shard keep in memory, as one budget.
//!
//! A group bounds its own by `kontiki_raft::Config::cache_bytes_max`; fifty groups that all fill
//! theirs would hold fifty times that. So the shard keeps the sum, and when it is over the budget a
//! hand goes round the groups and takes from each the older half of what can be read back from the
//! log. Who writes much has much to give. What is about to be applied or sent is spared, unless the
//! sum is far over the budget. Called at the end of a turn; costs nothing while the sum fits.

use std::collections::BTreeMap;
use std::ops::Bound;

use kontiki_types::RegionId;

use crate::group::Group;

/// Most groups a turn takes from: none shall take long, and the sum comes down over several.
const VISITS_MAX: usize = 64;

/// At so many times the budget, groups also give what they are about to send or apply.
const URGENT_AT: usize = 16;

/// See the module.
#[derive(Default, Debug)]
pub(crate) struct Cache {
    /// What all groups hold, each as of its last [`Cache::note`].
    bytes: usize,
    /// The group the hand took from last.
    hand: Option<RegionId>,
}

impl Cache {
    /// What this group holds may have changed.
    pub(crate) fn note(&mut self, group: &mut Group) {
        let cached = group.node().cached_bytes();
        let before = std::mem::replace(&mut group.counted_bytes, cached);
        self.bytes = self.bytes + cached - before;
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// This group is no more.
    pub(crate) fn forget(&mut self, group: &Group) {
        self.bytes -= group.counted_bytes;
    }

    /// Take from the groups until the sum fits, or for long enough.
    pub(crate) fn hold(&mut self, bytes_max: usize, groups: &mut BTreeMap<RegionId, Box<Group>>) {
        for _ in 0..VISITS_MAX.min(groups.len()) {
            if self.bytes <= bytes_max {
                return;
            }
            let after = self.hand.map_or(Bound::Unbounded, Bound::Excluded);
            let next = groups.range((after, Bound::Unbounded)).next().or(groups.first_key_value());
            self.hand = next.map(|(id, _)| *id);
            if let Some(group) = self.hand.and_then(|id| groups.get_mut(&id)) {
                group.give_half(self.bytes > bytes_max.saturating_mul(URGENT_AT));
                self.note(group);
            }
        }
    }
}
