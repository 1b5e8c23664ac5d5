//! `delete_range` on top of the engine: exactly the range goes.

use bytes::Bytes;

use super::model::Model;
use super::{Harness, Verdict, ensure};
use crate::limits::KEY_BYTES_MAX;
use crate::{Batch, Direction, Family, Range, delete_range};

/// Chunks smaller than, equal to and larger than the range; neighbours stay.
pub(super) fn exact(harness: &mut dyn Harness) -> Verdict {
    let engine = harness.open()?;
    let mut model = Model::default();
    let range = Range::new("k1", Some(Bytes::from("k3")));
    for chunk_rows in [1, 7, 100, 101, 1000] {
        let mut batch = Batch::default();
        for number in 0..50 {
            for group in ["k0", "k1", "k2", "k3"] {
                batch.put(Family::Default, format!("{group}/{number:03}"), "x");
                batch.put(Family::Lock, format!("{group}/{number:03}"), "x");
            }
        }
        model.write(engine.as_ref(), batch)?;
        let expected = model.scan(Family::Default, &range, Direction::Forward);

        let deleted = delete_range(engine.as_ref(), Family::Default, &range, chunk_rows)?;

        ensure!(deleted == expected.len() as u64, "{deleted} rows deleted of {}", expected.len());
        let mut gone = Batch::default();
        for (key, _) in expected {
            gone.delete(Family::Default, key);
        }
        model.apply(&gone);
        model.check_all(engine.as_ref())?;
    }
    // The longest key has a successor that is no key: the second chunk starts there.
    let mut batch = Batch::default();
    batch.put(Family::Meta, vec![b'z'; KEY_BYTES_MAX], "x");
    batch.put(Family::Meta, "zzzz", "x");
    engine.write(batch)?;
    let deleted = delete_range(engine.as_ref(), Family::Meta, &Range::all(), 1)?;
    ensure!(deleted == 2, "{deleted} of 2 rows with the longest key deleted");
    Ok(())
}
