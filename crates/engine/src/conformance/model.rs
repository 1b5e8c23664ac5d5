//! What an engine should hold, in the simplest form: one `BTreeMap` per family.
//!
//! Shares no code with any engine on purpose, not even the memory engine's maps.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::{Verdict, Violation, ensure};
use crate::{Batch, Direction, Engine, Family, Op, Range, Read};

/// The rows an engine should hold.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Model {
    families: BTreeMap<Family, BTreeMap<Bytes, Bytes>>,
}

/// A row, as scans collect them.
pub(super) type Row = (Bytes, Bytes);

impl Model {
    pub(super) fn apply(&mut self, batch: &Batch) {
        for op in batch.ops() {
            let rows = self.families.entry(op.family()).or_default();
            match op {
                Op::Put { key, value, .. } => rows.insert(key.clone(), value.clone()),
                Op::Delete { key, .. } => rows.remove(key),
            };
        }
    }

    /// Writes a batch to an engine and to the model.
    pub(super) fn write(&mut self, engine: &dyn Engine, batch: Batch) -> Verdict {
        self.apply(&batch);
        Ok(engine.write(batch)?)
    }

    pub(super) fn get(&self, family: Family, key: &[u8]) -> Option<&Bytes> {
        self.families.get(&family)?.get(key)
    }

    /// The rows of a range by plain filtering: slow, and too simple to be wrong.
    pub(super) fn scan(&self, family: Family, range: &Range, direction: Direction) -> Vec<Row> {
        let rows = self.families.get(&family).into_iter().flatten();
        let mut rows: Vec<Row> = rows
            .filter(|(key, _)| **key >= range.start)
            .filter(|(key, _)| range.end.as_ref().is_none_or(|end| *key < end))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if direction == Direction::Backward {
            rows.reverse();
        }
        rows
    }

    /// Compares one range, both ways.
    pub(super) fn check_range(&self, read: &dyn Read, family: Family, range: &Range) -> Verdict {
        for direction in [Direction::Forward, Direction::Backward] {
            let found = collect(read, family, range, direction)?;
            let expected = self.scan(family, range, direction);
            ensure!(
                found == expected,
                "scan of {family} {range} {direction:?}: {}",
                difference(&found, &expected)
            );
        }
        Ok(())
    }

    /// Compares everything: all rows of all families by scan both ways and by get.
    pub(super) fn check_all(&self, read: &dyn Read) -> Verdict {
        for family in Family::ALL {
            self.check_range(read, family, &Range::all())?;
            for (key, value) in self.families.get(&family).into_iter().flatten() {
                let found = read.get(family, key)?;
                ensure!(
                    found.as_ref() == Some(value),
                    "get of {family} {} after scan: found {found:?}",
                    show(key)
                );
            }
        }
        Ok(())
    }
}

/// All rows of a range, as an engine tells them.
pub(super) fn collect(
    read: &dyn Read,
    family: Family,
    range: &Range,
    direction: Direction,
) -> Result<Vec<Row>, Violation> {
    let mut rows = Vec::new();
    read.scan(family, range, direction, &mut |key, value| {
        rows.push((key.clone(), value.clone()));
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

/// The first place where two lists of rows part.
fn difference(found: &[Row], expected: &[Row]) -> String {
    let place = found.iter().zip(expected).take_while(|(found, expected)| found == expected);
    let place = place.count();
    let name = |row: Option<&Row>| {
        row.map_or_else(
            || "nothing".into(),
            |(key, value)| format!("{}={}", show(key), show(value)),
        )
    };
    format!(
        "row {place} is {} instead of {} ({} rows instead of {})",
        name(found.get(place)),
        name(expected.get(place)),
        found.len(),
        expected.len()
    )
}

/// A key or value for people: printable, and cut when long.
pub(super) fn show(bytes: &[u8]) -> String {
    const SHOWN: usize = 24;
    match bytes.get(..SHOWN) {
        Some(start) => format!("{}… ({} bytes)", start.escape_ascii(), bytes.len()),
        None => bytes.escape_ascii().to_string(),
    }
}
