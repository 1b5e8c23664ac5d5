//! The record of what one apply call did to a region's sessions.
//!
//! One small row per applied batch instead of one row per request: the store writes it with the
//! data, replays records over the session rows when it opens, and folds them now and then. An
//! item is either a touch (a payload of this client was applied) or an outcome of the payload
//! touched last. Replaying the items in order yields the very table that apply had.

use bytes::Bytes;
use kontiki_types::{ClientId, Outcome, RegionTime, RequestId};

use crate::wire::{Reader, put_flag, put_u8, put_u64, put_varint};
use crate::{Error, Result, outcome, region_time};

const VERSION: u8 = 2;
const TOUCH: u8 = 0;
const OUTCOME: u8 = 1;

/// One thing that happened to the table of sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// A payload began.
    Touch(Touch),
    /// A command of that payload left this outcome.
    Outcome(RequestId, Outcome),
}

/// What a payload says about its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Touch {
    /// Whose.
    pub client: ClientId,
    /// Its lowest outstanding request.
    pub lowest: RequestId,
    /// Whether it may open the session.
    pub open: bool,
    /// Its proposer's wall clock.
    pub wall_ms: u64,
}

/// Writes a record item by item.
#[derive(Debug)]
pub struct Builder {
    out: Vec<u8>,
    previous: u64,
    empty: bool,
}

impl Builder {
    /// A record that starts at this time of the region.
    pub fn new(time: RegionTime) -> Self {
        let mut out = Vec::with_capacity(256);
        put_u8(&mut out, VERSION);
        region_time::encode(&mut out, time);
        Self { out, previous: 0, empty: true }
    }

    /// Adds a touch.
    pub fn touch(&mut self, touch: Touch) {
        put_u8(&mut self.out, TOUCH);
        put_u64(&mut self.out, touch.client.0);
        put_varint(&mut self.out, touch.lowest.0);
        put_flag(&mut self.out, touch.open);
        put_varint(&mut self.out, touch.wall_ms);
        self.previous = touch.lowest.0;
        self.empty = false;
    }

    /// Adds an outcome of the payload touched last.
    ///
    /// # Panics
    /// When nothing was touched.
    pub fn outcome(&mut self, request: RequestId, outcome: &Outcome) {
        assert!(!self.empty, "outcome of {request} before any touch");
        put_u8(&mut self.out, OUTCOME);
        put_varint(&mut self.out, request.0.wrapping_sub(self.previous));
        self.previous = request.0;
        outcome::encode(&mut self.out, outcome);
    }

    /// True when nothing was added.
    pub fn is_empty(&self) -> bool {
        self.empty
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.out.len()
    }

    /// The row.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.out)
    }
}

/// A record read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The time of the region before its first item.
    pub time: RegionTime,
    /// What happened, in order.
    pub items: Vec<Item>,
}

/// The row of a record.
///
/// # Panics
/// When an outcome stands before any touch.
pub fn to_bytes(record: &Record) -> Bytes {
    let mut builder = Builder::new(record.time);
    for item in &record.items {
        match item {
            Item::Touch(touch) => builder.touch(*touch),
            Item::Outcome(request, outcome) => builder.outcome(*request, outcome),
        }
    }
    builder.finish()
}

/// Reads the row of a record.
///
/// # Errors
/// When the bytes are not one, or of another version.
pub fn from_bytes(row: Bytes) -> Result<Record> {
    let mut reader = Reader::new(row);
    reader.version(VERSION)?;
    let time = region_time::decode(&mut reader)?;
    let mut items = Vec::new();
    let mut previous = None;
    while !reader.is_empty() {
        items.push(match reader.u8()? {
            TOUCH => Item::Touch(decode_touch(&mut reader, &mut previous)?),
            OUTCOME => {
                let before = previous.ok_or(Error::Corrupt("outcome before any touch"))?;
                let request = reader.varint()?.wrapping_add(before);
                previous = Some(request);
                Item::Outcome(RequestId(request), outcome::decode(&mut reader)?)
            }
            _ => return Err(Error::Corrupt("unknown item of an outcome record")),
        });
    }
    Ok(Record { time, items })
}

fn decode_touch(reader: &mut Reader, previous: &mut Option<u64>) -> Result<Touch> {
    let client = ClientId(reader.u64()?);
    let lowest = RequestId(reader.varint()?);
    *previous = Some(lowest.0);
    Ok(Touch { client, lowest, open: reader.flag()?, wall_ms: reader.varint()? })
}
