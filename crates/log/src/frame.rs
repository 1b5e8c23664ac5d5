//! Frames: a head that says whose sections follow, and the sections, one per group.
//!
//! Built by the writer, found again by [`crate::scan`]. Every checksum is salted with the segment's
//! incarnation and number and with the offset, so bytes of another life of the file, or whole
//! frames in the wrong place, never pass. The layout is drawn in `docs/internals/disk-format.md`.

use kontiki_codec::crc;
use kontiki_types::RegionId;

use crate::broken::{self, Broken};
use crate::header::{u32_at, u64_at};
use crate::limits::{FRAME_ALIGN, PAGE_BYTES};

/// Bytes of a head without sections.
pub(crate) const HEAD_BYTES: usize = 56;
/// Bytes of one section's line in the head.
pub(crate) const SECTION_HEAD_BYTES: usize = 24;

/// Where checksums get their salt from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Salt {
    /// Of the segment.
    pub(crate) incarnation: u64,
    /// Of the segment.
    pub(crate) number: u64,
}

impl Salt {
    /// Checksum of bytes that begin at this offset of the segment.
    pub(crate) fn crc(self, offset: u64, bytes: &[u8]) -> u32 {
        if broken::is(Broken::Salt) {
            return crc::salted(0, bytes);
        }
        let place = crc::append(
            crc::salted(self.incarnation, &self.number.to_le_bytes()),
            &offset.to_le_bytes(),
        );
        crc::append(place, bytes)
    }
}

/// What every frame tells beside its sections.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Marks {
    /// Sequence number: one more than that of the frame before, through the whole life of the log.
    pub(crate) seq: u64,
    /// Newest frame known durable when this one was written.
    pub(crate) synced: u64,
    /// Oldest segment that the log needs.
    pub(crate) oldest: u64,
    /// First frame of that segment.
    pub(crate) start: u64,
    /// The segment in which the log goes on, when this is the last frame of its own; else 0.
    pub(crate) next: u64,
}

/// One group's part of a frame, as the head tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Section {
    /// Whose.
    pub(crate) group: RegionId,
    /// The frame with the group's section before this one; 0: the group begins here.
    pub(crate) previous: u64,
    /// Length in bytes.
    pub(crate) len: u32,
    /// Checksum under the salt of its own offset.
    pub(crate) crc: u32,
}

/// The head of a frame that passed its checksum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    /// What it tells.
    pub(crate) marks: Marks,
    /// Its sections, in order; their bytes follow the head without gaps.
    pub(crate) sections: Vec<Section>,
    /// Bytes of head and sections.
    pub(crate) bytes: u64,
}

impl Head {
    /// Reads the head that begins at `bytes`, which stand at `offset` of a segment, `room` bytes
    /// before its end. Nothing when there is none.
    pub(crate) fn read(bytes: &[u8], room: u64, salt: Salt, offset: u64) -> Option<Self> {
        let (head_len, body_len, count) = (u32_at(bytes, 4), u32_at(bytes, 8), u32_at(bytes, 12));
        // Cheap tests first: the search for frames behind damage asks at every eighth byte.
        if u64::from(head_len) != head_bytes(u64::from(count)) {
            return None;
        }
        let total = u64::from(head_len) + u64::from(body_len);
        if total > room {
            return None;
        }
        let head = bytes.get(..head_len as usize)?;
        if salt.crc(offset, &head[4..]) != u32_at(head, 0) {
            return None;
        }
        let sections: Vec<Section> = head[HEAD_BYTES..]
            .chunks_exact(SECTION_HEAD_BYTES)
            .map(|line| Section {
                group: RegionId(u64_at(line, 0)),
                previous: u64_at(line, 8),
                len: u32_at(line, 16),
                crc: u32_at(line, 20),
            })
            .collect();
        let sections_len: u64 = sections.iter().map(|section| u64::from(section.len)).sum();
        if sections_len != u64::from(body_len) {
            return None;
        }
        let marks = Marks {
            seq: u64_at(head, 16),
            synced: u64_at(head, 24),
            oldest: u64_at(head, 32),
            start: u64_at(head, 40),
            next: u64_at(head, 48),
        };
        Some(Self { marks, sections, bytes: total })
    }

