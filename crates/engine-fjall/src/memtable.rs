//! A table in memory: the rows that are in no table on disk yet.
//!
//! A B-tree under a lock, and not the skip list of the tree library: a hundred thousand rows are
//! five nodes deep instead of some thirty, each of which is a miss of the cache (docs/design/0006).
//! One writer adds batches, readers look at the rows below a number, and a flush reads the whole
//! once nobody adds to it any more. It knows nothing of visibility: `newest.rs` and `views.rs` do.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{RwLock, RwLockReadGuard};

use bytes::Bytes;
use kontiki_engine::{Direction, Op};
use lsm_tree::{InternalValue, SeqNo, Slice, UserKey, ValueType};

use crate::arena::{Arena, Place};
use crate::view::row_key;

/// Rows that are added while readers wait.
const ROWS_UNDER_LOCK: usize = 32;

/// A page ends with the row that fills it.
const PAGE_BYTES: usize = 64 << 10;

/// Versions that are looked at for a page: writers wait meanwhile.
const STEPS_MAX: usize = 4096;

/// Versions of a row that are passed one by one; to search for the next row costs about as much.
const PASSED_MAX: usize = 16;

/// What a row takes beside its key and its value, about.
const ROW_BYTES: usize = 64;

/// See the module.
#[derive(Default)]
pub(crate) struct Memtable(RwLock<Rows>);

/// The rows of a table that is held still.
#[derive(Default)]
pub(crate) struct Rows {
    /// None: the row is deleted.
    versions: BTreeMap<RowKey, Option<Place>>,
    values: Arena,
    bytes: u64,
}

/// A version of a row: by key, and the newest first, as in tables on disk.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct RowKey(UserKey, Reverse<SeqNo>);

/// What a table says of a row.
pub(crate) enum Known {
    Value(Bytes),
    Deleted,
}

/// A row of the tree as a reader sees it.
pub(crate) type Seen = (UserKey, Known);

/// The first rows of a range.
pub(crate) struct Page {
    pub(crate) rows: VecDeque<Seen>,
    /// Where there may be more: behind this key.
    pub(crate) behind: Option<UserKey>,
}

impl Known {
    pub(crate) fn value(self) -> Option<Bytes> {
        match self {
            Self::Value(value) => Some(value),
            Self::Deleted => None,
        }
    }
}

impl Memtable {
    /// Adds the operations of the batch `number`; returns the bytes now held.
    pub(crate) fn insert(&self, ops: &[Op], number: SeqNo) -> u64 {
        for some in ops.chunks(ROWS_UNDER_LOCK) {
            let mut rows = self.0.write().expect("nothing panics with this lock held");
            for op in some {
                rows.insert(op, number);
            }
        }
        self.bytes()
    }

    /// The row as of the batches below a number; none where this table knows nothing of it.
    pub(crate) fn get(&self, key: &UserKey, below: SeqNo) -> Option<Known> {
        let rows = self.rows();
        rows.newest(key, below).map(|place| rows.known(*place))
    }

    /// The first rows between two keys, as of the batches below a number: at most `max`, and few
    /// if they are long.
    pub(crate) fn page(
        &self,
        bounds: &(Bound<UserKey>, Bound<UserKey>),
        direction: Direction,
        below: SeqNo,
        max: usize,
    ) -> Page {
        let rows = self.rows();
        let (page, behind) = rows.visible(bounds, direction, below, max);
        let seen = |(key, place): (&UserKey, _)| (key.clone(), rows.known(place));
        let behind = behind.cloned();
        Page { rows: page.into_iter().map(seen).collect(), behind }
    }

    /// The rows, held still: writers wait.
    pub(crate) fn rows(&self) -> RwLockReadGuard<'_, Rows> {
        self.0.read().expect("nothing panics with this lock held")
    }

    /// About the bytes this table takes.
    pub(crate) fn bytes(&self) -> u64 {
        self.rows().bytes
    }
}

