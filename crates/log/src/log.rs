//! The log itself: frames of records into the active segment, one sync for all.
//!
//! Called by the host's log-writer thread and by nobody else. It never waits, never retries, and
//! never says that something is durable unless a sync that began after the write returned well.

use std::marker::PhantomData;

use crate::prepare::{Prepared, SegmentRequest};
use crate::{Collected, Config, Disk, Error, Record, Recovered, Stats, WriteStats};

/// The shared write-ahead log of a store.
pub struct Log<D: Disk> {
    disk: PhantomData<D>,
}

impl<D: Disk> Log<D> {
    /// Opens the log in this directory, or begins one, and returns what it holds.
    ///
    /// # Errors
    /// When the disk refuses, or the directory was written by a newer release. Damage is no error:
    /// it is in [`Recovered`].
    pub fn open(disk: D, config: Config) -> Result<(Self, Recovered), Error> {
        config.check()?;
        let _ = disk;
        unimplemented!("being written")
    }

    /// Writes the records as one frame. NOT durable before [`Self::sync`] returns.
    ///
    /// # Errors
    /// A prefix of the records may have been written; trying the same records again is safe.
    pub fn write(&mut self, records: &[Record]) -> Result<WriteStats, Error> {
        let _ = records;
        unimplemented!("being written")
    }

    /// Makes everything written durable. Does nothing when everything is.
    ///
    /// # Errors
    /// Any error poisons the log: every later call fails with [`Error::Poisoned`].
    pub fn sync(&mut self) -> Result<(), Error> {
        unimplemented!("being written")
    }

    /// Notes in the log, without a sync, that everything written is durable. Call it when there is
    /// nothing to do: damage to the last frames can then be told from a torn write.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn rest(&mut self) -> Result<(), Error> {
        unimplemented!("being written")
    }

    /// How many segments the pool lacks.
    pub fn wants_segments(&self) -> usize {
        unimplemented!("being written")
    }

    /// The next segment to prepare, when one is wanted and none is being prepared. Run
    /// [`crate::prepare_segment`] with it on another thread, then [`Self::add_ready`] or
    /// [`Self::prepare_failed`].
    pub fn segment_request(&mut self) -> Option<SegmentRequest> {
        unimplemented!("being written")
    }

    /// Takes a prepared segment into the pool.
    pub fn add_ready(&mut self, prepared: Prepared<D::File>) {
        let _ = prepared;
        unimplemented!("being written")
    }

    /// The request could not be met; another may be asked for.
    pub fn prepare_failed(&mut self, request: SegmentRequest) {
        let _ = request;
        unimplemented!("being written")
    }

    /// Frees the oldest segments that nothing needs, rewriting small leftovers.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn collect(&mut self) -> Result<Collected, Error> {
        unimplemented!("being written")
    }

    /// Files that are neither needed nor wanted for the pool: remove them with
    /// [`crate::remove_segments`] on another thread. Each is named once.
    pub fn take_removable(&mut self) -> Vec<String> {
        unimplemented!("being written")
    }

    /// Numbers about the log.
    pub fn stats(&self) -> Stats {
        unimplemented!("being written")
    }
}
