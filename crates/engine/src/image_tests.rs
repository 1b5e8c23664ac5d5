//! Damage of every kind to an image: each must be reported, none may load.

use bytes::Bytes;

use super::{Chunks, decode, encode};
use crate::rows::Rows;
use crate::{Batch, Error, Family};

fn sample() -> Rows {
    let mut batch = Batch::default();
    for number in 0..600_u32 {
        let family = Family::ALL[number as usize % Family::COUNT];
        batch.put(family, Bytes::from(format!("key {number}")), vec![7_u8; 256]);
    }
    batch.put(Family::Default, "empty", "");
    let mut rows = Rows::default();
    rows.apply(&batch);
    rows
}

fn image(rows: &Rows) -> Vec<Bytes> {
    encode(rows).collect()
}

fn load(chunks: impl IntoIterator<Item = Bytes>) -> Result<Rows, Error> {
    let chunks: Vec<_> = chunks.into_iter().collect();
    decode(Box::new(chunks.into_iter().map(Ok)) as Chunks<'_>)
}

fn assert_damaged(chunks: impl IntoIterator<Item = Bytes>, what: &str) {
    match load(chunks) {
        Err(Error::Damaged { .. }) => {}
        Err(other) => panic!("{what}: {other}"),
        Ok(rows) => panic!("{what}: loaded {} rows", rows.len()),
    }
}

#[test]
fn rows_come_back_whatever_the_chunks() {
    for rows in [sample(), Rows::default()] {
        let whole = Bytes::from(image(&rows).concat());
        assert!(load(image(&rows)).unwrap() == rows);
        assert!(load([whole.clone()]).unwrap() == rows);
        let crumbs = whole.chunks(3).map(Bytes::copy_from_slice);
        assert!(load(crumbs).unwrap() == rows);
    }
    assert!(image(&sample()).len() > 3, "the sample must have several blocks");
}

#[test]
fn a_value_larger_than_a_block_is_its_own_block() {
    let mut rows = Rows::default();
    rows.insert(Family::Write, Bytes::from("big"), vec![1_u8; 1 << 20].into());
    rows.insert(Family::Write, Bytes::from("small"), Bytes::from("x"));
    assert!(load(image(&rows)).unwrap() == rows);
}

#[test]
fn every_flipped_byte_is_reported() {
    let whole = image(&sample()).concat();
    // Each position near the start, then a stride that is prime to the row size.
    for position in (0..300).chain((300..whole.len()).step_by(131)) {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x40;
        assert_damaged([Bytes::from(damaged)], &format!("flipped byte {position}"));
    }
}

#[test]
fn every_cut_is_reported() {
    let whole = image(&sample()).concat();
    for length in (0..whole.len()).step_by(997).chain([whole.len() - 1]) {
        assert_damaged([Bytes::copy_from_slice(&whole[..length])], &format!("cut at {length}"));
    }
}

#[test]
fn lost_swapped_repeated_and_extra_blocks_are_reported() {
    let blocks = image(&sample());

    let mut lost = blocks.clone();
    lost.remove(2);
    assert_damaged(lost, "lost block");

    let mut swapped = blocks.clone();
    swapped.swap(1, 2);
    assert_damaged(swapped, "swapped blocks");

    let mut repeated = blocks.clone();
    repeated.insert(2, repeated[1].clone());
    assert_damaged(repeated, "repeated block");

    let mut without_end = blocks.clone();
    without_end.pop();
    assert_damaged(without_end, "no end");

    let mut extra = blocks;
    extra.push(Bytes::from_static(b"x"));
    assert_damaged(extra, "extra byte");
}

#[test]
fn a_read_failure_is_not_damage() {
    let chunks: Chunks<'_> = Box::new(std::iter::once(Err("cable pulled".into())));
    let Err(error) = decode(chunks) else { panic!("loaded") };
    assert!(matches!(error, Error::Backend { .. }), "{error}");
}
