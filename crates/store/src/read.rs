//! Reads: get, multi-get and scan, bounds-checked by region.
//!
//! Called by the server once the host says the replica has applied enough (read index), or for
//! stale reads at any time. The functions of this module read from any [`Read`]; [`RegionReader`]
//! adds what a server needs: the epoch check, one view for several keys, and the refusal while
//! rows are being replaced. Reads never touch the log.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use kontiki_codec::keys::user::is_raw_key;
use kontiki_codec::value;
use kontiki_engine::{Direction, Engine, Family, Range, Read};
use kontiki_types::limits::{SCAN_BYTES_MAX, SCAN_ROWS_MAX};
use kontiki_types::{Epoch, KeyRange, Region};

use crate::RegionCell;

/// A key and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The full key.
    pub key: Bytes,
    /// The user's bytes; empty when the scan asked for keys only.
    pub value: Bytes,
}

/// What to scan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scan {
    /// Full keys. May reach beyond the region on the far side; the page then says where to go on.
    pub range: KeyRange,
    /// Which end comes first.
    pub direction: Direction,
    /// Most rows to answer; 0 and anything greater mean [`SCAN_ROWS_MAX`].
    pub rows_max: usize,
    /// Most bytes of keys and values to answer, though at least one row; 0 and anything greater
    /// mean [`SCAN_BYTES_MAX`].
    pub bytes_max: usize,
    /// Leave the values out.
    pub keys_only: bool,
}

/// What a scan found in one region.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Page {
    /// In the order of the scan.
    pub rows: Vec<Row>,
    /// Where the rest of the scan is: the next `range.start` (forward) or `range.end` (backward).
    /// Nothing when the scan is complete.
    pub resume: Option<Bytes>,
}

/// Why a read was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The region changed since the client routed.
    #[error("region changed since the request was routed")]
    EpochNotMatch {
        /// As it is now.
        current: Vec<Region>,
    },
    /// A key, or the near end of a scan, does not belong to the region.
    #[error("key is not in the region")]
    KeyNotInRegion {
        /// As it is now.
        current: Vec<Region>,
    },
    /// A snapshot is being installed, or a large range deleted: try again, here or elsewhere.
    #[error("rows of the region are being replaced; try again")]
    Replacing,
    /// The key is too long or not of the raw space.
    #[error("key is invalid: too long, or key space not raw")]
    Invalid,
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] kontiki_engine::Error),
    /// A row does not decode.
    #[error("row {key} is damaged: {source}; restore this store from its peers")]
    Row {
        /// Which, escaped.
        key: String,
        /// What is wrong with it.
        source: kontiki_codec::Error,
    },
}

/// Reads of one region; cheap to make, one per request.
pub struct RegionReader<'a> {
    cell: &'a RegionCell,
    engine: &'a dyn Engine,
}

impl<'a> RegionReader<'a> {
    /// Reads of this region from this engine.
    pub fn new(cell: &'a RegionCell, engine: &'a dyn Engine) -> Self {
        Self { cell, engine }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn get(&self, epoch: Epoch, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        self.undisturbed(epoch, |region| get(self.engine, region, self.cell.now_ms(), key))
    }

    /// The values of some keys, in their order, all of one moment.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn multi_get(&self, epoch: Epoch, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, ReadError> {
        self.undisturbed(epoch, |region| {
            let view = self.engine.view()?;
            let now_ms = self.cell.now_ms();
            keys.iter().map(|key| get(&*view, region, now_ms, key)).collect()
        })
    }

    /// One page of a scan, all of one moment.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn scan(&self, epoch: Epoch, request: &Scan) -> Result<Page, ReadError> {
        self.undisturbed(epoch, |region| scan(self.engine, region, self.cell.now_ms(), request))
    }

    fn undisturbed<T>(
        &self,
        epoch: Epoch,
        read: impl FnOnce(&Region) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        self.cell
            .undisturbed(|| {
                let region: Arc<Region> = self.cell.region();
                if region.epoch != epoch {
                    return Err(ReadError::EpochNotMatch { current: current(&region) });
                }
                read(&region)
            })
            .unwrap_or(Err(ReadError::Replacing))
    }
}

