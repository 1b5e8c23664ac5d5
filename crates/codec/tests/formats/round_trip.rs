//! What is encoded decodes to the same value, and what decodes encodes to the same bytes.

use std::fmt::Debug;

use bytes::Bytes;
use kontiki_codec::hello;
use kontiki_codec::install_marker::{self, InstallMarker};
use kontiki_codec::keys::{Keyspace, MetaKey, meta, raw_key, raw_range, user, user_key};
use kontiki_codec::store_ident::{self, StoreIdent};
use kontiki_codec::value::{self, Value};
use kontiki_codec::wire::{Reader, put_varint, varint_len, whole};
use kontiki_codec::{
    Result, apply_state, command, entry, frame, hard_state, membership, outcome, outcome_record,
    payloads, region, region_snapshot, session, snapshot, snapshot_chunk,
};
use kontiki_types::{ClusterId, StoreId};
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

/// As [`check`], for rows and payloads.
fn check_row<T: PartialEq + Debug>(
    value: &T,
    to_bytes: impl Fn(&T) -> Bytes,
    from_bytes: impl Fn(Bytes) -> Result<T>,
) {
    let row = to_bytes(value);
    assert_eq!(from_bytes(row.clone()).as_ref(), Ok(value));
    for len in 0..row.len() {
        assert!(from_bytes(row.slice(..len)).is_err(), "prefix of {len} passes");
    }
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
        let data = builder.finish();
        let back: Result<Vec<_>> = payloads::iter(&data).collect();
        prop_assert_eq!(back, Ok(list.iter().map(|payload| &payload[..]).collect()));
    }

    #[test]
    fn commands(batch in generate::write_batch()) {
        check_row(&batch, command::to_bytes, command::from_bytes);
    }

    #[test]
    fn outcomes(list in generate::outcomes()) {
        check_row(&list, |list| outcome::to_bytes(list), outcome::from_bytes);
    }

    #[test]
    fn regions(value in generate::region()) {
        check_row(&value, region::to_bytes, region::from_bytes);
    }

    #[test]
    fn sessions(value in generate::session()) {
        check_row(&value, session::to_bytes, session::from_bytes);
    }

    /// A record ends with its row, so a prefix may be a shorter record; never the same one.
    #[test]
    fn outcome_records(value in generate::record()) {
        let row = outcome_record::to_bytes(&value);
        prop_assert_eq!(outcome_record::from_bytes(row.clone()), Ok(value.clone()));
        for len in 0..row.len() {
            prop_assert_ne!(outcome_record::from_bytes(row.slice(..len)), Ok(value.clone()));
        }
    }

    #[test]
    fn apply_states(value in generate::apply_state()) {
        check_row(&value, apply_state::to_bytes, apply_state::from_bytes);
    }

    #[test]
    fn idents_and_markers(
        cluster in generate::number(),
        store in generate::number(),
        meta in generate::snapshot(),
    ) {
        let ident = StoreIdent { cluster: ClusterId(cluster), store: StoreId(store) };
        check_row(&ident, |ident| store_ident::to_bytes(*ident), store_ident::from_bytes);
        let marker = InstallMarker { spool: store, meta };
        check_row(&marker, install_marker::to_bytes, install_marker::from_bytes);
        let hello = generate::a_hello(cluster, store);
        check_row(&hello, hello::to_bytes, hello::from_bytes);
        assert!(hello::to_bytes(&hello).len() <= hello::BYTES_MAX);
    }

    #[test]
    fn values(expires_ms in proptest::option::of(generate::number()), data in generate::data(300)) {
        let value = Value { expires_ms, data: data.clone() };
        prop_assert_eq!(value::from_bytes(value::to_bytes(&value)), Ok(value));
        let plain = Value { expires_ms: None, data: data.clone() };
        prop_assert_eq!(value::from_bytes(value::plain(&data)), Ok(plain));
    }

    #[test]
    fn chunks(sequence in generate::number(), part in generate::part()) {
        let chunk = region_snapshot::encode(sequence, &part);
        prop_assert_eq!(snapshot_chunk::decode(chunk.clone()).map(|c| c.sequence), Ok(sequence));
        prop_assert_eq!(region_snapshot::decode(chunk), Ok((sequence, part)));
    }

    #[test]
    fn meta_keys_keep_their_order_and_their_region(
        one in generate::meta_key(),
        other in generate::meta_key(),
    ) {
        prop_assert_eq!(MetaKey::from_bytes(&one.to_bytes()), Some(one));
        prop_assert_eq!(one.cmp(&other), one.to_bytes().cmp(&other.to_bytes()));
        if let MetaKey::Region(region, _) = one {
            prop_assert!(one.to_bytes().starts_with(&meta::region_prefix(region)));
            prop_assert!(one.to_bytes().starts_with(meta::REGIONS_PREFIX));
        }
    }

    #[test]
    fn raw_keys_order_as_users_order_theirs(
        keyspace in 0..1_u32 << 24,
        one in generate::data(10),
        other in generate::data(10),
    ) {
        let keyspace = Keyspace::new(keyspace).unwrap();
        let full = raw_key(keyspace, &one);
        prop_assert_eq!(user_key(&full), Some(&one[..]));
        prop_assert_eq!(user::user_key_shared(&full), Some(one.clone()));
        prop_assert_eq!(user::keyspace(&full), Some(keyspace));
        prop_assert!(user::is_raw_key(&full));
        prop_assert_eq!(full.cmp(&raw_key(keyspace, &other)), one.cmp(&other));
    }

    #[test]
    fn raw_ranges_hold_what_users_mean(
        keyspace in prop_oneof![Just((1_u32 << 24) - 1), Just(0xff_u32), 0..1_u32 << 24],
        range in generate::range(),
        key in generate::data(10),
    ) {
        let keyspace = Keyspace::new(keyspace).unwrap();
        let full = raw_range(keyspace, &range);
        prop_assert!(user::is_raw_range(&full));
        prop_assert_eq!(full.contains(&raw_key(keyspace, &key)), range.contains(&key));
        if let Some(next) = Keyspace::new(keyspace.number() + 1) {
            prop_assert!(!full.contains(&raw_key(next, &key)));
        }
    }
}
