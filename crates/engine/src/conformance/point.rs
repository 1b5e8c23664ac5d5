//! Single rows: put, get, overwrite, delete; and keys with every kind of byte.

use bytes::Bytes;

use super::model::{Model, show};
use super::{Harness, Verdict, ensure};
use crate::limits::KEY_BYTES_MAX;
use crate::{Batch, Family};

/// What is put is got; what is deleted is gone; empty and large values are values.
pub(super) fn values(harness: &mut dyn Harness) -> Verdict {
    let engine = harness.open()?;
    let mut model = Model::default();
    let steps: [(&'static str, Option<Bytes>); 8] = [
        ("a", Some(Bytes::from("1"))),
        ("b", Some(Bytes::new())),
        ("a", Some(Bytes::from("2"))),
        ("c", None),
        ("a", None),
        ("b", Some(Bytes::from(vec![b'x'; 1 << 20]))),
        ("a", Some(Bytes::from("back"))),
        ("b", None),
    ];
    ensure!(engine.get(Family::Default, b"a")?.is_none(), "a fresh engine has a row");
    for (key, value) in steps {
        let mut batch = Batch::default();
        match &value {
            Some(value) => batch.put(Family::Default, key, value.clone()),
            None => batch.delete(Family::Default, key),
        }
        model.write(engine.as_ref(), batch)?;
        let found = engine.get(Family::Default, key.as_bytes())?;
        ensure!(found == value, "get of {key} differs from what was just written");
        model.check_all(engine.as_ref())?;
    }
    ensure!(engine.get(Family::Default, b"")?.is_none(), "the empty key has a value");
    engine.write(Batch::default())?;
    model.check_all(engine.as_ref())
}

/// Keys of every kind of byte, in unsigned order; neighbours are different rows.
pub(super) fn keys(harness: &mut dyn Harness) -> Verdict {
    let engine = harness.open()?;
    let mut model = Model::default();
    let mut all: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    for base in [&b"\x00"[..], b"\x7f", b"\x80", b"\xff", b"key"] {
        for tail in [&b"\x00"[..], b"\x00\x00", b"\x00\xff", b"\x01", b"\x7f\x80", b"\xff\xff"] {
            all.push([base, tail].concat());
        }
    }
    for byte in [0, b'k', u8::MAX] {
        all.push(vec![byte; KEY_BYTES_MAX - 1]);
        all.push(vec![byte; KEY_BYTES_MAX]);
    }
    let mut batch = Batch::default();
    for key in &all {
        batch.put(Family::Write, Bytes::from(key.clone()), format!("value of {}", show(key)));
    }
    model.write(engine.as_ref(), batch)?;
    model.check_all(engine.as_ref())?;

    // Every second one goes; its neighbours stay.
    let mut batch = Batch::default();
    for key in all.iter().step_by(2) {
        batch.delete(Family::Write, Bytes::from(key.clone()));
    }
    model.write(engine.as_ref(), batch)?;
    model.check_all(engine.as_ref())?;
    let absent = engine.get(Family::Write, &vec![b'k'; KEY_BYTES_MAX + 1])?;
    ensure!(absent.is_none(), "a key over the limit has a value");
    Ok(())
}
