//! Damaged bytes are refused, and no bytes at all make a decoder panic.

use bytes::Bytes;
use kontiki_codec::keys::{MetaKey, user, user_key};
use kontiki_codec::wire::{Reader, whole};
use kontiki_codec::{
    Error, Result, apply_state, command, entry, frame, hard_state, hello, install_marker,
    membership, message, outcome, outcome_record, payloads, region, region_snapshot, session,
    snapshot, snapshot_chunk, store_ident, value,
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

/// As [`survive`], for rows and payloads.
fn survive_row<T>(
    bytes: &Bytes,
    from_bytes: impl Fn(Bytes) -> Result<T>,
    to_bytes: impl Fn(&T) -> Bytes,
) {
    if let Ok(value) = from_bytes(bytes.clone()) {
        assert_eq!(to_bytes(&value), bytes);
    }
}

fn survive_everything(bytes: &Bytes) {
    survive(bytes, entry::decode, entry::encode);
    survive(bytes, hard_state::decode, hard_state::encode);
    survive(bytes, membership::decode, membership::encode);
    survive(bytes, snapshot::decode, snapshot::encode);
    survive(bytes, message::decode, |out, (group, message)| {
        message::encode(out, *group, message);
    });
    survive_row(bytes, command::from_bytes, command::to_bytes);
    survive_row(bytes, outcome::from_bytes, |list| outcome::to_bytes(list));
    survive_row(bytes, region::from_bytes, region::to_bytes);
    survive_row(bytes, session::from_bytes, session::to_bytes);
    survive_row(bytes, outcome_record::from_bytes, outcome_record::to_bytes);
    survive_row(bytes, apply_state::from_bytes, apply_state::to_bytes);
    survive_row(bytes, store_ident::from_bytes, |ident| store_ident::to_bytes(*ident));
    survive_row(bytes, hello::from_bytes, hello::to_bytes);
    survive_row(bytes, install_marker::from_bytes, install_marker::to_bytes);
    survive_row(bytes, value::from_bytes, value::to_bytes);
    let _ = frame::decode(bytes.clone());
    let _ = payloads::iter(bytes).count();
    let _ = region_snapshot::decode(bytes.clone());
    // Behind a checksum that matches, too.
    for kind in 0..6 {
        let _ = region_snapshot::decode(snapshot_chunk::encode(0, kind, bytes));
    }
    if let Some(key) = MetaKey::from_bytes(bytes) {
        assert_eq!(key.to_bytes(), bytes);
    }
    let _ = (user_key(bytes), user::keyspace(bytes), user::is_raw_key(bytes));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_prefix_and_every_flipped_byte_of_a_chunk_is_refused(
        part in generate::part(),
        flip in 1..=255_u8,
    ) {
        let good = region_snapshot::encode(7, &part);
        for len in 0..good.len() {
            prop_assert!(region_snapshot::decode(good.slice(..len)).is_err());
        }
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= flip;
            prop_assert!(region_snapshot::decode(Bytes::from(bad)).is_err(), "flip at {}", at);
        }
    }

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
        survive_everything(&bytes);
    }

    /// Small numbers are likelier to be counts, tags and flags that lead deeper into a decoder.
    #[test]
    fn arbitrary_small_bytes_never_panic(bytes in vec(0..14_u8, 0..60).prop_map(Bytes::from)) {
        survive_everything(&bytes);
    }

    /// The right version and plausible beginnings, then anything.
    #[test]
    fn damaged_rows_never_panic(
        batch in generate::write_batch(),
        record in generate::record(),
        session in generate::session(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let rows = [
            command::to_bytes(&batch),
            outcome_record::to_bytes(&record),
            session::to_bytes(&session),
        ];
        for row in rows {
            let mut bad = row.to_vec();
            let at = at.index(bad.len());
            bad[at] = byte;
            survive_everything(&Bytes::from(bad));
        }
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
