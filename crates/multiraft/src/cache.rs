//! The entries that all groups of a shard keep in memory, as one budget.
//!
//! When all hold more than it, a hand goes round the groups and takes from each the older half of
//! what can be read back from the log. Who writes much has much to give. What is about to be
//! applied or sent is spared, unless the sum is far over the budget. Called at the end of a turn;
//! costs nothing while the sum fits.

use std::collections::BTreeMap;
use std::ops::Bound;

use kontiki_types::RegionId;

use crate::group::Group;
use crate::held::Held;

/// Most groups a turn takes from: none shall take long, and the sum comes down over several.
const VISITS_MAX: usize = 64;

/// At so many times the budget, groups also give what they are about to send or apply.
pub(crate) const URGENT_AT: usize = 16;

/// The hand.
#[derive(Default, Debug)]
pub(crate) struct Cache {
    /// The group it took from last.
    last: Option<RegionId>,
}

impl Cache {
    /// Take from the groups, which hold `held`, until no more than `bytes_max` is in memory, or for
    /// long enough.
    pub(crate) fn hold(
        &mut self,
        bytes_max: usize,
        held: &mut Held,
        groups: &mut BTreeMap<RegionId, Box<Group>>,
    ) {
        for _ in 0..VISITS_MAX.min(groups.len()) {
            if held.cached <= bytes_max {
                return;
            }
            let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
            let next = groups.range((after, Bound::Unbounded)).next().or(groups.first_key_value());
            self.last = next.map(|(id, _)| *id);
            if let Some(group) = self.last.and_then(|id| groups.get_mut(&id)) {
                group.give_half(held.cached > bytes_max.saturating_mul(URGENT_AT));
                held.note(group);
            }
        }
    }
}
