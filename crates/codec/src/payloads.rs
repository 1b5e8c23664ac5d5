//! The data of a `Normal` entry: payloads one after another, each with its length.
//!
//! Proposals that wait for the same loop turn merge into one entry (multiraft); apply takes them
//! apart again. What a payload means is decided by the state machine.

use bytes::Bytes;

use crate::Result;
use crate::wire::{put_bytes, split_bytes, varint_len};

/// Collects payloads into the data of one entry.
#[derive(Default, Debug)]
pub struct Builder {
    out: Vec<u8>,
    count: usize,
}

impl Builder {
    /// No payloads, room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), count: 0 }
    }

    /// Adds a payload.
    pub fn push(&mut self, payload: &[u8]) {
        put_bytes(&mut self.out, payload);
        self.count += 1;
    }

    /// Bytes of the data so far.
    pub fn bytes(&self) -> usize {
        self.out.len()
    }

    /// Payloads so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The data of the entry.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.out)
    }
}

/// Bytes a payload of this length takes in an entry.
pub fn framed_len(payload_len: usize) -> usize {
    varint_len(payload_len as u64) + payload_len
}

/// The payloads of an entry's data, in place; ends after the first error.
pub fn iter(data: &[u8]) -> Iter<'_> {
    Iter { rest: data }
}

/// See [`iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = Result<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let split = split_bytes(self.rest);
        self.rest = split.as_ref().map_or(&[], |(_, rest)| rest);
        Some(split.map(|(payload, _)| payload))
    }
}
