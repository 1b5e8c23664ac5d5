//! A scan, page by page: asks for what is left of its range until nothing is left.
//!
//! Regions may split and merge between pages; the range that is left is a range of keys, so the
//! scan neither misses nor repeats rows that stay.

use kontiki_types::KeyRange;
use kontiki_types::limits::SCAN_ROWS_MAX;

use crate::ask::{Columns, Direction, Got, Read};
use crate::{Client, Error, Row, ask};

/// Rows of a page unless the user says otherwise.
const PAGE_ROWS: u32 = 1000;
const _: () = assert!(PAGE_ROWS as usize <= SCAN_ROWS_MAX);

/// A scan that has not read everything yet.
pub struct Scan {
    client: Client,
    direction: Direction,
    columns: Columns,
    page_rows: u32,
    /// Rows the user still wants; none: all.
    wanted: Option<u64>,
    /// What was not read yet.
    rest: Option<KeyRange>,
}

impl Scan {
    pub(crate) fn new(client: Client, range: KeyRange) -> Self {
        Self {
            client,
            direction: Direction::Forward,
            columns: Columns::KeysAndValues,
            page_rows: PAGE_ROWS,
            wanted: None,
            rest: Some(range),
        }
    }

    /// From the greatest key to the least.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.direction = Direction::Reverse;
        self
    }

    /// At most this many rows in all.
    #[must_use]
    pub fn limit(mut self, rows: u64) -> Self {
        self.wanted = Some(rows);
        self
    }

    /// Leaves the values out.
    #[must_use]
    pub fn keys_only(mut self) -> Self {
        self.columns = Columns::Keys;
        self
    }

    /// At most this many rows in a page; the server may send fewer.
    #[must_use]
    pub fn page_rows(mut self, rows: u32) -> Self {
        self.page_rows = rows.max(1);
        self
    }

    /// The next rows, at least one; nothing when all were read. After an error the same page may
    /// be asked for again.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Row>>, Error> {
        while let Some(range) = self.rest.clone().filter(|range| !range.is_empty()) {
            let row_limit = match self.wanted {
                Some(0) => break,
                Some(wanted) => u32::try_from(wanted).unwrap_or(u32::MAX).min(self.page_rows),
                None => self.page_rows,
            };
            let (direction, columns) = (self.direction, self.columns);
            let scan = ask::Scan { range, direction, row_limit, columns };
            let Got::Rows { rows, rest } = self.client.read(Read::Scan(scan)).await? else {
                unreachable!("a scan answered something else");
            };
            self.rest = rest;
            self.wanted = self.wanted.map(|wanted| wanted.saturating_sub(rows.len() as u64));
            if !rows.is_empty() {
                return rows
                    .into_iter()
                    .map(|row| self.user_row(row))
                    .collect::<Result<_, _>>()
                    .map(Some);
            }
        }
        self.rest = None;
        Ok(None)
    }

    /// All rows that are left, in memory.
    pub async fn collect(mut self) -> Result<Vec<Row>, Error> {
        let mut all = Vec::new();
        while let Some(page) = self.next_page().await? {
            all.extend(page);
        }
        Ok(all)
    }

    fn user_row(&self, (key, value): (bytes::Bytes, bytes::Bytes)) -> Result<Row, Error> {
        let why = || format!("a store answered the key {} outside the scan", key.escape_ascii());
        let key = self.client.keyspace().user_key(&key);
        let key = key.ok_or_else(|| Error::Unavailable { why: why() })?;
        Ok(Row { key, value })
    }
}
