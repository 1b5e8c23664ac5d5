//! A simulated disk with an engine on it: loses exactly what a real one may lose.
//!
//! The simulator (and the conformance suite) open a [`SimEngine`] on a [`SimDisk`], crash the
//! disk, and open it again. A crash keeps everything up to the last sync plus some prefix of the
//! batches after it; how long a prefix is the caller's choice, drawn from its seed. Handles
//! opened before a crash are dead: what a killed process still tries to write goes nowhere.
//! Nothing here decides by chance.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use crate::limits::UNSYNCED_BATCHES_MAX;
use crate::rows::Rows;
use crate::{Batch, Direction, Engine, Error, Family, Range, Read, Stats, View};

/// The storage of one simulated store: it outlives the engines opened on it.
///
/// A clone is another handle to the same disk; [`SimDisk::copy`] makes a second disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<DiskState>>,
}

#[derive(Clone, Default)]
struct DiskState {
    /// What a crash cannot take.
    durable: Rows,
    /// Batches after it, oldest first: a crash keeps a prefix of them.
    unsynced: VecDeque<Batch>,
    /// What readers see: `durable` with all of `unsynced`.
    live: Rows,
    /// Which opening of the disk may use it; older handles are dead.
    generation: u64,
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the disk; handles from before are dead from now on, as after a restart.
    pub fn open(&self) -> SimEngine {
        let mut state = self.lock();
        state.generation += 1;
        SimEngine { disk: self.clone(), generation: state.generation }
    }

    /// Power loss: the first `keep` unsynced batches survive (all, if there are fewer), the rest
    /// is gone, and all open handles are dead.
    pub fn crash(&self, keep: usize) {
        let mut state = self.lock();
        state.generation += 1;
        state.unsynced.truncate(keep);
        state.harden();
        state.live = state.durable.clone();
    }

    /// How many batches a crash could take at most.
    pub fn unsynced_count(&self) -> usize {
        self.lock().unsynced.len()
    }

    /// A second disk with the same content, for "restore from a copy" and what-if checks.
    #[must_use = "the original disk is unchanged"]
    pub fn copy(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.lock().clone())) }
    }

    fn lock(&self) -> MutexGuard<'_, DiskState> {
        self.state.lock().expect("no code that holds this lock can panic")
    }
}

impl DiskState {
    /// Makes every unsynced batch durable.
    fn harden(&mut self) {
        for batch in self.unsynced.drain(..) {
            self.durable.apply(&batch);
        }
    }

    fn write(&mut self, batch: Batch) {
        self.live.apply(&batch);
        self.unsynced.push_back(batch);
        // The operating system writes old pages back by itself; see the limit.
        if self.unsynced.len() > UNSYNCED_BATCHES_MAX
            && let Some(oldest) = self.unsynced.pop_front()
        {
            self.durable.apply(&oldest);
        }
        assert!(self.unsynced.len() <= UNSYNCED_BATCHES_MAX, "{} batches", self.unsynced.len());
    }
}

/// The engine on a [`SimDisk`].
pub struct SimEngine {
    disk: SimDisk,
    generation: u64,
}

impl SimEngine {
    /// The disk below.
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// The disk, if this handle is still the one in use.
    fn alive(&self) -> Result<MutexGuard<'_, DiskState>, Error> {
        let state = self.disk.lock();
        if state.generation == self.generation {
            return Ok(state);
        }
        Err(Error::Poisoned {
            reason: format!(
                "simulated disk was crashed or reopened, handle {} of {}",
                self.generation, state.generation
            ),
        })
    }
}

impl Read for SimEngine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.alive()?.live.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        range: &Range,
        direction: Direction,
        visit: &mut dyn FnMut(&Bytes, &Bytes) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let rows = self.alive()?.live.clone();
        rows.scan(family, range, direction, visit)
    }
}

impl Engine for SimEngine {
    fn write(&self, batch: Batch) -> Result<(), Error> {
        self.alive()?.write(batch);
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        let mut state = self.alive()?;
        state.unsynced.clear();
        state.durable = state.live.clone();
        Ok(())
    }

    fn view(&self) -> Result<Box<dyn View>, Error> {
        Ok(Box::new(self.alive()?.live.clone()))
    }

    fn stats(&self) -> Stats {
        let bytes = self.disk.lock().live.bytes();
        Stats { name: "simulated", disk_bytes: bytes, memory_bytes: bytes }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::SimDisk;
    use crate::limits::UNSYNCED_BATCHES_MAX;
    use crate::{Batch, Engine, Error, Family, Read};

    fn batch(number: usize) -> Batch {
        let mut batch = Batch::default();
        batch.put(Family::Meta, "n", number.to_string());
        batch
    }

    #[test]
    fn a_crash_keeps_the_chosen_prefix() {
        for keep in 0..5 {
            let disk = SimDisk::new();
            let engine = disk.open();
            engine.write(batch(0)).unwrap();
            engine.sync().unwrap();
            for number in 1..=3 {
                engine.write(batch(number)).unwrap();
            }
            assert_eq!(disk.unsynced_count(), 3);

            disk.crash(keep);

            let value = disk.open().get(Family::Meta, b"n").unwrap();
            assert_eq!(value, Some(Bytes::from(keep.min(3).to_string())), "keep {keep}");
        }
    }

    #[test]
    fn a_handle_from_before_the_crash_is_dead() {
        let disk = SimDisk::new();
        let zombie = disk.open();
        let copy = disk.copy();
        zombie.write(batch(1)).unwrap();
        disk.crash(0);
        let engine = disk.open();

        assert!(matches!(zombie.write(batch(2)), Err(Error::Poisoned { .. })));
        assert!(matches!(zombie.sync(), Err(Error::Poisoned { .. })));
        assert!(zombie.get(Family::Meta, b"n").is_err());
        assert_eq!(engine.get(Family::Meta, b"n").unwrap(), None);
        assert_eq!(copy.open().get(Family::Meta, b"n").unwrap(), None, "copied before the write");
    }

    #[test]
    fn the_list_of_unsynced_batches_is_bounded() {
        let disk = SimDisk::new();
        let engine = disk.open();
        for number in 0..UNSYNCED_BATCHES_MAX + 10 {
            engine.write(batch(number)).unwrap();
        }
        assert_eq!(disk.unsynced_count(), UNSYNCED_BATCHES_MAX);
        disk.crash(0);
        let value = disk.open().get(Family::Meta, b"n").unwrap();
        assert_eq!(value, Some(Bytes::from("9")), "the oldest became durable, in order");
    }
}
