//! The traits: what every engine can do, and what it promises about it.
//!
//! `store` codes against these and nothing else; adapters (`engine-fjall`, …) implement them and
//! prove it with the conformance suite. All of them are object-safe: the rest of the system holds
//! an `Arc<dyn Engine>`. Nothing here knows about regions, Raft or time.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::{Batch, Error, Family, Range, Stats};

/// The order in which a scan visits the rows of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key of the range to the largest.
    Forward,
    /// From the largest key of the range to the smallest.
    Backward,
}

/// Reading, shared by engines (the newest state) and views (a state that never changes).
pub trait Read {
    /// The value of a key, or `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] or [`Error::Damaged`] when the storage below cannot be read.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Calls `visit` with the key and value of each row in the range, in order, until it breaks.
    ///
    /// One scan sees one consistent state, also when it runs on an engine beside writers.
    /// `visit` must not write to the engine it scans.
    ///
    /// # Errors
    ///
    /// As [`Read::get`]; rows visited before the error were good.
    fn scan(
        &self,
        family: Family,
        range: &Range,
        direction: Direction,
        visit: &mut dyn FnMut(&Bytes, &Bytes) -> ControlFlow<()>,
    ) -> Result<(), Error>;
}

/// A consistent state of all families, taken between two batches; it never changes.
///
/// A view holds back the reclamation of old data: drop it when done.
pub trait View: Read + Send {}

/// An ordered key-value store with atomic batches over four families.
///
/// See the crate documentation for the contract in full. Reads see every write that returned.
pub trait Engine: Read + Send + Sync + 'static {
    /// Applies a batch: all of it or nothing, after all batches written before.
    ///
    /// Visible to reads when it returns, but *not durable* until a later [`Engine::sync`]: not
    /// even the death of the process need leave it.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] the first time; the engine is poisoned from then on, and every later
    /// write and sync is [`Error::Poisoned`]. Whether a failed batch is visible is not defined,
    /// so a caller must stop serving from this engine.
    fn write(&self, batch: Batch) -> Result<(), Error>;

    /// Makes all writes that returned before this call durable.
    ///
    /// May be called from another thread while writes go on; those may or may not be included.
    ///
    /// # Errors
    ///
    /// As [`Engine::write`]: a failed sync poisons the engine, because after it nobody knows
    /// what reached the disk.
    fn sync(&self) -> Result<(), Error>;

    /// A view of the state after all writes that returned before this call.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] when the storage below cannot give one.
    fn view(&self) -> Result<Box<dyn View>, Error>;

    /// Estimates of what the engine occupies; cheap enough for every heartbeat.
    fn stats(&self) -> Stats;
}
