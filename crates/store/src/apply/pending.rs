//! The batch being collected, which is also what commands read through.
//!
//! Puts only append. The first command that reads builds an index over what was appended since the
//! last one that did; so a stream of blind puts pays nothing for the reads it does not do.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use bytes::Bytes;
use kontiki_codec::value;
use kontiki_engine::{Batch, Direction, Family, Op, Range, Read};
use kontiki_types::KeyRange;

use crate::Error;

/// Rows not yet in the engine.
#[derive(Default)]
pub(crate) struct Pending {
    batch: Batch,
    /// Newest value of each key among the first `indexed` operations; `None` is deleted.
    overlay: BTreeMap<Bytes, Option<Bytes>>,
    indexed: usize,
}

impl Pending {
    /// Sets the user's value of a key.
    pub(crate) fn put(&mut self, key: Bytes, value: &[u8]) {
        self.batch.put(Family::Default, key, value::plain(value));
    }

    /// Removes a key.
    pub(crate) fn delete(&mut self, key: Bytes) {
        self.batch.delete(Family::Default, key);
    }

    /// Sets one of the store's own rows.
    pub(crate) fn put_meta(&mut self, key: Bytes, row: Bytes) {
        self.batch.put(Family::Meta, key, row);
    }

    /// The user's value of a key after everything so far.
    ///
    /// # Errors
    /// The engine fails, or holds a row that makes no sense.
    pub(crate) fn get(
        &mut self,
        engine: &dyn Read,
        key: &[u8],
        now_ms: u64,
    ) -> Result<Option<Bytes>, Error> {
        self.index();
        let row = match self.overlay.get(key) {
            Some(row) => row.clone(),
            None => engine.get(Family::Default, key)?,
        };
        row.map_or(Ok(None), |row| live(key, row, now_ms))
    }

    /// Up to `count_max` rows of a range after everything so far, in order: their keys, and
    /// whether each was still live.
    ///
    /// # Errors
    /// As [`Pending::get`].
    pub(crate) fn keys(
        &mut self,
        engine: &dyn Read,
        range: &KeyRange,
        now_ms: u64,
        count_max: usize,
    ) -> Result<Vec<(Bytes, bool)>, Error> {
        self.index();
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let end = range.end.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut ours = self.overlay.range::<Bytes, _>((Bound::Included(&range.start), end));
        let mut next = ours.next();
        let mut rows: Vec<(Bytes, Bytes)> = Vec::new();
        let in_engine = Range::new(range.start.clone(), range.end.clone());
        engine.scan(Family::Default, &in_engine, Direction::Forward, &mut |key, row| {
            while let Some((our_key, our_row)) = next.filter(|(our_key, _)| *our_key < key) {
                rows.extend(our_row.clone().map(|row| (our_key.clone(), row)));
                next = ours.next();
            }
            match next {
                Some((our_key, our_row)) if our_key == key => {
                    rows.extend(our_row.clone().map(|row| (our_key.clone(), row)));
                    next = ours.next();
                }
                _ => rows.push((key.clone(), row.clone())),
            }
            if rows.len() < count_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        while let Some((our_key, our_row)) = next.filter(|_| rows.len() < count_max) {
            rows.extend(our_row.clone().map(|row| (our_key.clone(), row)));
            next = ours.next();
        }
        rows.truncate(count_max);
        rows.into_iter()
            .map(|(key, row)| live(&key, row, now_ms).map(|value| (key, value.is_some())))
            .collect()
    }

    /// The batch so far; what comes next starts a new one.
    pub(crate) fn take(&mut self) -> Batch {
        self.overlay.clear();
        self.indexed = 0;
        std::mem::take(&mut self.batch)
    }

    fn index(&mut self) {
        for op in self.batch.ops().iter().skip(self.indexed) {
            match op {
                Op::Put { family: Family::Default, key, value } => {
                    self.overlay.insert(key.clone(), Some(value.clone()));
                }
                Op::Delete { family: Family::Default, key } => {
                    self.overlay.insert(key.clone(), None);
                }
                Op::Put { .. } | Op::Delete { .. } => {}
            }
        }
        self.indexed = self.batch.len();
    }
}

/// The user's bytes of a row, unless its time is over.
fn live(key: &[u8], row: Bytes, now_ms: u64) -> Result<Option<Bytes>, Error> {
    let value = value::from_bytes(row)
        .map_err(|source| Error::row(format!("value of {}", key.escape_ascii()), source))?;
    let over = value.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms);
    Ok((!over).then_some(value.data))
}
