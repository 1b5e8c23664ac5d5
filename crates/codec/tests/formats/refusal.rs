//! Damaged bytes are refused, and no bytes at all make a decoder panic.

use bytes::Bytes;
use kontiki_codec::wire::{Reader, whole};
use kontiki_codec::{
    Error, Result, entry, frame, hard_state, membership, message, payloads, snapshot,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::generate;

/// Decodes arbitrary bytes; whatever passes must encode to the same bytes again (canonical).
fn survive<T>(
    bytes: &Bytes,
    decode: impl Fn(&mut Reader) -> Result<T>,
    encode: impl Fn(&mut Vec<u8>, &T),
) {
    if let Ok(value) = whole(bytes.clone(), decode) {
        let mut out = Vec::new();
        encode(&mut out, &value);
        assert_eq!(Bytes::from(out), bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_prefix_and_every_flipped_byte_of_a_frame_is_refused(
        messages in generate::messages(),
        flip in 1..=255_u8,
    ) {
        let good = frame::encode(messages.iter().map(|(group, message)| (*group, message)));
        for len in 0..good.len() {
            prop_assert!(frame::decode(good.slice(..len)).is_err(), "prefix of {} passes", len);
        }
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= flip;
            prop_assert!(frame::decode(Bytes::from(bad)).is_err(), "flip at {} passes", at);
        }
        prop_assert!(frame::decode(good).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in generate::data(60)) {
        survive(&bytes, entry::decode, entry::encode);
        survive(&bytes, hard_state::decode, hard_state::encode);
        survive(&bytes, membership::decode, membership::encode);
        survive(&bytes, snapshot::decode, snapshot::encode);
        survive(&bytes, message::decode, |out, (group, message)| {
            message::encode(out, *group, message);
        });
        let _ = frame::decode(bytes.clone());
        let _ = payloads::iter(bytes).count();
    }

    /// Small numbers are likelier to be counts, tags and flags that lead deeper into a decoder.
    #[test]
    fn arbitrary_small_bytes_never_panic(bytes in vec(0..14_u8, 0..60).prop_map(Bytes::from)) {
        survive(&bytes, entry::decode, entry::encode);
        survive(&bytes, membership::decode, membership::encode);
        survive(&bytes, snapshot::decode, snapshot::encode);
        survive(&bytes, message::decode, |out, (group, message)| {
            message::encode(out, *group, message);
        });
        let _ = payloads::iter(bytes).count();
    }
}

#[test]
fn a_count_without_items_reserves_nothing() {
    // 2^62 peers claimed in ten bytes.
    let claim = Bytes::from_static(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40, 0]);
    assert_eq!(whole(claim, membership::decode), Err(Error::Truncated));
}

#[test]
fn a_peer_that_occurs_twice_is_refused() {
    let twice = Bytes::from_static(&[2, 7, 1, 0, 7, 2, 1]);
    assert_eq!(membership::from_bytes(twice), Err(Error::Corrupt("peers are not in order of id")));
}

#[test]
fn a_frame_of_a_newer_version_says_so() {
    let mut newer = frame::encode([]).to_vec();
    newer[0] = 2;
    assert_eq!(frame::decode(Bytes::from(newer)), Err(Error::Version(2)));
}

#[test]
fn varints_longer_than_needed_or_than_64_bits_are_refused() {
    for bytes in
        [&[0x80, 0][..], &[0xff; 10], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]]
    {
        assert!(Reader::new(Bytes::copy_from_slice(bytes)).varint().is_err(), "{bytes:x?}");
    }
}
