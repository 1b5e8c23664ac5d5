//! Finding the frames of one segment, also behind damage.
//!
//! First half of recovery: which frames are there, whether they are whole, and what the newest of
//! them knew to be durable. Decides nothing; [`crate::recover`] does. A clean segment is read
//! frame after frame; where a head does not pass, every eighth byte is asked whether one begins
//! there, because a frame behind a bad one tells damage from a torn end.
//!
//! Most of a segment is pre-written zeroes, and a store that was killed is missing until it has
//! looked at all of them: so they are not kept ([`read_used`]), and of what a recycled segment held
//! before, little is looked at twice ([`next_candidate`]).

use crate::frame::{Head, Marks, Salt, align, head_bytes};
use crate::header::{HEADER_BYTES, Header, u32_at};
use crate::limits::FRAME_ALIGN;
use crate::{Error, File, name};

/// Bytes read at once.
const WINDOW_BYTES: usize = 1024 * 1024;
/// What is compared with at once.
static ZEROES: [u8; 4096] = [0; 4096];
/// Frames begin on multiples of this.
const WORD_BYTES: usize = 8;
const _: () = assert!(WORD_BYTES as u64 == FRAME_ALIGN, "one and the same");

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
        let len = read_used(&file, header, buffer)?;
        let frames = find_frames(buffer, len, header.salt());
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

/// Reads a segment up to `end` or to the end of its file.
pub(crate) fn read_upto<F: File>(
    file: &F,
    header: Header,
    end: u64,
    buffer: &mut Vec<u8>,
) -> Result<(), Error> {
    let bytes = usize::try_from(end.min(header.bytes)).expect("a segment fits in memory");
    buffer.resize(bytes, 0);
    let name = name::segment(header.number);
    let len = file.read_at(0, buffer).map_err(|e| Error::io("read", &name, e))?;
    buffer.truncate(len);
    Ok(())
}

/// Reads a segment, up to the size its header tells, without the zeroes at its end; returns the
/// number of bytes there are with them.
fn read_used<F: File>(file: &F, header: Header, buffer: &mut Vec<u8>) -> Result<u64, Error> {
    let name = name::segment(header.number);
    let mut window = vec![0; WINDOW_BYTES.min(usize::try_from(header.bytes).unwrap_or(usize::MAX))];
    buffer.clear();
    let mut offset = 0;
    while offset < header.bytes {
        let wanted = usize::try_from(header.bytes - offset)
            .map_or(window.len(), |left| left.min(window.len()));
        let part = &mut window[..wanted];
        let len = file.read_at(offset, part).map_err(|e| Error::io("read", &name, e))?;
        let used = used_bytes(&part[..len]);
        if used > 0 {
            // With the zeroes that were passed over before.
            buffer.resize(usize::try_from(offset).expect("a segment fits in memory"), 0);
            buffer.extend_from_slice(&part[..used]);
        }
        offset += len as u64;
        if len < wanted {
            break;
        }
    }
    // A head may end in zeroes and reach into the next page.
    let end = usize::try_from(offset).expect("a segment fits in memory");
    buffer.resize(end.min(buffer.len() + ZEROES.len()), 0);
    Ok(offset)
}

/// Bytes up to the last page that is not all zeroes.
fn used_bytes(bytes: &[u8]) -> usize {
    let mut end = bytes.len();
    while let Some(page) = end.checked_sub(1).map(|last| last / ZEROES.len() * ZEROES.len()) {
        if bytes[page..end] != ZEROES[..end - page] {
            break;
        }
        end = page;
    }
    end
}

/// The head at this offset and whether its sections pass, if there is one. `segment` may lack
/// zeroes at its end, up to `len`; those that a frame claims are put back.
fn frame_at(segment: &mut Vec<u8>, len: u64, salt: Salt, offset: u64) -> Option<(Head, bool)> {
    let at = usize::try_from(offset).ok()?;
    let head = Head::read(segment.get(at..)?, len - offset, salt, offset)?;
    let end = usize::try_from(offset + head.bytes).ok()?;
    if segment.len() < end {
        segment.resize(end, 0);
    }
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

/// The frames of a segment of `len` bytes, whose zeroes at the end `segment` may lack.
fn find_frames(segment: &mut Vec<u8>, len: u64, salt: Salt) -> Vec<Found> {
    let mut frames = Vec::new();
    let mut offset = HEADER_BYTES;
    while let Some(candidate) = next_candidate(segment, offset) {
        let Some((head, whole)) = frame_at(segment, len, salt, candidate) else {
            offset = candidate + FRAME_ALIGN;
            continue;
        };
        offset = candidate;
        frames.push(Found { offset, bytes: head.bytes, marks: head.marks, whole });
        offset = align(offset + head.bytes);
    }
    frames
}

/// Where a head may begin at or after this offset: where its length fits its number of sections.
///
/// A recycled segment holds eight million places to look at, and a store that was killed is
/// missing until it has: so this looks at nothing else.
fn next_candidate(segment: &[u8], offset: u64) -> Option<u64> {
    let rest = segment.get(usize::try_from(offset).ok()?..)?;
    // The length stands in the second half of the first word, the number in that of the second.
    let halves = rest.chunks_exact(WORD_BYTES).map(|word| u64::from(u32_at(word, 4)));
    let words = halves.clone().zip(halves.skip(1));
    let at = words.into_iter().position(|(len, count)| len == head_bytes(count))?;
    Some(offset + at as u64 * FRAME_ALIGN)
}
