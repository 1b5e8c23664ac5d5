//! The header of a segment: one page, two copies, durable before the segment gets its name.
//!
//! Written by [`crate::prepare`], read first of all at open. The first 16 bytes keep their meaning
//! in every format to come, so that an old release can tell a newer format from damage.

use kontiki_codec::crc;

use crate::limits::PAGE_BYTES;

/// Offset of the first frame.
pub(crate) const HEADER_BYTES: u64 = PAGE_BYTES;
/// The format this code writes, and the newest it reads.
pub(crate) const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"kontikiw";
/// The copies stand in different sectors, so that one bad sector leaves the other.
const COPIES: [usize; 2] = [0, 2048];
const COPY_BYTES: usize = 56;
/// Salts of the two checksums; any constants do.
const SALT_PREFIX: u64 = 0x7072_6566;
const SALT_HEADER: u64 = 0x6865_6164;

/// What a segment says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// Its number, also its name.
    pub(crate) number: u64,
    /// Salts every checksum in it; another one each time the file is reused.
    pub(crate) incarnation: u64,
    /// Its size.
    pub(crate) bytes: u64,
    /// Newest frame known durable when it was made.
    pub(crate) synced: u64,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unusable {
    /// A newer release wrote it in this format.
    Newer(u32),
    /// Neither copy passes its checksum, or the file bears the name of another segment.
    Damaged,
}

impl Header {
    /// The page that begins the segment.
    pub(crate) fn to_page(self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(COPY_BYTES);
        copy.extend_from_slice(&MAGIC);
        copy.extend_from_slice(&VERSION.to_le_bytes());
        copy.extend_from_slice(&crc::salted(SALT_PREFIX, &copy).to_le_bytes());
        for field in [self.number, self.incarnation, self.bytes, self.synced] {
            copy.extend_from_slice(&field.to_le_bytes());
        }
        copy.extend_from_slice(&crc::salted(SALT_HEADER, &copy).to_le_bytes());
        copy.resize(COPY_BYTES, 0);
        let mut page = Vec::with_capacity(4096);
        for at in COPIES {
            page.resize(at, 0);
            page.extend_from_slice(&copy);
        }
        page.resize(usize::try_from(HEADER_BYTES).expect("a page fits in memory"), 0);
        page
    }

    /// Reads the header of the segment called `number`.
    pub(crate) fn from_page(page: &[u8], number: u64) -> Result<Self, Unusable> {
        let copies = COPIES.map(|at| read_copy(page.get(at..).unwrap_or_default()));
        if let Some(newer) = copies.iter().find(|copy| matches!(copy, Err(Unusable::Newer(_)))) {
            return *newer;
        }
        let whole = copies.into_iter().flatten().find(|header| header.number == number);
        whole.ok_or(Unusable::Damaged)
    }
}

fn read_copy(bytes: &[u8]) -> Result<Header, Unusable> {
    let bytes = bytes.get(..COPY_BYTES).ok_or(Unusable::Damaged)?;
    let prefix_whole = crc::salted(SALT_PREFIX, &bytes[..12]) == u32_at(bytes, 12);
    if !bytes.starts_with(&MAGIC) || !prefix_whole {
        return Err(Unusable::Damaged);
    }
    let version = u32_at(bytes, 8);
    if version > VERSION {
        return Err(Unusable::Newer(version));
    }
    if crc::salted(SALT_HEADER, &bytes[..48]) != u32_at(bytes, 48) {
        return Err(Unusable::Damaged);
    }
    Ok(Header {
        number: u64_at(bytes, 16),
        incarnation: u64_at(bytes, 24),
        bytes: u64_at(bytes, 32),
        synced: u64_at(bytes, 40),
    })
}

/// Four bytes, little end first; zero beyond the end, which no checksum accepts.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

/// Eight bytes, little end first; zero beyond the end.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { number: 7, incarnation: 99, bytes: 8192, synced: 3 };

    #[test]
    fn one_whole_copy_is_enough() {
        let page = HEADER.to_page();
        assert_eq!(Header::from_page(&page, 7), Ok(HEADER));
        assert_eq!(Header::from_page(&page, 8), Err(Unusable::Damaged), "another name");
        for at in 0..52 {
            let mut bad = page.clone();
            bad[at] ^= 1;
            assert_eq!(Header::from_page(&bad, 7), Ok(HEADER), "first copy, byte {at}");
            bad[2048 + at] ^= 1;
            assert_eq!(Header::from_page(&bad, 7), Err(Unusable::Damaged), "both, byte {at}");
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut page = HEADER.to_page();
        for at in COPIES {
            page[at + 8] = 2;
            let prefix = crc::salted(SALT_PREFIX, &page[at..at + 12]);
            page[at + 12..at + 16].copy_from_slice(&prefix.to_le_bytes());
        }
        assert_eq!(Header::from_page(&page, 7), Err(Unusable::Newer(2)));
    }
}
