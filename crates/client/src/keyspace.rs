//! How a user key stands in the ordered space: space byte `r`, 3 bytes of keyspace, the user key.
//!
//! The same layout is known to `kontiki-codec`, which clients may not import; a test of the store
//! process holds the two against each other. Pure.

use bytes::{BufMut, Bytes, BytesMut};
use kontiki_types::KeyRange;

/// The space of raw data.
const SPACE_RAW: u8 = b'r';
/// Bytes before the user key.
const PREFIX_BYTES: usize = 4;

/// A tenant's part of the key space. The default one is 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Keyspace(u32);

impl Keyspace {
    /// The greatest number a keyspace can have.
    pub const MAX: u32 = 0x00ff_ffff;

    /// The keyspace of this number; nothing when it is greater than [`Keyspace::MAX`].
    pub fn new(number: u32) -> Option<Self> {
        (number <= Self::MAX).then_some(Self(number))
    }

    /// The keys that start every key of this keyspace.
    fn prefix(self) -> [u8; PREFIX_BYTES] {
        let number = self.0.to_be_bytes();
        [SPACE_RAW, number[1], number[2], number[3]]
    }

    /// The full key of a user key.
    pub fn raw_key(self, user_key: &[u8]) -> Bytes {
        let mut key = BytesMut::with_capacity(PREFIX_BYTES + user_key.len());
        key.put_slice(&self.prefix());
        key.put_slice(user_key);
        key.freeze()
    }

    /// The full keys of a range of user keys; no `end` means to the end of the keyspace.
    pub fn raw_range(self, start: &[u8], end: Option<&[u8]>) -> KeyRange {
        let end = match end {
            Some(end) => self.raw_key(end),
            None => Bytes::copy_from_slice(&self.end()),
        };
        KeyRange::new(self.raw_key(start), Some(end))
    }

    /// The first key after the keyspace.
    fn end(self) -> [u8; PREFIX_BYTES] {
        match Self::new(self.0 + 1) {
            Some(next) => next.prefix(),
            None => [SPACE_RAW + 1, 0, 0, 0],
        }
    }

    /// The user key of a full key of this keyspace, sharing its memory; nothing for other keys.
    pub fn user_key(self, raw_key: &Bytes) -> Option<Bytes> {
        raw_key.starts_with(&self.prefix()).then(|| raw_key.slice(PREFIX_BYTES..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_ranges_stay_in_their_keyspace() {
        let last = Keyspace::new(Keyspace::MAX).unwrap();
        assert_eq!(Keyspace::new(Keyspace::MAX + 1), None);
        for keyspace in [Keyspace::default(), Keyspace::new(0x01_02ff).unwrap(), last] {
            let all = keyspace.raw_range(b"", None);
            for user_key in [&b""[..], b"\0", b"\xff\xff\xff\xff\xff", b"k"] {
                let raw = keyspace.raw_key(user_key);
                assert!(all.contains(&raw), "{raw:?} outside {all:?}");
                assert_eq!(keyspace.user_key(&raw).as_deref(), Some(user_key));
            }
        }
        assert_eq!(Keyspace(0x01_02ff).raw_key(b"k"), &b"r\x01\x02\xffk"[..]);
        assert_eq!(Keyspace(0x01_02ff).end(), *b"r\x01\x03\x00");
        assert_eq!(last.end(), *b"s\0\0\0");
        assert_eq!(last.user_key(&Bytes::from_static(b"r\0\0\0k")), None);
    }
}
