//! Reading from the tree: one state of all families, pinned while somebody looks at it.
//!
//! A row of the tree is a row of a family with the family's number in front of its key, so that
//! the families are one tree, and a table that is written holds whole batches. Engine and views
//! read through the functions here.

use std::fs::File;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use kontiki_engine::limits::KEY_BYTES_MAX;
use kontiki_engine::{Direction, Error, Family, Range, Read, View};
use lsm_tree::{AbstractTree, AnyTree, Slice, UserKey};

use crate::error::engine_error;
use crate::merged::Merged;
use crate::views::OpenView;

/// Bytes in front of the key of a row of the tree: the family.
const PREFIX_BYTES: usize = 1;

/// Up to so many bytes are copied out of a block.
const COPIED_BYTES_MAX: usize = 4 << 10;

const _: () = assert!(PREFIX_BYTES + KEY_BYTES_MAX <= u16::MAX as usize, "longest key of the tree");

/// The key in the tree of a row of a family.
pub(crate) fn row_key(family: Family, key: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(PREFIX_BYTES + key.len());
    row.push(prefix(family));
    row.extend_from_slice(key);
    row
}

fn prefix(family: Family) -> u8 {
    u8::try_from(family.index()).expect("a handful of families")
}

/// A state of the tree that never changes.
pub(crate) struct TreeView {
    pub(crate) tree: AnyTree,
    pub(crate) open: OpenView,
    /// Dropped last: with the tree go files, by their names, that the next engine would reuse.
    pub(crate) _lock: Arc<File>,
}

impl View for TreeView {}

impl Read for TreeView {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        get(&self.tree, &self.open, family, key)
    }

    fn scan(
        &self,
        family: Family,
        range: &Range,
        direction: Direction,
        visit: &mut dyn FnMut(&Bytes, &Bytes) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        scan(&self.tree, &self.open, family, range, direction, visit)
    }
}

pub(crate) fn get(
    tree: &AnyTree,
    open: &OpenView,
    family: Family,
    key: &[u8],
) -> Result<Option<Bytes>, Error> {
    // The tree asserts on longer keys; no batch can have written one.
    if key.len() > KEY_BYTES_MAX {
        return Ok(None);
    }
    let key = UserKey::from(row_key(family, key));
    for table in open.in_memory.tables() {
        if let Some(known) = table.get(&key, open.number) {
            return Ok(known.value());
        }
    }
    let value = tree.get(key, open.number);
    Ok(value.map_err(|error| engine_error("read a row", error))?.map(shared))
}

/// What the tree read, as everybody else holds bytes. Short ones are copied, which costs less than
/// to count who holds them, and keeps no block of a table in memory as long as an answer waits.
pub(crate) fn shared(slice: Slice) -> Bytes {
    if slice.len() <= COPIED_BYTES_MAX {
        Bytes::copy_from_slice(&slice)
    } else {
        Bytes::from_owner(slice)
    }
}

pub(crate) fn scan(
    tree: &AnyTree,
    open: &OpenView,
    family: Family,
    range: &Range,
    direction: Direction,
    visit: &mut dyn FnMut(&Bytes, &Bytes) -> ControlFlow<()>,
) -> Result<(), Error> {
    if range.is_empty() {
        return Ok(());
    }
    let bounds = bounds(family, range);
    // Two cut bounds can meet on one key; the tree, like BTreeMap, takes no inverted range.
    if let (Bound::Excluded(lower), Bound::Excluded(upper) | Bound::Included(upper)) = &bounds
        && lower >= upper
    {
        return Ok(());
    }
    let failed = |error| engine_error("scan", error);
    let mut rows = Merged::new(tree, open, bounds, direction).map_err(failed)?;
    while let Some((key, value)) = rows.next().map_err(failed)? {
        let mut key = shared(key);
        key.advance(PREFIX_BYTES);
        if visit(&key, &value).is_break() {
            break;
        }
    }
    Ok(())
}

/// The bounds as the tree takes them: none longer than the longest key, on which it would assert.
///
/// No key lies between a cut bound and the bound it was cut from, except the cut itself: so a cut
/// start is excluded, and a cut end is included. Behind the last row of a family begins the next.
fn bounds(family: Family, range: &Range) -> (Bound<UserKey>, Bound<UserKey>) {
    let key = |key: &[u8]| UserKey::from(row_key(family, key));
    let lower = match range.start.get(..KEY_BYTES_MAX) {
        Some(cut) if cut.len() < range.start.len() => Bound::Excluded(key(cut)),
        _ => Bound::Included(key(&range.start)),
    };
    let upper = match &range.end {
        None => Bound::Excluded(UserKey::from([prefix(family) + 1])),
        Some(end) => match end.get(..KEY_BYTES_MAX) {
            Some(cut) if cut.len() < end.len() => Bound::Included(key(cut)),
            _ => Bound::Excluded(key(end)),
        },
    };
    (lower, upper)
}
