//! What callers proposed, as a state machine gets it: the payloads of one entry, in place.
//!
//! They are taken apart as they are looked at, by whoever applies them. Nothing is made or counted
//! for each of them before: with small payloads that would cost more than the rest of the way.

use bytes::Bytes;
use kontiki_codec::payloads;

use crate::Token;

/// The payloads that were merged into one entry, in their order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Payloads {
    data: Bytes,
    /// Of whoever waits, one for each payload; none where the entry was not proposed.
    tokens: Vec<Token>,
}

impl Payloads {
    /// What this data holds, with the callers who wait on this very node: one for each payload, or
    /// none at all.
    pub fn new(data: Bytes, tokens: Vec<Token>) -> Self {
        Self { data, tokens }
    }

    /// One after another. What does not decode comes as an empty payload, and is the last: the
    /// state machine refuses it, the same on every replica, and the group goes on.
    pub fn iter(&self) -> Iter<'_> {
        Iter { entry: self, rest: payloads::iter(&self.data), tokens: self.tokens.iter() }
    }

    /// Who waits for them, in the same order.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Bytes of all of them, lengths included.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }
}

impl<'a> IntoIterator for &'a Payloads {
    type Item = Payload<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// What one caller proposed.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// Opaque to consensus.
    pub data: &'a [u8],
    /// Set when a caller on this very node waits for the reply.
    pub token: Option<Token>,
    entry: &'a Bytes,
}

impl Payload<'_> {
    /// The data, to be kept: shares the memory of the whole entry.
    pub fn to_bytes(&self) -> Bytes {
        self.entry.slice_ref(self.data)
    }
}

/// See [`Payloads::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    entry: &'a Payloads,
    rest: payloads::Iter<'a>,
    tokens: std::slice::Iter<'a, Token>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Payload<'a>;

    fn next(&mut self) -> Option<Payload<'a>> {
        let data = self.rest.next()?.unwrap_or_default();
        Some(Payload { data, token: self.tokens.next().copied(), entry: &self.entry.data })
    }
}
