//! Families: four key spaces that never meet.

use bytes::Bytes;

use super::model::Model;
use super::{Harness, Verdict, ensure};
use crate::{Batch, Family};

/// The same key in every family holds its own value, and a delete touches one.
pub(super) fn independent(harness: &mut dyn Harness) -> Verdict {
    let engine = harness.open()?;
    let mut model = Model::default();
    let mut batch = Batch::default();
    for family in Family::ALL {
        batch.put(family, "key", family.name());
        batch.put(family, format!("only {family}"), "x");
    }
    model.write(engine.as_ref(), batch)?;
    for victim in Family::ALL {
        let mut batch = Batch::default();
        batch.delete(victim, "key");
        model.write(engine.as_ref(), batch)?;
        for family in Family::ALL {
            let expected = (family > victim).then(|| Bytes::from(family.name()));
            let found = engine.get(family, b"key")?;
            ensure!(found == expected, "after deletes up to {victim}, {family} has {found:?}");
        }
        model.check_all(engine.as_ref())?;
    }
    Ok(())
}
