//! Key → region → store: the client's map of the cluster. Pure.
//!
//! Known regions never overlap. What is older, by epoch, never replaces what is newer, whoever says
//! it; a claim of leadership of an older term never replaces one of a newer term. Everything may be
//! wrong at any moment: stores check, and their refusals correct the map.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use kontiki_types::{KeyRange, PeerRole, Region, RegionId, StoreId, Term};

use crate::ReadMode;

/// The map.
#[derive(Default, Debug)]
pub struct RegionCache {
    by_start: BTreeMap<Bytes, Known>,
    starts: BTreeMap<RegionId, Bytes>,
    stores: BTreeMap<StoreId, String>,
}

/// A region and what is known about its leader.
#[derive(Debug)]
pub struct Known {
    /// The descriptor.
    pub region: Region,
    /// Who is believed to lead.
    pub leader: Option<StoreId>,
    /// The term of that belief; 0 for a guess.
    pub term: Term,
    /// Which voter to try next while nobody is believed to lead.
    turn: usize,
}

impl RegionCache {
    /// The region that holds a key.
    pub fn locate(&self, key: &[u8]) -> Option<&Known> {
        let upto = (Bound::Unbounded, Bound::Included(key));
        let (_, known) = self.by_start.range::<[u8], _>(upto).next_back()?;
        known.region.range.contains(key).then_some(known)
    }

