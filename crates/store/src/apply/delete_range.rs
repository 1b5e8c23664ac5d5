//! Deleting a range: every row one by one, so that nothing depends on what an engine offers.
//!
//! A range that fits a chunk is part of the batch like everything else. A larger one would make a
//! batch of the size of the region, so it is cut:
//!
//! ```text
//! 1  readers are refused                                   (they would see half a delete)
//! 2  batch: everything before this command,
//!           apply state { position of the last whole entry, partial: this command, removed: 0 }
//! 3  batch: delete a chunk of rows, apply state { …, removed: so far }      again and again
//! 4  the last chunk goes with the rest of the apply call   (position moves, partial is gone)
//! ```
//!
//! A crash leaves the engine after any of these batches. Replay starts with the entry after the
//! position, skips what `partial` says is done, and continues this command with its count; rows
//! that are gone are not counted twice, because count and rows share a batch. What was before the
//! command in the same entry is not repeated: its sessions were folded in step 2. The cut of step 4
//! folds too, because half a payload fits no outcome record. So outcome, rows and sessions are
//! those of a replica that never crashed. Readers stay refused meanwhile.

use bytes::{BufMut, Bytes, BytesMut};
use kontiki_codec::apply_state::Partial;
use kontiki_codec::keys::{MetaKey, RegionRow};
use kontiki_engine::{Batch, Family};
use kontiki_types::KeyRange;

use crate::Error;
use crate::apply::{Applying, Place, apply_state_row};

impl Applying<'_> {
    /// Removes the live rows of a range and answers how many there were, `removed` before a crash
    /// included.
    ///
    /// # Errors
    /// The engine failed.
    pub(super) fn delete_range(
        &mut self,
        range: KeyRange,
        place: Place,
        mut removed: u64,
    ) -> Result<u64, Error> {
        let chunk_rows = self.replica.tuning.delete_chunk_rows;
        assert!(chunk_rows > 0, "a chunk of no rows never ends");
        let mut left = range;
        let mut rows = self.rows(&left, chunk_rows + 1)?;
        if rows.len() > chunk_rows {
            self.replica.cell.begin_replacing();
            self.cut(Some(partial(place, removed)))?;
            // Nothing is pending now, so the rows of the range are those of the engine.
            while rows.len() > chunk_rows {
                rows.truncate(chunk_rows);
                left.start = rows.last().map_or(left.start, |(key, _)| successor(key));
                removed += live_count(&rows);
                self.delete_chunk(rows, place, removed)?;
                rows = self.rows(&left, chunk_rows + 1)?;
            }
        }
        removed += live_count(&rows);
        for (key, _) in rows {
            self.pending.delete(key);
        }
        Ok(removed)
    }

    fn rows(&mut self, range: &KeyRange, count_max: usize) -> Result<Vec<(Bytes, bool)>, Error> {
        let now_ms = self.replica.sessions.time().now_ms;
        self.pending.keys(&*self.replica.engine, range, now_ms, count_max)
    }

    fn delete_chunk(
        &mut self,
        rows: Vec<(Bytes, bool)>,
        place: Place,
        removed: u64,
    ) -> Result<(), Error> {
        let replica = &*self.replica;
        let mut batch = Batch::with_capacity(rows.len() + 1);
        for (key, _) in rows {
            batch.delete(Family::Default, key);
        }
        let partial = Some(partial(place, removed));
        batch.put(
            Family::Meta,
            MetaKey::Region(replica.id, RegionRow::ApplyState).to_bytes(),
            apply_state_row(replica.applied, replica.sessions.time(), partial),
        );
        Ok(replica.engine.write(batch)?)
    }
}

fn partial(place: Place, removed: u64) -> Partial {
    Partial { payload: place.payload, command: place.command, removed }
}

fn live_count(rows: &[(Bytes, bool)]) -> u64 {
    rows.iter().map(|(_, live)| u64::from(*live)).sum()
}

/// The least key greater than this one.
fn successor(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}
