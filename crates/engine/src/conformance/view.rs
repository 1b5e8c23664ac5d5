//! Views: a state that never changes.

use super::model::Model;
use super::random::Random;
use super::{Harness, Verdict};
use crate::{Batch, Family};

/// Views taken between writes; enough that engines with versions must keep many of them.
const VIEWS: usize = 20;

/// Each view keeps showing the state it was taken in, in all families, whatever follows.
pub(super) fn isolated(harness: &mut dyn Harness) -> Verdict {
    let engine = harness.open()?;
    let mut random = Random::new(7);
    let mut model = Model::default();
    let mut views = vec![(engine.view()?, model.clone())];
    for round in 0..VIEWS {
        let mut batch = Batch::default();
        for _ in 0..30 {
            let family = Family::ALL[random.below(Family::COUNT)];
            let key = format!("key {}", random.below(25));
            if random.once_in(3) {
                batch.delete(family, key);
            } else {
                batch.put(family, key, format!("round {round}"));
            }
        }
        model.write(engine.as_ref(), batch)?;
        views.push((engine.view()?, model.clone()));
        if random.once_in(4) {
            engine.sync()?;
        }
        // Views end in any order, and the others must not notice.
        if random.once_in(3) {
            views.swap_remove(random.below(views.len()));
        }
        for (view, state) in &views {
            state.check_all(view.as_ref())?;
        }
    }
    model.check_all(engine.as_ref())
}
