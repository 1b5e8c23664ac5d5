//! Batches: the order inside one, and a big one as one.

use bytes::Bytes;

use super::model::Model;
use super::{Harness, Verdict, ensure};
use crate::{Batch, Family, Read};

/// Rows of the big batch: several times what engines buffer or block at once.
const BIG_BATCH_ROWS: u32 = 20_000;

/// Operations on one key in one batch apply in order: the last one wins, also after a restart.
pub(super) fn order(harness: &mut dyn Harness) -> Verdict {
    let engine = harness.open()?;
    let mut model = Model::default();
    let mut batch = Batch::default();
    batch.put(Family::Default, "old", "0");
    batch.put(Family::Default, "recreated", "0");
    model.write(engine.as_ref(), batch)?;

    let mut batch = Batch::default();
    batch.put(Family::Default, "put put", "1");
    batch.put(Family::Default, "put put", "2");
    batch.put(Family::Default, "put delete", "1");
    batch.delete(Family::Default, "put delete");
    batch.delete(Family::Default, "delete put");
    batch.put(Family::Default, "delete put", "2");
    batch.put(Family::Default, "old", "1");
    batch.delete(Family::Default, "old");
    batch.delete(Family::Default, "recreated");
    batch.put(Family::Default, "recreated", "2");
    for number in 0..100 {
        batch.put(Family::Meta, "counter", number.to_string());
        batch.put(Family::Lock, "counter", (1000 - number).to_string());
    }
    model.write(engine.as_ref(), batch)?;
    check_order(engine.as_ref())?;
    model.check_all(engine.as_ref())?;

    engine.sync()?;
    drop(engine);
    let engine = harness.open()?;
    check_order(engine.as_ref())?;
    model.check_all(engine.as_ref())
}

fn check_order(read: &dyn Read) -> Verdict {
    let expected = [
        ("put put", Some("2")),
        ("put delete", None),
        ("delete put", Some("2")),
        ("old", None),
        ("recreated", Some("2")),
    ];
    for (key, value) in expected {
        let found = read.get(Family::Default, key.as_bytes())?;
        ensure!(found == value.map(Bytes::from), "\"{key}\" in one batch left {found:?}");
    }
    let counter = read.get(Family::Meta, b"counter")?;
    ensure!(counter == Some(Bytes::from("99")), "the last of 100 puts is not {counter:?}");
    Ok(())
}

/// One batch of many rows in all families arrives whole and stays whole.
pub(super) fn big(harness: &mut dyn Harness) -> Verdict {
    let engine = harness.open()?;
    let mut model = Model::default();
    let mut batch = Batch::default();
    for number in 0..BIG_BATCH_ROWS {
        let family = Family::ALL[number as usize % Family::COUNT];
        // Spread over the key space, so that insertion is not in key order.
        let key = number.wrapping_mul(0x9e37_79b1).to_be_bytes();
        batch.put(family, Bytes::copy_from_slice(&key), vec![b'v'; number as usize % 300]);
    }
    model.write(engine.as_ref(), batch)?;
    model.check_all(engine.as_ref())?;
    engine.sync()?;
    drop(engine);
    model.check_all(harness.open()?.as_ref())
}
