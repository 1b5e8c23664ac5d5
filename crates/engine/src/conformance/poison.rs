//! Poison: an engine that failed once accepts nothing more.

use super::{Harness, Verdict, ensure};
use crate::{Batch, Error, Family};

/// The failing call is an error, and so is everything after it. Passes where the harness has no
/// way to break its engine.
pub(super) fn stays(harness: &mut dyn Harness) -> Verdict {
    let Some(engine) = harness.break_disk() else { return Ok(()) };
    let batch = || {
        let mut batch = Batch::default();
        batch.put(Family::Default, "key", "value");
        batch
    };
    let failed = engine.write(batch()).and_then(|()| engine.sync());
    ensure!(failed.is_err(), "a broken disk took a write and a sync");
    for attempt in 0..3 {
        let write = engine.write(batch());
        ensure!(
            matches!(write, Err(Error::Poisoned { .. })),
            "attempt {attempt}: a poisoned engine answered a write with {write:?}"
        );
        let sync = engine.sync();
        ensure!(
            matches!(sync, Err(Error::Poisoned { .. })),
            "attempt {attempt}: a poisoned engine answered a sync with {sync:?}"
        );
    }
    Ok(())
}
