//! What is encoded decodes to the same value, and what decodes encodes to the same bytes.

use std::fmt::Debug;

use bytes::Bytes;
use kontiki_codec::wire::{Reader, put_varint, varint_len, whole};
use kontiki_codec::{Result, entry, frame, hard_state, membership, payloads, snapshot};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::generate;

/// Encodes, decodes, compares; then appends a byte, which a whole must refuse.
fn check<T: PartialEq + Debug>(
    value: &T,
    encode: impl Fn(&mut Vec<u8>, &T),
    decode: impl Fn(&mut Reader) -> Result<T>,
) {
    let mut out = Vec::new();
    encode(&mut out, value);
    assert_eq!(whole(Bytes::from(out.clone()), &decode).as_ref(), Ok(value));
    out.push(0);
    assert!(whole(Bytes::from(out), &decode).is_err(), "a byte too many passes");
}

proptest! {
    #[test]
    fn varints(value in generate::number()) {
        check(&value, |out, &value| put_varint(out, value), Reader::varint);
        let mut out = Vec::new();
        put_varint(&mut out, value);
        prop_assert_eq!(out.len(), varint_len(value));
    }

    #[test]
    fn entries(value in generate::entry()) {
        check(&value, entry::encode, entry::decode);
    }

    #[test]
    fn hard_states(value in generate::hard_state()) {
        check(&value, hard_state::encode, hard_state::decode);
    }

    #[test]
    fn memberships(value in generate::membership()) {
        check(&value, membership::encode, membership::decode);
        prop_assert_eq!(membership::from_bytes(membership::to_bytes(&value)), Ok(value));
    }

    #[test]
    fn snapshots(value in generate::snapshot()) {
        check(&value, snapshot::encode, snapshot::decode);
    }

    #[test]
    fn frames(messages in generate::messages()) {
        let frame = frame::encode(messages.iter().map(|(group, message)| (*group, message)));
        prop_assert_eq!(frame::decode(frame), Ok(messages));
    }

    #[test]
    fn payload_lists(list in vec(generate::data(300), 0..8)) {
        let mut builder = payloads::Builder::default();
        let mut bytes = 0;
        for payload in &list {
            builder.push(payload);
            bytes += payloads::framed_len(payload.len());
            prop_assert_eq!(builder.bytes(), bytes);
        }
        prop_assert_eq!(builder.count(), list.len());
        let back: Result<Vec<_>> = payloads::iter(builder.finish()).collect();
        prop_assert_eq!(back, Ok(list));
    }
}