    /// Each section with the offset of its bytes, for a frame that begins at `offset`.
    pub(crate) fn placed(&self, offset: u64) -> impl Iterator<Item = (u64, Section)> + '_ {
        let first = offset + head_bytes(self.sections.len() as u64);
        self.sections.iter().scan(first, |at, &section| {
            let start = *at;
            *at += u64::from(section.len);
            Some((start, section))
        })
    }
}

/// Bytes of a head with this many sections.
pub(crate) fn head_bytes(sections: u64) -> u64 {
    HEAD_BYTES as u64 + sections * SECTION_HEAD_BYTES as u64
}

/// Offset at which the frame after one that ends at `end` begins.
pub(crate) fn align(end: u64) -> u64 {
    end.next_multiple_of(FRAME_ALIGN)
}

/// A frame under construction. Reused, so that writing allocates nothing once warm.
#[derive(Default, Debug)]
pub(crate) struct Builder {
    bytes: Vec<u8>,
    sections: Vec<Section>,
    /// Where the section under construction begins.
    open_at: usize,
}

impl Builder {
    /// Begins a frame of this many sections.
    pub(crate) fn begin(&mut self, sections: usize) {
        self.bytes.clear();
        self.sections.clear();
        self.bytes.resize(HEAD_BYTES + sections * SECTION_HEAD_BYTES, 0);
        self.open_at = self.bytes.len();
    }

    /// Where the records of the section under construction go.
    pub(crate) fn body(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the section under construction.
    pub(crate) fn end_section(&mut self, group: RegionId, previous: u64) {
        let len = self.bytes.len() - self.open_at;
        assert!(len > 0, "an empty section of {group}");
        let len = u32::try_from(len).expect("a frame is smaller than a segment");
        self.sections.push(Section { group, previous, len, crc: 0 });
        self.open_at = self.bytes.len();
    }

    /// Bytes of the frame, before alignment.
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Computes every checksum for this place and pads to the end of the page.
    pub(crate) fn seal(&mut self, marks: Marks, salt: Salt, offset: u64) -> &[u8] {
        let head_len = HEAD_BYTES + self.sections.len() * SECTION_HEAD_BYTES;
        assert!(self.open_at == self.bytes.len(), "a section was not ended");
        let mut at = head_len;
        for section in &mut self.sections {
            let end = at + section.len as usize;
            section.crc = salt.crc(offset + at as u64, &self.bytes[at..end]);
            at = end;
        }
        assert!(at == self.bytes.len(), "sections end at {at} of {}", self.bytes.len());
        let head = self.head(marks, head_len);
        self.bytes[..head_len].copy_from_slice(&head);
        let crc = salt.crc(offset, &self.bytes[4..head_len]);
        self.bytes[..4].copy_from_slice(&crc.to_le_bytes());
        // Whole pages: the kernel need not read a page of a recycled file before changing it, and
        // the reader finds zeroes, not an older life, behind the last frame.
        let end = (offset + self.bytes.len() as u64).next_multiple_of(PAGE_BYTES) - offset;
        self.bytes.resize(usize::try_from(end).expect("a frame fits in memory"), 0);
        &self.bytes
    }

    /// The sections with the offsets of their bytes, after [`Self::seal`].
    pub(crate) fn placed(&self, offset: u64) -> impl Iterator<Item = (u64, Section)> + '_ {
        let first = offset + head_bytes(self.sections.len() as u64);
        self.sections.iter().scan(first, |at, &section| {
            let start = *at;
            *at += u64::from(section.len);
            Some((start, section))
        })
    }

    fn head(&self, marks: Marks, head_len: usize) -> Vec<u8> {
        let narrow = |len: usize| u32::try_from(len).expect("a frame is smaller than a segment");
        let mut head = Vec::with_capacity(head_len);
        head.extend_from_slice(&[0; 4]);
        head.extend_from_slice(&narrow(head_len).to_le_bytes());
        head.extend_from_slice(&narrow(self.bytes.len() - head_len).to_le_bytes());
        head.extend_from_slice(&narrow(self.sections.len()).to_le_bytes());
        for field in [marks.seq, marks.synced, marks.oldest, marks.start, marks.next] {
            head.extend_from_slice(&field.to_le_bytes());
        }
        for section in &self.sections {
            head.extend_from_slice(&section.group.0.to_le_bytes());
            head.extend_from_slice(&section.previous.to_le_bytes());
            head.extend_from_slice(&section.len.to_le_bytes());
            head.extend_from_slice(&section.crc.to_le_bytes());
        }
        head
    }
}