impl Rows {
    fn insert(&mut self, op: &Op, number: SeqNo) {
        let (key, value) = match op {
            Op::Put { family, key, value } => (row_key(*family, key), Some(value)),
            Op::Delete { family, key } => (row_key(*family, key), None),
        };
        self.bytes += (key.len() + value.map_or(0, Bytes::len) + ROW_BYTES) as u64;
        let place = value.map(|value| self.values.add(value));
        self.versions.insert(RowKey(key.into(), Reverse(number)), place);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// The newest version of each row, as a table on disk holds them. Nobody looks for an older one
    /// there: a state sees a table through a manifest numbered below it, and so all rows of it.
    pub(crate) fn to_write(&self) -> impl Iterator<Item = lsm_tree::Result<InternalValue>> {
        let mut last: Option<&UserKey> = None;
        self.versions.iter().filter_map(move |(RowKey(key, Reverse(number)), place)| {
            if last.replace(key) == Some(key) {
                return None;
            }
            let (value, kind) = match place {
                Some(place) => (Slice::from(self.values.value(*place)), ValueType::Value),
                None => (Slice::empty(), ValueType::Tombstone),
            };
            Some(Ok(InternalValue::from_components(key.clone(), value, *number, kind)))
        })
    }

    /// The newest version of a row below a number.
    fn newest(&self, key: &UserKey, below: SeqNo) -> Option<&Option<Place>> {
        let newest = RowKey(key.clone(), Reverse(below.checked_sub(1)?));
        let (found, place) = self.versions.range(newest..).next()?;
        (found.0 == *key).then_some(place)
    }

    /// The newest version below a number of each key; and the key behind which they go on, where
    /// some were left out.
    fn visible(
        &self,
        bounds: &(Bound<UserKey>, Bound<UserKey>),
        direction: Direction,
        below: SeqNo,
        max: usize,
    ) -> (Vec<(&UserKey, Option<Place>)>, Option<&UserKey>) {
        let (mut page, mut bytes, mut steps) = (Vec::new(), 0, 0);
        let (mut from, mut to) = (first(&bounds.0), last(&bounds.1));
        let mut versions = self.versions.range((from.as_ref(), to.as_ref()));
        let (mut at, mut passed) = (None, 0);
        loop {
            let next = match direction {
                Direction::Forward => versions.next(),
                Direction::Backward => versions.next_back(),
            };
            let Some((RowKey(key, Reverse(number)), place)) = next else { return (page, None) };
            steps += 1;
            if at == Some(key) {
                passed += 1;
                if passed == PASSED_MAX {
                    // A row that is written again and again.
                    let behind = Bound::Excluded(key.clone());
                    match direction {
                        Direction::Forward => from = first(&behind),
                        Direction::Backward => to = last(&behind),
                    }
                    versions = self.versions.range((from.as_ref(), to.as_ref()));
                }
                continue;
            }
            (at, passed) = (Some(key), 0);
            // Forward, versions come newest first.
            let is_newest = direction == Direction::Forward && *number < below;
            if let Some(place) = if is_newest { Some(place) } else { self.newest(key, below) } {
                bytes += key.len() + place.map_or(0, Place::len);
                page.push((key, *place));
            }
            if page.len() == max || bytes >= PAGE_BYTES || steps >= STEPS_MAX {
                return (page, Some(key));
            }
        }
    }

    fn known(&self, place: Option<Place>) -> Known {
        place.map_or(Known::Deleted, |place| {
            Known::Value(Bytes::copy_from_slice(self.values.value(place)))
        })
    }
}

/// The bound in front of, or behind, all versions of a key.
fn first(bound: &Bound<UserKey>) -> Bound<RowKey> {
    match bound {
        Bound::Included(key) => Bound::Included(RowKey(key.clone(), Reverse(SeqNo::MAX))),
        Bound::Excluded(key) => Bound::Excluded(RowKey(key.clone(), Reverse(0))),
        Bound::Unbounded => Bound::Unbounded,
    }
}

fn last(bound: &Bound<UserKey>) -> Bound<RowKey> {
    match bound {
        Bound::Included(key) => Bound::Included(RowKey(key.clone(), Reverse(0))),
        Bound::Excluded(key) => Bound::Excluded(RowKey(key.clone(), Reverse(SeqNo::MAX))),
        Bound::Unbounded => Bound::Unbounded,
    }
}
