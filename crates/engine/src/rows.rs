//! All rows of an engine in persistent maps: the state behind the memory and simulated engines.
//!
//! A clone costs a few reference counts and never changes when the original does, which makes
//! views, simulated crashes and images trivial to get right. Nothing here is durable.

use std::ops::ControlFlow;

use bytes::Bytes;
use imbl::OrdMap;

use crate::{Batch, Direction, Error, Family, Op, Range, Read, View};

/// One ordered map per family.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    families: [OrdMap<Bytes, Bytes>; Family::COUNT],
    /// Sum of key and value lengths.
    bytes: u64,
}

impl Rows {
    /// Applies the operations in order. Rows are copied out of the batch: its slices may share a
    /// network buffer, and one small row must not keep a megabyte alive.
    pub(crate) fn apply(&mut self, batch: &Batch) {
        for op in batch.ops() {
            match op {
                Op::Put { family, key, value } => {
                    let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
                    self.insert(*family, key, value);
                }

                Op::Delete { family, key } => {
                    if let Some(old) = self.map_mut(*family).remove(key) {
                        self.bytes -= row_bytes(key, &old);
                    }
                }
            }
        }
    }

    /// Sets one row, which the caller owns.
    pub(crate) fn insert(&mut self, family: Family, key: Bytes, value: Bytes) {
        self.bytes += row_bytes(&key, &value);
        let key_bytes = key.len();
        if let Some(old) = self.map_mut(family).insert(key, value) {
            self.bytes -= (key_bytes + old.len()) as u64;
        }
    }

    /// How many rows there are in all families.
    pub(crate) fn len(&self) -> usize {
        self.families.iter().map(OrdMap::len).sum()
    }

    /// Sum of key and value lengths of all rows, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The rows of a family in key order.
    pub(crate) fn map(&self, family: Family) -> &OrdMap<Bytes, Bytes> {
        // `index` is below `COUNT` by construction.
        let [default, lock, write, meta] = &self.families;
        match family {
            Family::Default => default,
            Family::Lock => lock,
            Family::Write => write,
            Family::Meta => meta,
        }
    }

    fn map_mut(&mut self, family: Family) -> &mut OrdMap<Bytes, Bytes> {
        let [default, lock, write, meta] = &mut self.families;
        match family {
            Family::Default => default,
            Family::Lock => lock,
            Family::Write => write,
            Family::Meta => meta,
        }
    }
}

impl Read for Rows {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.map(family).get(key).cloned())
    }

    fn scan(
        &self,
        family: Family,
        range: &Range,
        direction: Direction,
        visit: &mut dyn FnMut(&Bytes, &Bytes) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        // Checked first because the map panics on an inverted range.
        if range.is_empty() {
            return Ok(());
        }
        let map = self.map(family);
        let mut rows = match &range.end {
            Some(end) => map.range::<_, Bytes>(range.start.clone()..end.clone()),
            None => map.range::<_, Bytes>(range.start.clone()..),
        };
        loop {
            let row = match direction {
                Direction::Forward => rows.next(),
                Direction::Backward => rows.next_back(),
            };
            let Some((key, value)) = row else { return Ok(()) };
            if visit(key, value).is_break() {
                return Ok(());
            }
        }
    }
}

impl View for Rows {}

fn row_bytes(key: &Bytes, value: &Bytes) -> u64 {
    (key.len() + value.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::Rows;
    use crate::{Batch, Family};

    #[test]
    fn bytes_follow_overwrites_and_deletes() {
        let mut rows = Rows::default();
        let mut batch = Batch::default();
        batch.put(Family::Default, "key", "long value");
        batch.put(Family::Default, "key", "short");
        batch.put(Family::Lock, "key", "x");
        batch.delete(Family::Lock, "key");
        batch.delete(Family::Lock, "absent");

        rows.apply(&batch);

        assert_eq!(rows.bytes(), 8);
        assert_eq!(rows.len(), 1);
    }
}
