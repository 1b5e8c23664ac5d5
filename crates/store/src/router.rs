//! What other threads may know of the regions of this store.
//!
//! The apply worker owns a [`crate::Replica`]; everyone else (server, readers, status) sees its
//! [`RegionCell`], which the replica updates after each batch is in the engine. Locks here are
//! held for a clone of an `Arc` and nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use kontiki_types::{Index, Region, RegionId};

use crate::StateHash;
use crate::limits::STATE_HASHES_KEPT;

/// The regions of a store, by id.
#[derive(Default, Debug)]
pub struct Descriptors {
    cells: RwLock<BTreeMap<RegionId, Arc<RegionCell>>>,
}

impl Descriptors {
    /// No regions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Publishes a region; one of the same id is replaced.
    pub fn insert(&self, cell: Arc<RegionCell>) {
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        cells.insert(cell.id(), cell);
    }

    /// Forgets a region.
    pub fn remove(&self, region: RegionId) {
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        cells.remove(&region);
    }

    /// The region of this id.
    pub fn get(&self, region: RegionId) -> Option<Arc<RegionCell>> {
        let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
        cells.get(&region).cloned()
    }

    /// All regions in order of id.
    pub fn all(&self) -> Vec<Arc<RegionCell>> {
        let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
        cells.values().cloned().collect()
    }

    /// The region that holds this full key.
    pub fn covering(&self, key: &[u8]) -> Option<Arc<RegionCell>> {
        self.all().into_iter().find(|cell| cell.region().range.contains(key))
    }
}

/// One region, as its replica last published it.
#[derive(Debug)]
pub struct RegionCell {
    id: RegionId,
    region: RwLock<Arc<Region>>,
    /// Odd while more rows are replaced than one batch can hold; grows by one at begin and end.
    replaced: AtomicU64,
    applied: AtomicU64,
    now_ms: AtomicU64,
    hashes: Mutex<Hashes>,
}

#[derive(Default, Debug)]
struct Hashes {
    /// Oldest first.
    done: VecDeque<StateHash>,
    /// Being computed.
    jobs: usize,
}

impl RegionCell {
    pub(crate) fn new(region: Arc<Region>) -> Self {
        Self {
            id: region.id,
            region: RwLock::new(region),
            replaced: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            now_ms: AtomicU64::new(0),
            hashes: Mutex::default(),
        }
    }

    /// Its id.
    pub fn id(&self) -> RegionId {
        self.id
    }

    /// The current descriptor.
    pub fn region(&self) -> Arc<Region> {
        self.region.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last index whose effects are in the engine.
    pub fn applied(&self) -> Index {
        Index(self.applied.load(Ordering::SeqCst))
    }

    /// Replicated time, milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    /// The newest state hashes, oldest first; compare those of equal index between replicas.
    pub fn state_hashes(&self) -> Vec<StateHash> {
        let hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.done.iter().copied().collect()
    }

    /// True while rows are being replaced and cannot be read; see [`RegionCell::undisturbed`].
    pub fn is_replacing(&self) -> bool {
        self.replaced.load(Ordering::SeqCst) % 2 == 1
    }

    /// Runs `read` and gives its result, unless rows were being replaced before, meanwhile or
    /// after: then `None`, because what it saw may be of no applied position at all.
    pub fn undisturbed<T>(&self, read: impl FnOnce() -> T) -> Option<T> {
        let before = self.replaced.load(Ordering::SeqCst);
        if before % 2 == 1 {
            return None;
        }
        let result = read();
        // Whoever saw one of the replaced rows in the engine sees this counter moved.
        (self.replaced.load(Ordering::SeqCst) == before).then_some(result)
    }

    pub(crate) fn publish(&self, applied: Index, now_ms: u64) {
        self.applied.store(applied.0, Ordering::SeqCst);
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }

    pub(crate) fn publish_region(&self, region: Arc<Region>) {
        assert!(region.id == self.id, "{} published as {}", region.id, self.id);
        *self.region.write().unwrap_or_else(PoisonError::into_inner) = region;
    }

    /// Readers are refused from now on. Nothing happens when they are already.
    pub(crate) fn begin_replacing(&self) {
        if !self.is_replacing() {
            self.replaced.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Readers may read again. Nothing happens when they may already.
    pub(crate) fn end_replacing(&self) {
        if self.is_replacing() {
            self.replaced.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Reserves the right to compute a state hash; false when enough are under way.
    pub(crate) fn begin_hash(&self, jobs_max: usize) -> bool {
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        let free = hashes.jobs < jobs_max;
        hashes.jobs += usize::from(free);
        free
    }

    /// Ends what [`RegionCell::begin_hash`] began; no hash when the engine failed.
    pub(crate) fn end_hash(&self, hash: Option<StateHash>) {
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(hashes.jobs > 0, "{}: state hash ended that never began", self.id);
        hashes.jobs -= 1;
        hashes.done.extend(hash);
        while hashes.done.len() > STATE_HASHES_KEPT {
            hashes.done.pop_front();
        }
    }
}
