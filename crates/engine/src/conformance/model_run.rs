//! Random operations against the model, restarts included.

use bytes::Bytes;

use super::model::{Model, show};
use super::random::Random;
use super::{Harness, Verdict, ensure};
use crate::{Batch, Family, Range, View};

/// Seeds, and operations for each; chosen so that a run takes well under a second in memory.
const SEEDS: u64 = 3;
const OPERATIONS: usize = 1500;

/// Views kept open at once.
const VIEWS_MAX: usize = 4;

/// Batches, gets, scans both ways, views, syncs and restarts, in any order.
pub(super) fn random_operations(harness: &mut dyn Harness) -> Verdict {
    let mut model = Model::default();
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let mut engine = harness.open()?;
        let mut views: Vec<(Box<dyn View>, Model)> = Vec::new();
        for _ in 0..OPERATIONS {
            let family = Family::ALL[random.below(Family::COUNT)];
            match random.below(20) {
                0..=7 => model.write(engine.as_ref(), some_batch(&mut random))?,
                8..=11 => {
                    let key = some_key(&mut random);
                    let found = engine.get(family, &key)?;
                    ensure!(
                        found.as_ref() == model.get(family, &key),
                        "get of {family} {}: {found:?}",
                        show(&key)
                    );
                }
                12..=15 => {
                    let range = some_range(&mut random);
                    model.check_range(engine.as_ref(), family, &range)?;
                    if let Some((view, state)) = views.last() {
                        state.check_range(view.as_ref(), family, &range)?;
                    }
                }
                16 | 17 => {
                    if views.len() == VIEWS_MAX {
                        let (view, state) = views.swap_remove(random.below(VIEWS_MAX));
                        state.check_all(view.as_ref())?;
                    }
                    views.push((engine.view()?, model.clone()));
                }
                18 => engine.sync()?,
                _ if random.once_in(20) => {
                    engine.sync()?;
                    views.clear();
                    drop(engine);
                    engine = harness.open()?;
                    model.check_all(engine.as_ref())?;
                }
                _ => {}
            }
        }
        model.check_all(engine.as_ref())?;
        engine.sync()?;
    }
    Ok(())
}

fn some_batch(random: &mut Random) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..=random.below(8) {
        let family = Family::ALL[random.below(Family::COUNT)];
        let key = some_key(random);
        if random.once_in(3) {
            batch.delete(family, key);
        } else {
            let value = Bytes::from(random.word().to_string().repeat(random.below(5)));
            batch.put(family, key, value);
        }
    }
    batch
}

/// Short keys over few bytes, so that they collide, touch and prefix each other.
fn some_key(random: &mut Random) -> Bytes {
    let length = 1 + random.below(3);
    (0..length).map(|_| [0, 1, b'a', 0x7f, 0x80, 0xff][random.below(6)]).collect()
}

fn some_range(random: &mut Random) -> Range {
    let start = if random.once_in(5) { Bytes::new() } else { some_key(random) };
    let end = if random.once_in(5) { None } else { Some(some_key(random)) };
    Range::new(start, end)
}
