//! Segments are made ready away from the hot path: pre-written (or recycled), headed, named, synced.
//!
//! The host runs [`prepare_segment`] and [`remove_segments`] on any thread; they touch only files
//! that the log does not use. A segment that crashes half-way is known by its name and removed.

use crate::{Disk, Error};

/// An order for one segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentRequest {
    /// Its number: segments are filled in ascending order of it.
    pub(crate) number: u64,
    /// Salts its checksums.
    pub(crate) incarnation: u64,
    /// Its size.
    pub(crate) bytes: u64,
    /// Newest frame known durable when the request was made.
    pub(crate) synced: u64,
    /// A freed segment to recycle, by name.
    pub(crate) recycle: Option<String>,
}

/// A segment ready to be written.
#[derive(Debug)]
pub struct Prepared<F> {
    /// The order it meets.
    pub(crate) request: SegmentRequest,
    /// The open file.
    pub(crate) file: F,
}

/// Makes the ordered segment: pre-written with zeroes or recycled, headed, durable under its name.
///
/// # Errors
/// Whatever the disk reports; leftovers are removed by the next attempt or at the next open.
pub fn prepare_segment<D: Disk>(
    disk: &D,
    request: SegmentRequest,
) -> Result<Prepared<D::File>, Error> {
    let _ = (disk, request);
    unimplemented!("being written")
}

/// Removes freed segment files.
///
/// # Errors
/// Whatever the disk reports; what is left is removed at the next open.
pub fn remove_segments<D: Disk>(disk: &D, names: &[String]) -> Result<(), Error> {
    let _ = (disk, names);
    unimplemented!("being written")
}
