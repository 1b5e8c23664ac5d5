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

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(cut: usize) -> Bytes {
        let mut data = payloads::Builder::default();
        data.push(b"one");
        data.push(b"");
        data.push(b"three");
        let data = data.finish();
        data.slice(..data.len() - cut)
    }

    fn seen(payloads: &Payloads) -> Vec<(&[u8], Option<Token>)> {
        payloads.iter().map(|payload| (payload.data, payload.token)).collect()
    }

    #[test]
    fn each_payload_comes_with_its_caller_where_there_is_one() {
        let tokens = [5, 6, 9].map(Token);
        let [first, second, third] = tokens.map(Some);
        let awaited = Payloads::new(entry(0), tokens.to_vec());
        assert_eq!(seen(&awaited), [(&b"one"[..], first), (b"", second), (b"three", third)]);
        let unawaited = Payloads::new(entry(0), Vec::new());
        assert_eq!(seen(&unawaited), [(&b"one"[..], None), (b"", None), (b"three", None)]);
        assert!(seen(&Payloads::default()).is_empty());
    }

    #[test]
    fn what_does_not_decode_is_an_empty_payload_and_the_last() {
        let payloads = Payloads::new(entry(1), Vec::new());
        assert_eq!(seen(&payloads), [(&b"one"[..], None), (b"", None), (b"", None)]);
    }

    #[test]
    fn a_payload_that_is_kept_shares_the_memory_of_its_entry() {
        let payloads = Payloads::new(entry(0), Vec::new());
        for payload in &payloads {
            let kept = payload.to_bytes();
            assert_eq!(kept, payload.data);
            assert!(kept.is_empty() || kept.as_ptr() == payload.data.as_ptr());
        }
    }
}
