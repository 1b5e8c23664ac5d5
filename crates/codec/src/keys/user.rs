//! Full keys: space byte, keyspace, user key. Regions are ranges over them.
//!
//! ```text
//! 'r' | keyspace (3 bytes, big end first) | user key
//! ```
//!
//! Servers and clients make full keys from what users say; commands, regions and the engine know
//! full keys only. The engine orders rows as users order their keys, because nothing is escaped.

use bytes::Bytes;
use kontiki_types::KeyRange;
use kontiki_types::limits::KEY_BYTES_MAX;

/// The space of raw data. Sequences, locks and transactions get others, so that plain deletes
/// cannot hit them.
pub const SPACE_RAW: u8 = b'r';

/// Bytes in front of the user key.
pub const PREFIX_BYTES: usize = 4;

/// Longest full key, in bytes.
pub const FULL_KEY_BYTES_MAX: usize = PREFIX_BYTES + KEY_BYTES_MAX;

/// A tenant's part of the key space: 24 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Keyspace(u32);

impl Keyspace {
    /// The keyspace of everyone who did not ask for another.
    pub const DEFAULT: Self = Self(0);

    /// The keyspace of this number, if it fits 24 bits.
    pub fn new(number: u32) -> Option<Self> {
        (number < 1 << 24).then_some(Self(number))
    }

    /// Its number.
    pub fn number(self) -> u32 {
        self.0
    }

    fn prefix(self) -> [u8; PREFIX_BYTES] {
        let [_, high, middle, low] = self.0.to_be_bytes();
        [SPACE_RAW, high, middle, low]
    }

    /// The first prefix behind this keyspace; after the last one, the next space.
    fn prefix_end(self) -> Bytes {
        match Self::new(self.0 + 1) {
            Some(next) => Bytes::copy_from_slice(&next.prefix()),
            None => Bytes::from_static(&[SPACE_RAW + 1]),
        }
    }
}

/// The full key of a user's key.
pub fn raw_key(keyspace: Keyspace, user_key: &[u8]) -> Bytes {
    let mut key = Vec::with_capacity(PREFIX_BYTES + user_key.len());
    key.extend_from_slice(&keyspace.prefix());
    key.extend_from_slice(user_key);
    Bytes::from(key)
}

/// The full range of a user's range; without an end, to the end of the keyspace.
pub fn raw_range(keyspace: Keyspace, range: &KeyRange) -> KeyRange {
    let end = match &range.end {
        Some(end) => raw_key(keyspace, end),
        None => keyspace.prefix_end(),
    };
    KeyRange::new(raw_key(keyspace, &range.start), Some(end))
}

/// The user's part of a full raw key; `None` for keys of other spaces.
pub fn user_key(key: &[u8]) -> Option<&[u8]> {
    key.split_first_chunk::<PREFIX_BYTES>()
        .filter(|([space, ..], _)| *space == SPACE_RAW)
        .map(|(_, user_key)| user_key)
}

/// As [`user_key`], sharing the memory of the key.
pub fn user_key_shared(key: &Bytes) -> Option<Bytes> {
    user_key(key).map(|_| key.slice(PREFIX_BYTES..))
}

/// The keyspace of a full raw key; `None` for keys of other spaces.
pub fn keyspace(key: &[u8]) -> Option<Keyspace> {
    match key.first_chunk::<PREFIX_BYTES>() {
        Some(&[SPACE_RAW, high, middle, low]) => {
            Some(Keyspace(u32::from_be_bytes([0, high, middle, low])))
        }
        _ => None,
    }
}

/// True for a full key of raw data that is not too long.
pub fn is_raw_key(key: &[u8]) -> bool {
    key.len() <= FULL_KEY_BYTES_MAX && user_key(key).is_some()
}

/// True for a range that holds nothing but raw keys, with bounds that are not too long.
pub fn is_raw_range(range: &KeyRange) -> bool {
    range.start.len() <= FULL_KEY_BYTES_MAX
        && range.start.first() == Some(&SPACE_RAW)
        && range.end.as_ref().is_some_and(|end| {
            end.len() <= FULL_KEY_BYTES_MAX && end.as_ref() <= [SPACE_RAW + 1].as_slice()
        })
}

/// The rows of the default family that belong to a region of this range. Raw rows stand under
/// their full key, so the ranges are equal; rows of transactions will be mapped here.
#[must_use]
pub fn region_rows(range: &KeyRange) -> KeyRange {
    range.clone()
}
