//! Segments are made ready away from the hot path: pre-written (or recycled), headed, named,
//! synced.
//!
//! The host runs [`prepare_segment`] and [`remove_segments`] on any thread; they touch only files
//! that the log does not use. A segment that crashes half-way is known by its name and removed at
//! the next open.

use std::io;

use crate::header::Header;
use crate::limits::{PAGE_BYTES, PREWRITE_SYNC_BYTES};
use crate::{Disk, Error, File, name};

/// Bytes of zeroes written at once.
const CHUNK_BYTES: usize = 1024 * 1024;

/// An order for one segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentRequest {
    /// What the segment will say about itself.
    pub(crate) header: Header,
    /// A freed segment to recycle, by name.
    pub(crate) recycle: Option<String>,
}

/// A segment ready to be written.
#[derive(Debug)]
pub struct Prepared<F> {
    /// What it says about itself.
    pub(crate) header: Header,
    /// The open file.
    pub(crate) file: F,
}

/// Makes the ordered segment: pre-written with zeroes or recycled, headed, durable under its name.
///
/// Zeroes are written and synced, not only reserved, because a sync of a file whose blocks were
/// never written must change the file system's own records, which takes two to three times as long.
///
/// # Errors
/// Whatever the disk reports. What was written is removed, if the disk lets it, so that a full disk
/// is not filled further; else the next open removes it.
pub fn prepare_segment<D: Disk>(
    disk: &D,
    request: &SegmentRequest,
) -> Result<Prepared<D::File>, Error> {
    let unfinished = name::unfinished(request.header.number);
    let prepared = try_prepare(disk, request, &unfinished);
    if prepared.is_err() {
        // The first error is the one to report; this removal is a courtesy.
        let _ = disk.remove(&unfinished);
    }
    prepared
}

fn try_prepare<D: Disk>(
    disk: &D,
    request: &SegmentRequest,
    unfinished: &str,
) -> Result<Prepared<D::File>, Error> {
    let header = request.header;
    let mut file = match recycled(disk, request, unfinished)? {
        Some(file) => file,
        None => prewritten(disk, header.bytes, unfinished)?,
    };
    // The header before the name: a file with a segment's name always has a header.
    file.write_at(0, &header.to_page()).map_err(|e| Error::io("write", unfinished, e))?;
    file.sync().map_err(|e| Error::io("sync", unfinished, e))?;
    let finished = name::segment(header.number);
    disk.rename(unfinished, &finished).map_err(|e| Error::io("rename", unfinished, e))?;
    sync_dir(disk)?;
    Ok(Prepared { header, file })
}

/// Removes freed segment files.
///
/// # Errors
/// Whatever the disk reports; what is left is removed at the next open.
pub fn remove_segments<D: Disk>(disk: &D, names: &[String]) -> Result<(), Error> {
    if names.is_empty() {
        return Ok(());
    }
    for name in names {
        match disk.remove(name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("remove", name, error)),
        }
    }
    sync_dir(disk)
}

/// Syncs the directory.
pub(crate) fn sync_dir<D: Disk>(disk: &D) -> Result<(), Error> {
    disk.sync_dir().map_err(|e| Error::io("sync the directory", "", e))
}

/// The freed file under its new name, if there is one and it has the right size.
fn recycled<D: Disk>(
    disk: &D,
    request: &SegmentRequest,
    unfinished: &str,
) -> Result<Option<D::File>, Error> {
    let Some(old) = &request.recycle else { return Ok(None) };
    match disk.rename(old, unfinished) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("rename", old, error)),
    }
    // Durable before the header changes, so that no crash leaves a new header under the old name.
    sync_dir(disk)?;
    let file = disk.open(unfinished).map_err(|e| Error::io("open", unfinished, e))?;
    let len = file.len().map_err(|e| Error::io("measure", unfinished, e))?;
    Ok((len == request.header.bytes).then_some(file))
}

/// A new file full of zeroes that are on the medium.
fn prewritten<D: Disk>(disk: &D, bytes: u64, unfinished: &str) -> Result<D::File, Error> {
    assert!(bytes.is_multiple_of(PAGE_BYTES), "segments are whole pages, not {bytes} bytes");
    let mut file = disk.create(unfinished).map_err(|e| Error::io("create", unfinished, e))?;
    let zeroes = vec![0; CHUNK_BYTES.min(usize::try_from(bytes).unwrap_or(CHUNK_BYTES))];
    let mut offset = 0;
    while offset < bytes {
        let len = zeroes.len().min(usize::try_from(bytes - offset).unwrap_or(zeroes.len()));
        file.write_at(offset, &zeroes[..len]).map_err(|e| Error::io("write", unfinished, e))?;
        offset += len as u64;
        if offset.is_multiple_of(PREWRITE_SYNC_BYTES) {
            file.sync().map_err(|e| Error::io("sync", unfinished, e))?;
        }
    }
    Ok(file)
}