    /// The region that holds the greatest keys below `end`; no `end` means the last region.
    pub fn locate_below(&self, end: Option<&[u8]>) -> Option<&Known> {
        let below = (Bound::Unbounded, end.map_or(Bound::Unbounded, Bound::Excluded));
        let (_, known) = self.by_start.range::<[u8], _>(below).next_back()?;
        let reaches = match (&known.region.range.end, end) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(end)) => mine.as_ref() >= end,
        };
        reaches.then_some(known)
    }

    /// The region of this id.
    pub fn region(&self, id: RegionId) -> Option<&Known> {
        self.by_start.get(self.starts.get(&id)?)
    }

    /// Where a store is reached.
    pub fn address(&self, store: StoreId) -> Option<&str> {
        self.stores.get(&store).map(String::as_str)
    }

    /// All stores with an address.
    pub fn stores(&self) -> impl Iterator<Item = (StoreId, &str)> {
        self.stores.iter().map(|(&id, address)| (id, address.as_str()))
    }

    /// All regions in order of keys.
    pub fn regions(&self) -> impl Iterator<Item = &Known> {
        self.by_start.values()
    }

    /// Takes note of a store's address.
    pub fn learn_store(&mut self, store: StoreId, address: &str) {
        if self.address(store) != Some(address) {
            self.stores.insert(store, address.to_owned());
        }
    }

    /// Takes note of a region, unless something newer is known about it or about its keys. `leader`
    /// is used only while none is known for this region. Tells whether it was taken.
    pub fn learn(&mut self, region: Region, leader: Option<StoreId>) -> bool {
        if region.range.is_empty() || self.is_outdated(&region) {
            return false;
        }
        let same = self.region(region.id).map(|known| (known.leader, known.term, known.turn));
        let (leader, term, turn) = match same {
            Some((Some(known), term, turn)) if holds(&region, known) => (Some(known), term, turn),
            Some((_, term, turn)) => (leader, term, turn),
            None => (leader, Term(0), 0),
        };
        let leader = leader.filter(|&store| holds(&region, store));
        self.forget(region.id);
        for id in self.overlapping(&region.range).map(|known| known.region.id).collect::<Vec<_>>() {
            self.forget(id);
        }
        self.starts.insert(region.id, region.range.start.clone());
        let start = region.range.start.clone();
        self.by_start.insert(start, Known { region, leader, term, turn });
        self.assert_consistent();
        true
    }

    /// Takes note of a claim that a store leads a region. A claim of an older term is ignored; one
    /// without a term (0) counts only while no leader is known.
    pub fn learn_leader(&mut self, region: RegionId, leader: StoreId, term: Term) {
        let Some(known) = self.known_mut(region) else { return };
        let newer = term >= known.term && term > Term(0);
        if newer || known.leader.is_none() {
            known.leader = Some(leader);
            known.term = known.term.max(term);
        }
    }

    /// A store did not serve a region as its leader should: another one is asked next. Saying it
    /// again changes nothing, so that requests that failed together stay together.
    pub fn distrust(&mut self, region: RegionId, store: StoreId) {
        let Some(known) = self.known_mut(region) else { return };
        if known.leader == Some(store) {
            known.leader = None;
        }
        let voters = known.region.peers.iter().filter(|peer| peer.role != PeerRole::Learner);
        let voters: Vec<_> = voters.map(|peer| peer.store).collect();
        if !voters.is_empty() && voters[known.turn % voters.len()] == store {
            known.turn = (known.turn + 1) % voters.len();
        }
    }

    /// Drops a region from the map.
    pub fn forget(&mut self, region: RegionId) {
        if let Some(start) = self.starts.remove(&region) {
            let known = self.by_start.remove(&start);
            assert!(known.is_some(), "{region} has a start but no entry");
        }
    }

    /// The store to ask: for linearizable requests the leader, or each voter in turn while nobody
    /// is believed to lead; for stale reads any replica, chosen by `draw`. Stores that are down are
    /// asked only when all are. Nothing when no replica has a known address.
    pub fn candidate(
        &self,
        region: RegionId,
        mode: ReadMode,
        draw: u64,
        is_down: impl Fn(StoreId) -> bool,
    ) -> Option<StoreId> {
        let known = self.region(region)?;
        let reachable = |store: &StoreId| self.stores.contains_key(store);
        let leader = known.leader.filter(reachable);
        let stale = mode == ReadMode::Stale;
        if let Some(leader) = leader.filter(|&leader| !stale && !is_down(leader)) {
            return Some(leader);
        }
        let peers = known.region.peers.iter();
        let stores = peers.filter(|peer| stale || peer.role != PeerRole::Learner);
        let stores: Vec<_> = stores.map(|peer| peer.store).collect();
        let first = if stale { usize::try_from(draw >> 33).unwrap_or(0) } else { known.turn };
        let in_turn = || {
            let turns = 0..stores.len();
            turns.map(|n| stores[first.wrapping_add(n) % stores.len()]).filter(reachable)
        };
        in_turn().find(|&store| !is_down(store)).or(leader).or_else(|| in_turn().next())
    }

    fn is_outdated(&self, region: &Region) -> bool {
        let older_self = self.region(region.id).is_some_and(|known| {
            let (mine, new) = (known.region.epoch, region.epoch);
            (new.version, new.conf_ver) < (mine.version, mine.conf_ver)
        });
        older_self
            || self
                .overlapping(&region.range)
                .any(|known| known.region.epoch.version > region.epoch.version)
    }

    fn overlapping<'a>(&'a self, range: &'a KeyRange) -> impl Iterator<Item = &'a Known> {
        let start = range.start.as_ref();
        let first = self.by_start.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(start)));
        let first = first.map(|(_, known)| known).next_back();
        let first = first.filter(move |known| known.region.range.contains(start));
        let rest = self.by_start.range::<[u8], _>((Bound::Included(start), Bound::Unbounded));
        let rest = rest.map(|(_, known)| known).take_while(move |known| {
            range.end.as_ref().is_none_or(|end| known.region.range.start < *end)
        });
        first.into_iter().chain(rest)
    }

    fn known_mut(&mut self, region: RegionId) -> Option<&mut Known> {
        self.by_start.get_mut(self.starts.get(&region)?)
    }

    fn assert_consistent(&self) {
        assert_eq!(self.by_start.len(), self.starts.len(), "regions without or with two entries");
    }
}

fn holds(region: &Region, store: StoreId) -> bool {
    region.peers.iter().any(|peer| peer.store == store)
}

#[cfg(test)]
#[path = "region_cache_tests.rs"]
mod tests;
