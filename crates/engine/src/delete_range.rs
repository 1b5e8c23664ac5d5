//! Deleting a range in chunks, for engines that have no better way.
//!
//! The store calls this in the background for ranges nobody reads any more (a region that moved
//! away, the target of a snapshot before it is filled). It is built on scan and batches alone, so
//! every engine has it; it is *not* atomic across chunks.

use std::ops::ControlFlow;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Batch, Direction, Engine, Error, Family, Range};

/// Deletes every row of the range, at most `chunk_rows` a batch, and tells how many there were.
///
/// Not atomic: a reader, and a crash, can find a range of which only the first chunks are gone
/// (always a prefix of the range in key order). So call it again after a restart, and only on
/// ranges that nothing reads. Rows written into the range meanwhile may or may not stay.
///
/// ```
/// use kontiki_engine::{Batch, Engine, Family, MemoryEngine, Range, delete_range, limits};
///
/// let engine = MemoryEngine::volatile();
/// let mut batch = Batch::default();
/// batch.put(Family::Default, "a/1", "x");
/// batch.put(Family::Default, "b/1", "y");
/// engine.write(batch)?;
/// let range = Range::prefix(b"a/");
/// let deleted = delete_range(&engine, Family::Default, &range, limits::DELETE_CHUNK_ROWS)?;
/// assert_eq!(deleted, 1);
/// # Ok::<(), kontiki_engine::Error>(())
/// ```
///
/// # Errors
///
/// Those of the scan and of the writes; chunks before the error are deleted.
///
/// # Panics
///
/// When `chunk_rows` is 0, which would never end.
pub fn delete_range(
    engine: &dyn Engine,
    family: Family,
    range: &Range,
    chunk_rows: usize,
) -> Result<u64, Error> {
    assert!(chunk_rows > 0, "a chunk of {chunk_rows} rows");
    let mut left = range.clone();
    let mut deleted = 0;
    loop {
        let mut batch = Batch::default();
        engine.scan(family, &left, Direction::Forward, &mut |key, _value| {
            batch.delete(family, key.clone());
            if batch.len() == chunk_rows {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        // The next chunk starts behind this one, so that a scan never wades through the
        // tombstones of the chunks before it.
        let Some(last) = batch.ops().last() else { return Ok(deleted) };
        left.start = successor(last.key());
        let count = batch.len();
        engine.write(batch)?;
        deleted += count as u64;
        if count < chunk_rows {
            return Ok(deleted);
        }
    }
}

/// The smallest key above `key`.
fn successor(key: &Bytes) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::delete_range;
    use crate::{Batch, Engine, Family, MemoryEngine, Range, Read};

    #[test]
    fn only_the_range_goes_whatever_the_chunk() {
        for chunk_rows in [1, 3, 4, 100] {
            let engine = MemoryEngine::volatile();
            let mut batch = Batch::default();
            for key in ["a", "b", "b\0", "c", "c\u{7f}", "d", "e"] {
                batch.put(Family::Default, key, "x");
                batch.put(Family::Lock, key, "x");
            }
            engine.write(batch).unwrap();

            let range = Range::new("b", Some(Bytes::from("d")));
            let deleted = delete_range(&engine, Family::Default, &range, chunk_rows).unwrap();

            assert_eq!(deleted, 4, "chunk {chunk_rows}");
            for (key, stays) in [("a", true), ("b", false), ("c", false), ("d", true), ("e", true)]
            {
                let found = engine.get(Family::Default, key.as_bytes()).unwrap();
                assert_eq!(found.is_some(), stays, "{key}, chunk {chunk_rows}");
                assert!(engine.get(Family::Lock, key.as_bytes()).unwrap().is_some());
            }
        }
    }
}