/// The value of a key of a region.
///
/// # Errors
/// See [`ReadError`].
pub fn get(
    read: &dyn Read,
    region: &Region,
    now_ms: u64,
    key: &[u8],
) -> Result<Option<Bytes>, ReadError> {
    if !is_raw_key(key) {
        return Err(ReadError::Invalid);
    }
    if !region.range.contains(key) {
        return Err(ReadError::KeyNotInRegion { current: current(region) });
    }
    read.get(Family::Default, key)?.map_or(Ok(None), |row| live(key, row, now_ms))
}

/// One page of a scan, up to the border of the region.
///
/// # Errors
/// See [`ReadError`].
pub fn scan(
    read: &dyn Read,
    region: &Region,
    now_ms: u64,
    request: &Scan,
) -> Result<Page, ReadError> {
    if request.range.is_empty() {
        return Ok(Page::default());
    }
    let (range, beyond) = within(region, request)?;
    let rows_max = limit(request.rows_max, SCAN_ROWS_MAX);
    let bytes_max = limit(request.bytes_max, SCAN_BYTES_MAX);
    let mut page = Page::default();
    let mut bytes = 0;
    let mut stopped = None;
    read.scan(Family::Default, &range, request.direction, &mut |key, row| {
        if page.rows.len() >= rows_max || bytes >= bytes_max {
            stopped = Some(Ok(key.clone()));
            return ControlFlow::Break(());
        }
        match live(key, row.clone(), now_ms) {
            Ok(None) => {}
            Ok(Some(value)) => {
                let value = if request.keys_only { Bytes::new() } else { value };
                bytes += key.len() + value.len();
                page.rows.push(Row { key: key.clone(), value });
            }
            Err(error) => {
                stopped = Some(Err(error));
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    page.resume = match (stopped.transpose()?, request.direction) {
        (None, _) => beyond,
        // Forward, the row that did not fit is the first of the rest.
        (Some(next), Direction::Forward) => Some(next),
        // Backward, an end is not part of its range: the last row that did fit is the end.
        (Some(_), Direction::Backward) => page.rows.last().map(|row| row.key.clone()),
    };
    Ok(page)
}

/// The part of a scan that is in the region, and where the rest begins if there is one.
fn within(region: &Region, scan: &Scan) -> Result<(Range, Option<Bytes>), ReadError> {
    let (asked, owned) = (&scan.range, &region.range);
    let outside = || ReadError::KeyNotInRegion { current: current(region) };
    match scan.direction {
        Direction::Forward => {
            if !owned.contains(&asked.start) {
                return Err(outside());
            }
            let beyond = match (&owned.end, &asked.end) {
                (None, _) => None,
                (Some(border), Some(end)) if end <= border => None,
                (Some(border), _) => Some(border.clone()),
            };
            let end = beyond.clone().or_else(|| asked.end.clone());
            Ok((Range::new(asked.start.clone(), end), beyond))
        }
        Direction::Backward => {
            // The first row to answer is the last one before `end`, so the region must reach
            // exactly there: its own end may be the scan's end, its start may not.
            let reaches = match (&owned.end, &asked.end) {
                (None, None) => true,
                (Some(_), None) => false,
                (border, Some(end)) => {
                    *end > owned.start && border.as_ref().is_none_or(|border| end <= border)
                }
            };
            if !reaches {
                return Err(outside());
            }
            let beyond = (asked.start < owned.start).then(|| owned.start.clone());
            let start = beyond.clone().unwrap_or_else(|| asked.start.clone());
            Ok((Range::new(start, asked.end.clone()), beyond))
        }
    }
}

fn limit(asked: usize, max: usize) -> usize {
    if asked == 0 { max } else { asked.min(max) }
}

fn current(region: &Region) -> Vec<Region> {
    vec![region.clone()]
}

/// The user's bytes of a row, unless its time is over.
fn live(key: &[u8], row: Bytes, now_ms: u64) -> Result<Option<Bytes>, ReadError> {
    let value = value::from_bytes(row)
        .map_err(|source| ReadError::Row { key: key.escape_ascii().to_string(), source })?;
    let over = value.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms);
    Ok((!over).then_some(value.data))
}
