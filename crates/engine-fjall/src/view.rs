//! Reading from the tree: one state of all families, pinned while somebody looks at it.
//!
//! A row of the tree is a row of a family with the family's number in front of its key, so that
//! the families are one tree, and a table that is written holds whole batches. Engine and views
//! read through the functions here.

use std::ops::{Bound, ControlFlow};

use bytes::{Buf, Bytes};
use kontiki_engine::limits::KEY_BYTES_MAX;
use kontiki_engine::{Direction, Error, Family, Range, Read, View};
use lsm_tree::{AbstractTree, AnyTree, Guard};

use crate::error::engine_error;
use crate::views::OpenView;

/// Bytes in front of the key of a row of the tree: the family.
const PREFIX_BYTES: usize = 1;

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
    let value = tree.get(row_key(family, key), open.number);
    Ok(value.map_err(|error| engine_error("read a row", error))?.map(Bytes::from))
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
    let (lower, upper) = bounds(family, range);
    // Two cut bounds can meet on one key; the tree, like BTreeMap, takes no inverted range.
    if let (Bound::Excluded(lower), Bound::Excluded(upper) | Bound::Included(upper)) =
        (&lower, &upper)
        && lower >= upper
    {
        return Ok(());
    }
    let mut rows = tree.range::<Vec<u8>, _>((lower, upper), open.number, None);
    loop {
        let row = match direction {
            Direction::Forward => rows.next(),
            Direction::Backward => rows.next_back(),
        };
        let Some(row) = row else { return Ok(()) };
        let (key, value) = row.into_inner().map_err(|error| engine_error("scan", error))?;
        let mut key = Bytes::from(key);
        key.advance(PREFIX_BYTES);
        if visit(&key, &Bytes::from(value)).is_break() {
            return Ok(());
        }
    }
}

/// The bounds as the tree takes them: none longer than the longest key, on which it would assert.
///
/// No key lies between a cut bound and the bound it was cut from, except the cut itself: so a cut
/// start is excluded, and a cut end is included. Behind the last row of a family begins the next.
fn bounds(family: Family, range: &Range) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let lower = match range.start.get(..KEY_BYTES_MAX) {
        Some(cut) if cut.len() < range.start.len() => Bound::Excluded(row_key(family, cut)),
        _ => Bound::Included(row_key(family, &range.start)),
    };
    let upper = match &range.end {
        None => Bound::Excluded(vec![prefix(family) + 1]),
        Some(end) => match end.get(..KEY_BYTES_MAX) {
            Some(cut) if cut.len() < end.len() => Bound::Included(row_key(family, cut)),
            _ => Bound::Excluded(row_key(family, end)),
        },
    };
    (lower, upper)
}
