//! An engine that fails when told to: how the layers above learn to stop.
//!
//! Tests and the simulator wrap any engine in it and arm a fault. It behaves as the contract
//! demands of a real engine: the call that fails is an error of the storage, and everything after
//! it is [`Error::Poisoned`](crate::Error::Poisoned). It never corrupts what it wraps.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::poison::Poison;
use crate::{Batch, Direction, Engine, Error, Family, Range, Read, Stats, View};

/// What shall fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The write after this many more good ones; 0 is the next one.
    Write {
        /// Good writes before the fault.
        after: u64,
    },
    /// The sync after this many more good ones; 0 is the next one.
    Sync {
        /// Good syncs before the fault.
        after: u64,
    },
}

/// Passes everything to another engine until an armed fault strikes.
pub struct FaultyEngine {
    inner: Arc<dyn Engine>,
    armed: Mutex<Vec<Fault>>,
    poison: Poison,
}

impl FaultyEngine {
    /// Wraps an engine; nothing fails until [`FaultyEngine::arm`].
    pub fn new(inner: Arc<dyn Engine>) -> Self {
        Self { inner, armed: Mutex::new(Vec::new()), poison: Poison::default() }
    }

    /// Adds a fault; counts start now.
    pub fn arm(&self, fault: Fault) {
        self.armed.lock().expect("no code that holds this lock can panic").push(fault);
    }

    /// Counts one write or sync down; whether an armed fault strikes now.
    fn strikes(&self, is_hit: fn(&mut Fault) -> Option<&mut u64>) -> bool {
        let mut armed = self.armed.lock().expect("no code that holds this lock can panic");
        let mut strikes = false;
        for after in armed.iter_mut().filter_map(is_hit) {
            match after.checked_sub(1) {
                Some(fewer) => *after = fewer,
                None => strikes = true,
            }
        }
        strikes
    }
}

impl Read for FaultyEngine {
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

impl Engine for FaultyEngine {
    fn write(&self, batch: Batch) -> Result<(), Error> {
        self.poison.check()?;
        let outcome = if self.strikes(Fault::write_countdown) {
            Err(Error::backend("write a batch", "fault on order"))
        } else {
            self.inner.write(batch)
        };
        self.poison.guard(outcome)
    }

    fn sync(&self) -> Result<(), Error> {
        self.poison.check()?;
        let outcome = if self.strikes(Fault::sync_countdown) {
            Err(Error::backend("sync", "fault on order"))
        } else {
            self.inner.sync()
        };
        self.poison.guard(outcome)
    }

    fn view(&self) -> Result<Box<dyn View>, Error> {
        self.inner.view()
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }
}

impl Fault {
    fn write_countdown(&mut self) -> Option<&mut u64> {
        match self {
            Self::Write { after } => Some(after),
            Self::Sync { .. } => None,
        }
    }

    fn sync_countdown(&mut self) -> Option<&mut u64> {
        match self {
            Self::Sync { after } => Some(after),
            Self::Write { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Fault, FaultyEngine};
    use crate::{Batch, Engine, Error, Family, MemoryEngine, Read};

    fn engine() -> FaultyEngine {
        FaultyEngine::new(Arc::new(MemoryEngine::volatile()))
    }

    fn batch(key: &'static str) -> Batch {
        let mut batch = Batch::default();
        batch.put(Family::Default, key, "value");
        batch
    }

    #[test]
    fn the_ordered_write_fails_and_everything_after_it() {
        let engine = engine();
        engine.arm(Fault::Write { after: 1 });
        engine.write(batch("a")).unwrap();
        engine.sync().unwrap();

        assert!(matches!(engine.write(batch("b")), Err(Error::Backend { .. })));
        assert!(matches!(engine.write(batch("c")), Err(Error::Poisoned { .. })));
        assert!(matches!(engine.sync(), Err(Error::Poisoned { .. })));
        assert!(engine.get(Family::Default, b"a").unwrap().is_some(), "reads go on");
        assert!(engine.get(Family::Default, b"b").unwrap().is_none());
    }

    #[test]
    fn the_ordered_sync_fails_and_everything_after_it() {
        let engine = engine();
        engine.arm(Fault::Sync { after: 2 });
        engine.sync().unwrap();
        engine.sync().unwrap();
        engine.write(batch("a")).unwrap();

        assert!(matches!(engine.sync(), Err(Error::Backend { .. })));
        assert!(matches!(engine.sync(), Err(Error::Poisoned { .. })));
        assert!(matches!(engine.write(batch("b")), Err(Error::Poisoned { .. })));
    }
}
