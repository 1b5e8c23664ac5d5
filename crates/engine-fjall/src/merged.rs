//! The rows of a range, out of all tables of a state, in order.
//!
//! The tree merges its tables on disk; before them come the rows in memory, table by table, the
//! newest first: the first source that knows a key says what it is. `view.rs` scans through it.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use kontiki_engine::Direction;
use lsm_tree::{AbstractTree, AnyTree, Guard, IterGuardImpl, SeqNo, UserKey};

use crate::memtable::{Known, Memtable, Seen};
use crate::view::shared;
use crate::views::OpenView;

/// Rows that are looked up at once in a table in memory: few at first, for a scan with a small
/// limit, and more with every page, as a page is copied.
const PAGE_ROWS_FIRST: usize = 8;
const PAGE_ROWS_MAX: usize = 256;

type Bounds = (Bound<UserKey>, Bound<UserKey>);

/// See the module.
pub(crate) struct Merged {
    direction: Direction,
    /// The newest first.
    in_memory: Vec<Pages>,
    on_disk: Box<dyn DoubleEndedIterator<Item = IterGuardImpl> + Send>,
    /// The next row on disk.
    next_on_disk: Option<Seen>,
}

/// The rows of a table in memory, a page at a time: its lock is held while a page is looked up.
struct Pages {
    table: Arc<Memtable>,
    below: SeqNo,
    direction: Direction,
    /// What lies behind `page`.
    bounds: Bounds,
    page: VecDeque<Seen>,
    page_rows: usize,
    is_last: bool,
}

impl Merged {
    /// The rows between two keys; the bounds must not be inverted.
    pub(crate) fn new(
        tree: &AnyTree,
        open: &OpenView,
        bounds: Bounds,
        direction: Direction,
    ) -> lsm_tree::Result<Self> {
        let pages = |table: &Arc<Memtable>| Pages {
            table: Arc::clone(table),
            below: open.number,
            direction,
            bounds: bounds.clone(),
            page: VecDeque::new(),
            page_rows: PAGE_ROWS_FIRST,
            is_last: false,
        };
        let in_memory = open.in_memory.tables().map(pages).collect();
        let on_disk = tree.range::<UserKey, _>(bounds, open.number, None);
        let mut merged = Self { direction, in_memory, on_disk, next_on_disk: None };
        merged.advance_on_disk()?;
        Ok(merged)
    }

    /// The next row that is not deleted.
    ///
    /// # Errors
    /// A table on disk cannot be read.
    pub(crate) fn next(&mut self) -> lsm_tree::Result<Option<(UserKey, Bytes)>> {
        while let Some(key) = self.next_key() {
            let mut row = None;
            for pages in &mut self.in_memory {
                if let Some(known) = pages.take(&key) {
                    row.get_or_insert(known);
                }
            }
            if let Some((_, known)) = self.next_on_disk.take_if(|(next, _)| *next == key) {
                row.get_or_insert(known);
                self.advance_on_disk()?;
            }
            if let Some(value) = row.and_then(Known::value) {
                return Ok(Some((key, value)));
            }
        }
        Ok(None)
    }

    fn next_key(&mut self) -> Option<UserKey> {
        let in_memory = self.in_memory.iter_mut().filter_map(|pages| pages.peek());
        let keys = in_memory.chain(self.next_on_disk.as_ref().map(|(key, _)| key));
        match self.direction {
            Direction::Forward => keys.min(),
            Direction::Backward => keys.max(),
        }
        .cloned()
    }

    fn advance_on_disk(&mut self) -> lsm_tree::Result<()> {
        let row = match self.direction {
            Direction::Forward => self.on_disk.next(),
            Direction::Backward => self.on_disk.next_back(),
        };
        let row = row.map(Guard::into_inner).transpose()?;
        self.next_on_disk = row.map(|(key, value)| (key, Known::Value(shared(value))));
        Ok(())
    }
}

impl Pages {
    /// The key of the next row.
    fn peek(&mut self) -> Option<&UserKey> {
        // A page may be without rows although some come behind it.
        while self.page.is_empty() && !self.is_last {
            self.turn();
        }
        self.page.front().map(|(key, _)| key)
    }

    /// The next row, if it is of this key.
    fn take(&mut self, key: &UserKey) -> Option<Known> {
        self.page.pop_front_if(|(next, _)| next == key).map(|(_, known)| known)
    }

    fn turn(&mut self) {
        let page = self.table.page(&self.bounds, self.direction, self.below, self.page_rows);
        self.page = page.rows;
        self.page_rows = (self.page_rows * 2).min(PAGE_ROWS_MAX);
        self.is_last = page.behind.is_none();
        if let Some(behind) = page.behind.map(Bound::Excluded) {
            match self.direction {
                Direction::Forward => self.bounds.0 = behind,
                Direction::Backward => self.bounds.1 = behind,
            }
        }
    }
}
