//! Reading from fjall: one state of all families, pinned by a snapshot.
//!
//! The engine itself reads through a snapshot of the moment too: fjall's plain reads can see the
//! first half of a batch that another thread is writing.

use std::ops::{Bound, ControlFlow};

use bytes::Bytes;
use fjall::{Guard, Keyspace, Readable, Snapshot};
use kontiki_engine::limits::KEY_BYTES_MAX;
use kontiki_engine::{Direction, Error, Family, Range, Read, View};

use crate::error::engine_error;

/// The keyspaces of the families, in the order of [`Family::index`].
pub(crate) type Keyspaces = [Keyspace; Family::COUNT];

/// The keyspace of a family.
pub(crate) fn keyspace(keyspaces: &Keyspaces, family: Family) -> &Keyspace {
    let [default, lock, write, meta] = keyspaces;
    match family {
        Family::Default => default,
        Family::Lock => lock,
        Family::Write => write,
        Family::Meta => meta,
    }
}

/// A state of the database that never changes.
pub(crate) struct FjallView {
    snapshot: Snapshot,
    keyspaces: Keyspaces,
}

impl FjallView {
    pub(crate) fn new(snapshot: Snapshot, keyspaces: Keyspaces) -> Self {
        Self { snapshot, keyspaces }
    }
}

impl View for FjallView {}

impl Read for FjallView {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        get(&self.snapshot, keyspace(&self.keyspaces, family), key)
    }

    fn scan(
        &self,
        family: Family,
        range: &Range,
        direction: Direction,
        visit: &mut dyn FnMut(&Bytes, &Bytes) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        scan(&self.snapshot, keyspace(&self.keyspaces, family), range, direction, visit)
    }
}

pub(crate) fn get(
    snapshot: &Snapshot,
    keyspace: &Keyspace,
    key: &[u8],
) -> Result<Option<Bytes>, Error> {
    // fjall asserts on longer keys; no batch can have written one.
    if key.len() > KEY_BYTES_MAX {
        return Ok(None);
    }
    let value = snapshot.get(keyspace, key).map_err(|error| engine_error("read a row", error))?;
    Ok(value.map(Bytes::from))
}

pub(crate) fn scan(
    snapshot: &Snapshot,
    keyspace: &Keyspace,
    range: &Range,
    direction: Direction,
    visit: &mut dyn FnMut(&Bytes, &Bytes) -> ControlFlow<()>,
) -> Result<(), Error> {
    if range.is_empty() {
        return Ok(());
    }
    let (lower, upper) = bounds(range);
    // Two cut bounds can meet on one key; fjall, like BTreeMap, takes no inverted range.
    if let (Bound::Excluded(lower), Bound::Excluded(upper) | Bound::Included(upper)) =
        (lower, upper)
        && lower >= upper
    {
        return Ok(());
    }
    let mut rows = snapshot.range::<&[u8], _>(keyspace, (lower, upper));
    loop {
        let row: Option<Guard> = match direction {
            Direction::Forward => rows.next(),
            Direction::Backward => rows.next_back(),
        };
        let Some(row) = row else { return Ok(()) };
        let (key, value) = row.into_inner().map_err(|error| engine_error("scan", error))?;
        if visit(&Bytes::from(key), &Bytes::from(value)).is_break() {
            return Ok(());
        }
    }
}

/// The bounds as fjall takes them: none longer than the longest key, on which it would assert.
///
/// No key lies between a cut bound and the bound it was cut from, except the cut itself: so a cut
/// start is excluded, and a cut end is included.
fn bounds(range: &Range) -> (Bound<&[u8]>, Bound<&[u8]>) {
    let lower = match range.start.get(..KEY_BYTES_MAX) {
        Some(cut) if cut.len() < range.start.len() => Bound::Excluded(cut),
        _ => Bound::Included(&range.start[..]),
    };
    let upper = match &range.end {
        None => Bound::Unbounded,
        Some(end) => match end.get(..KEY_BYTES_MAX) {
            Some(cut) if cut.len() < end.len() => Bound::Included(cut),
            _ => Bound::Excluded(&end[..]),
        },
    };
    (lower, upper)
}
