//! Readers, a syncer and a writer at once: nobody sees half a batch.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bytes::Bytes;
use kontiki_engine::{Batch, Direction, Engine, Family, Range, Read};
use kontiki_engine_fjall::FjallEngine;

const BATCHES: u32 = 1500;
const ROWS: u32 = 40;

#[test]
fn no_reader_sees_half_a_batch() {
    let directory = crate::directory();
    let engine = FjallEngine::open(directory.path()).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..BATCHES {
                engine.write(batch(number)).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                engine.sync().unwrap();
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                assert_one_state(&engine);
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let view = engine.view().unwrap();
                let first = assert_one_state(view.as_ref());
                let in_meta = view.get(Family::Meta, b"row 0000").unwrap();
                assert_eq!(in_meta, first, "families of one view differ");
            }
        });
    });
    let newest = Bytes::from((BATCHES - 1).to_string());
    assert_eq!(assert_one_state(&engine), Some(newest));
}

fn batch(number: u32) -> Batch {
    let mut batch = Batch::default();
    for row in 0..ROWS {
        // Twice: a batch may change a row again, and nobody may see the first time.
        batch.put(Family::Default, format!("row {row:04}"), "overwritten in the same batch");
    }
    for row in 0..ROWS {
        batch.put(Family::Default, format!("row {row:04}"), number.to_string());
    }
    batch.put(Family::Meta, "row 0000", number.to_string());
    batch
}

/// All rows carry the same number, which is returned.
fn assert_one_state(read: &dyn Read) -> Option<Bytes> {
    let mut values = Vec::new();
    read.scan(Family::Default, &Range::all(), Direction::Forward, &mut |_, value| {
        values.push(value.clone());
        ControlFlow::Continue(())
    })
    .unwrap();
    let first = values.first().cloned();
    assert!(values.iter().all(|value| Some(value) == first.as_ref()), "{values:?}");
    assert!(values.is_empty() || values.len() == ROWS as usize, "{} rows", values.len());
    first
}
