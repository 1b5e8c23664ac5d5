//! Who leads which region, as this store last heard; fed by the shard's notices.
//!
//! A hint for clients: stale knowledge costs them a round trip, never correctness.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use kontiki_types::{PeerId, RegionId, Term};

/// Leaders by region. Written by the shard thread, read by services.
#[derive(Default, Debug)]
pub(crate) struct Leaders {
    known: RwLock<BTreeMap<RegionId, (Term, Option<PeerId>)>>,
}

impl Leaders {
    pub(crate) fn set(&self, region: RegionId, term: Term, leader: Option<PeerId>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(region, (term, leader));
    }

    /// Who leads, if known.
    pub(crate) fn leader(&self, region: RegionId) -> Option<PeerId> {
        self.get(region).and_then(|(_, leader)| leader)
    }

    /// The term of what is known; 0 when nothing is.
    pub(crate) fn term(&self, region: RegionId) -> u64 {
        self.get(region).map_or(0, |(term, _)| term.0)
    }

    fn get(&self, region: RegionId) -> Option<(Term, Option<PeerId>)> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&region).copied()
    }
}
