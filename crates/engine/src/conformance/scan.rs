//! Scans: every kind of bound, both ways, and stopping early.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::model::{Model, collect};
use super::{Harness, Verdict, ensure};
use crate::limits::KEY_BYTES_MAX;
use crate::{Batch, Direction, Engine, Family, Range};

fn fill(engine: &dyn Engine, keys: &[&'static str]) -> Result<Model, super::Violation> {
    let mut model = Model::default();
    let mut batch = Batch::default();
    for key in keys {
        batch.put(Family::Default, *key, format!("value of {key}"));
        batch.put(Family::Lock, format!("{key} elsewhere"), "must not be seen");
    }
    model.write(engine, batch)?;
    Ok(model)
}

/// Every pair of bounds: on a key, beside one, before the first, behind the last, inverted.
pub(super) fn bounds(harness: &mut dyn Harness) -> Verdict {
    let engine = harness.open()?;
    let mut model = fill(engine.as_ref(), &["a", "b", "b\0", "ba", "c", "e", "f"])?;
    let mut batch = Batch::default();
    batch.put(Family::Default, vec![b'd'; KEY_BYTES_MAX], "the longest key");
    batch.delete(Family::Default, "e");
    model.write(engine.as_ref(), batch)?;

    let mut marks: Vec<Bytes> =
        ["", "\0", "a", "a\0", "b", "b\0", "b\0\0", "bb", "c", "d", "e", "f", "f\0", "g"]
            .map(Bytes::from)
            .to_vec();
    marks.push(Bytes::from_static(b"\xff\xff\xff"));
    // Bounds are not keys: they may be longer than any key, as the successor of the longest is.
    marks.push(vec![b'd'; KEY_BYTES_MAX].into());
    marks.push(vec![b'd'; KEY_BYTES_MAX + 1].into());
    for start in &marks {
        model.check_range(engine.as_ref(), Family::Default, &Range::new(start.clone(), None))?;
        for end in &marks {
            let range = Range::new(start.clone(), Some(end.clone()));
            model.check_range(engine.as_ref(), Family::Default, &range)?;
        }
    }
    let view = engine.view()?;
    model.check_range(view.as_ref(), Family::Default, &Range::prefix(b"b"))?;
    let empty = collect(engine.as_ref(), Family::Meta, &Range::all(), Direction::Forward)?;
    ensure!(empty.is_empty(), "a family nothing was written to has {} rows", empty.len());
    Ok(())
}

/// A visitor that breaks is not called again.
pub(super) fn early_break(harness: &mut dyn Harness) -> Verdict {
    let engine = harness.open()?;
    let model = fill(engine.as_ref(), &["a", "b", "c", "d", "e"])?;
    for direction in [Direction::Forward, Direction::Backward] {
        let all = model.scan(Family::Default, &Range::all(), direction);
        for limit in 1..=all.len() {
            let mut seen = Vec::new();
            engine.scan(Family::Default, &Range::all(), direction, &mut |key, value| {
                seen.push((key.clone(), value.clone()));
                if seen.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            let expected = all.get(..limit).unwrap_or_default();
            ensure!(seen == expected, "a scan told to stop after {limit} visited {}", seen.len());
        }
    }
    Ok(())
}
