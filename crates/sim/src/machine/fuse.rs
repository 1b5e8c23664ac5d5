//! An engine whose power goes between two of its operations.
//!
//! The log's simulated disk has such a fuse of its own. Here it is around the simulated engine, so
//! that an install, a range delete or a start can be cut off anywhere within one virtual moment.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use kontiki_engine::{
    Batch, Direction, Engine, Error, Family, Range, Read, SimEngine, Stats, View,
};

/// No fuse burns.
const UNLIT: u64 = u64::MAX;

/// See the module.
pub(super) struct FusedEngine {
    inner: SimEngine,
    /// Writes and syncs until the power goes.
    left: AtomicU64,
    /// Writes and syncs until one fails.
    until_error: AtomicU64,
}

impl FusedEngine {
    pub(super) fn new(inner: SimEngine) -> Self {
        Self { inner, left: AtomicU64::new(UNLIT), until_error: AtomicU64::new(UNLIT) }
    }

    /// After this many more writes and syncs the power is gone.
    pub(super) fn light(&self, operations: u64) {
        self.left.store(operations, Ordering::Relaxed);
    }

    /// After this many more writes and syncs one fails, and with it the engine.
    pub(super) fn fail_after(&self, operations: u64) {
        self.until_error.store(operations, Ordering::Relaxed);
    }

    /// None fails any more; one that failed stays so.
    pub(super) fn spare(&self) {
        if self.until_error.load(Ordering::Relaxed) > 0 {
            self.until_error.store(UNLIT, Ordering::Relaxed);
        }
    }

    fn burn(&self) -> Result<(), Error> {
        match self.until_error.load(Ordering::Relaxed) {
            UNLIT => {}
            0 => return Err(Error::Poisoned { reason: "injected fault".to_owned() }),
            left => self.until_error.store(left - 1, Ordering::Relaxed),
        }
        match self.left.load(Ordering::Relaxed) {
            UNLIT => Ok(()),
            0 => Err(Error::Poisoned { reason: "the power is off".to_owned() }),
            left => {
                self.left.store(left - 1, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

impl Read for FusedEngine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.inner.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        range: &Range,
        direction: Direction,
        visit: &mut dyn FnMut(&Bytes, &Bytes) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.inner.scan(family, range, direction, visit)
    }
}

impl Engine for FusedEngine {
    fn write(&self, batch: Batch) -> Result<(), Error> {
        self.burn()?;
        self.inner.write(batch)
    }

    fn sync(&self) -> Result<(), Error> {
        self.burn()?;
        self.inner.sync()
    }

    fn view(&self) -> Result<Box<dyn View>, Error> {
        self.inner.view()
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }
}
