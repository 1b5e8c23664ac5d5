//! Finding the frames of one segment, also behind damage.
//!
//! First half of recovery: which frames are there, whether they are whole, and what the newest of
//! them knew to be durable. Decides nothing; [`crate::recover`] does. A clean segment is read
//! frame after frame; where a head does not pass, every eighth byte is asked whether one begins
//! there, because a frame behind a bad one tells damage from a torn end.

use crate::frame::{Head, Marks, Salt, align};
use crate::header::{HEADER_BYTES, Header};
use crate::limits::FRAME_ALIGN;
use crate::{Error, File, name};

/// A frame whose head passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    /// Where it begins.
    pub(crate) offset: u64,
    /// Bytes of head and sections.
    pub(crate) bytes: u64,
    /// What it tells.
    pub(crate) marks: Marks,
    /// Every section passed as well.
    pub(crate) whole: bool,
}

/// A segment with a usable header, and its frames.
#[derive(Debug)]
pub(crate) struct Scanned<F> {
    /// What it says about itself.
    pub(crate) header: Header,
    /// The open file.
    pub(crate) file: F,
    /// Its length; less than the header says when someone cut it.
    pub(crate) len: u64,
    /// Frames, by offset.
    pub(crate) frames: Vec<Found>,
}

impl<F: File> Scanned<F> {
    /// Reads the whole segment into `buffer` and lists its frames.
    pub(crate) fn scan(header: Header, file: F, buffer: &mut Vec<u8>) -> Result<Self, Error> {
        let len = read_all(&file, header, buffer)?;
        let frames = find_frames(buffer, header);
        Ok(Self { header, file, len, frames })
    }

    /// Where the next frame goes.
    pub(crate) fn end(&self) -> u64 {
        self.frames.last().map_or(HEADER_BYTES, |frame| align(frame.offset + frame.bytes))
    }

    /// The file is as long as the header says.
    pub(crate) fn is_full_length(&self) -> bool {
        self.len >= self.header.bytes
    }
}

impl Header {
    /// The salt of everything in the segment.
    pub(crate) fn salt(&self) -> Salt {
        Salt { incarnation: self.incarnation, number: self.number }
    }
}

/// Reads a segment, up to the size its header tells; returns the number of bytes there are.
pub(crate) fn read_all<F: File>(
    file: &F,
    header: Header,
    buffer: &mut Vec<u8>,
) -> Result<u64, Error> {
    let bytes = usize::try_from(header.bytes).expect("a segment fits in memory");
    buffer.resize(bytes, 0);
    let name = name::segment(header.number);
    let len = file.read_at(0, buffer).map_err(|e| Error::io("read", &name, e))?;
    buffer.truncate(len);
    Ok(len as u64)
}

/// The head at this offset and whether its sections pass, if there is one.
pub(crate) fn frame_at(segment: &[u8], salt: Salt, offset: u64) -> Option<(Head, bool)> {
    let at = usize::try_from(offset).ok()?;
    let head = Head::read(segment.get(at..)?, salt, offset)?;
    let whole = head.placed(offset).all(|(at, section)| {
        section_bytes(segment, at, section.len)
            .is_some_and(|bytes| salt.crc(at, bytes) == section.crc)
    });
    Some((head, whole))
}

/// The bytes of a section.
pub(crate) fn section_bytes(segment: &[u8], offset: u64, len: u32) -> Option<&[u8]> {
    let at = usize::try_from(offset).ok()?;
    segment.get(at..at.checked_add(len as usize)?)
}

fn find_frames(segment: &[u8], header: Header) -> Vec<Found> {
    let salt = header.salt();
    let mut frames = Vec::new();
    let mut offset = HEADER_BYTES;
    while offset < segment.len() as u64 {
        let Some((head, whole)) = frame_at(segment, salt, offset) else {
            offset += FRAME_ALIGN;
            continue;
        };
        frames.push(Found { offset, bytes: head.bytes, marks: head.marks, whole });
        offset = align(offset + head.bytes);
    }
    frames
}
