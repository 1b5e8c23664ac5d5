//! What survives: everything after a sync and a restart, a prefix of the batches after a crash.
//!
//! Each batch writes its number to several families, so a batch that came back in part, or
//! without an earlier one, cannot look like any prefix.

use bytes::Bytes;

use super::model::Model;
use super::random::Random;
use super::{Harness, Verdict, Violation, ensure};
use crate::{Batch, Family, Read};

/// Crashes in a row; the engine goes on with what was left each time.
const CRASHES: usize = 24;

/// Batches between two crashes, at most.
const BATCHES_MAX: usize = 32;

/// Synced, dropped, opened: all there, twice over.
pub(super) fn restart(harness: &mut dyn Harness) -> Verdict {
    let mut random = Random::new(1);
    let mut model = Model::default();
    for round in 0..3 {
        let engine = harness.open()?;
        model.check_all(engine.as_ref())?;
        for number in 0..10 {
            model.write(engine.as_ref(), numbered_batch(round * 10 + number, &mut random))?;
        }
        engine.sync()?;
        engine.sync()?;
    }
    model.check_all(harness.open()?.as_ref())
}

/// After each crash the rows are those of some prefix of the batches, at least to the last sync.
pub(super) fn prefix(harness: &mut dyn Harness) -> Verdict {
    let mut random = Random::new(2);
    // The state after each batch number; the engine starts with the state after batch 0: none.
    let mut states = vec![Model::default()];
    let mut engine = harness.open()?;
    for crash in 0..CRASHES {
        let mut synced = states.len() - 1;
        for _ in 0..random.below(BATCHES_MAX) {
            let batch = numbered_batch(states.len(), &mut random);
            let mut state = states.last().cloned().unwrap_or_default();
            state.write(engine.as_ref(), batch)?;
            states.push(state);
            if random.once_in(12) {
                engine.sync()?;
                synced = states.len() - 1;
            }
        }
        let written = states.len() - 1;
        engine = harness.crash(engine, random.word())?;

        let survived = number_of(engine.as_ref())?;
        ensure!(
            (synced..=written).contains(&survived),
            "crash {crash}: {survived} batches survived, {synced} were synced, {written} written"
        );
        states.truncate(survived + 1);
        let state = states.last().cloned().unwrap_or_default();
        state.check_all(engine.as_ref()).map_err(|violation| {
            Violation::new(format!(
                "crash {crash}: not the state after batch {survived}: {violation}"
            ))
        })?;
        // What came back is the new start: a second crash must not take it.
        engine.sync()?;
    }
    Ok(())
}

/// A batch that says its number everywhere and changes rows of earlier ones.
fn numbered_batch(number: usize, random: &mut Random) -> Batch {
    let mut batch = Batch::default();
    for family in Family::ALL {
        batch.put(family, "number", number.to_string());
    }
    batch.put(Family::Write, format!("history {number:06}"), "kept for ever");
    for _ in 0..random.below(12) {
        let family = Family::ALL[random.below(Family::COUNT)];
        let key = format!("row {}", random.below(40));
        if random.once_in(3) {
            batch.delete(family, key);
        } else {
            batch.put(family, key, vec![b'v'; random.below(2000)]);
        }
    }
    batch
}

fn number_of(read: &dyn Read) -> Result<usize, Violation> {
    let Some(number) = read.get(Family::Default, b"number")? else { return Ok(0) };
    parse(&number).ok_or_else(|| Violation::new(format!("the batch number is {number:?}")))
}

fn parse(number: &Bytes) -> Option<usize> {
    std::str::from_utf8(number).ok()?.parse().ok()
}
