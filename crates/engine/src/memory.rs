//! The memory engine: all rows in memory, durable as an image when asked to.
//!
//! For stores whose data fits in memory, for tests, and as the reference the other engines are
//! measured against. Reads and views cost no lock while they run. `sync` writes the whole image,
//! so its cost grows with the data: fine for megabytes, wrong for gigabytes under many syncs.
//! It never touches a file: an [`ImageStore`] from above the quiet line does.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};

use bytes::Bytes;

use crate::image::{Chunks, ImageStore, StoreError, decode, encode};
use crate::poison::Poison;
use crate::rows::Rows;
use crate::{Batch, Direction, Engine, Error, Family, Range, Read, Stats, View};

/// An engine whose rows live in memory.
pub struct MemoryEngine {
    state: RwLock<State>,
    /// Where images go; without one nothing survives, and `sync` is a promise about nothing.
    images: Option<Arc<dyn ImageStore>>,
    /// Held during a sync, so that an older image can never replace a newer one. Its value is the
    /// batch count of the newest image.
    imaged: Mutex<u64>,
    poison: Poison,
}

#[derive(Default)]
struct State {
    rows: Rows,
    /// Batches applied since the engine was opened.
    batch_count: u64,
}

impl MemoryEngine {
    /// An engine that forgets everything when it is dropped.
    pub fn volatile() -> Self {
        Self::with_rows(Rows::default(), None)
    }

    /// The engine whose newest image is in this store; empty when there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] when the image fails its checks: nothing is loaded then.
    /// [`Error::Backend`] when it cannot be read.
    pub fn open(images: Arc<dyn ImageStore>) -> Result<Self, Error> {
        let rows = match images.load() {
            Ok(Some(chunks)) => decode(chunks)?,
            Ok(None) => Rows::default(),
            Err(source) => return Err(Error::backend("open the memory image", source)),
        };
        Ok(Self::with_rows(rows, Some(images)))
    }

    fn with_rows(rows: Rows, images: Option<Arc<dyn ImageStore>>) -> Self {
        Self {
            state: RwLock::new(State { rows, batch_count: 0 }),
            images,
            imaged: Mutex::new(0),
            poison: Poison::default(),
        }
    }

    /// The state as it is now; it costs reference counts and holds no lock afterwards.
    fn rows(&self) -> Rows {
        self.read_state().rows.clone()
    }

    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().expect("no code that holds this lock can panic")
    }

    fn save_image(
        &self,
        images: &dyn ImageStore,
        mut imaged: MutexGuard<'_, u64>,
    ) -> Result<(), Error> {
        let (rows, batch_count) = {
            let state = self.read_state();
            (state.rows.clone(), state.batch_count)
        };
        assert!(*imaged <= batch_count, "image of {imaged} batches, but only {batch_count} exist");
        if *imaged == batch_count {
            return Ok(());
        }
        images
            .save(&mut encode(&rows))
            .map_err(|source| Error::backend("save the memory image", source))?;
        *imaged = batch_count;
        Ok(())
    }
}

impl Read for MemoryEngine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.read_state().rows.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        range: &Range,
        direction: Direction,
        visit: &mut dyn FnMut(&Bytes, &Bytes) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.rows().scan(family, range, direction, visit)
    }
}

impl Engine for MemoryEngine {
    fn write(&self, batch: Batch) -> Result<(), Error> {
        self.poison.check()?;
        let mut state = self.state.write().expect("no code that holds this lock can panic");
        state.rows.apply(&batch);
        state.batch_count += 1;
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        let imaged = self.imaged.lock().expect("a panic in an image store is not survivable");
        // Asked with the lock held, so that a sync that waited behind a failed one fails too.
        self.poison.check()?;
        let Some(images) = &self.images else { return Ok(()) };
        let outcome = self.save_image(images.as_ref(), imaged);
        self.poison.guard(outcome)
    }

    fn view(&self) -> Result<Box<dyn View>, Error> {
        Ok(Box::new(self.rows()))
    }

    fn stats(&self) -> Stats {
        let memory_bytes = self.read_state().rows.bytes();
        let disk_bytes = if self.images.is_some() { memory_bytes } else { 0 };
        Stats { name: "memory", disk_bytes, memory_bytes }
    }
}

/// An image in memory: for tests, where "durable" is "outlives the engine".
#[derive(Debug, Default)]
pub struct MemoryImageStore {
    image: Mutex<Option<Vec<Bytes>>>,
}

impl ImageStore for MemoryImageStore {
    fn load(&self) -> Result<Option<Chunks<'_>>, StoreError> {
        let image = self.image.lock().map_err(|_| "a save panicked")?.clone();
        Ok(image.map(|chunks| Box::new(chunks.into_iter().map(Ok)) as Chunks<'_>))
    }

    fn save(&self, chunks: &mut dyn Iterator<Item = Bytes>) -> Result<(), StoreError> {
        let chunks: Vec<_> = chunks.collect();
        *self.image.lock().map_err(|_| "a save panicked")? = Some(chunks);
        Ok(())
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
