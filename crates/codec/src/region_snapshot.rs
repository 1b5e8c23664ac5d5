//! What the chunks of a region's snapshot say: a head, rows, sessions, an end.
//!
//! Made and read by the store. The end counts everything before it, so that a snapshot cut short
//! or mixed from two is refused even when each chunk by itself is whole.

use bytes::Bytes;
use kontiki_types::{ClientId, Region, RegionTime};

use crate::session::{self, Session};
use crate::snapshot_chunk::{self, Chunk};
use crate::wire::{Reader, put_bytes, put_u64, put_varint, whole};
use crate::{Error, Result, region, region_time};

/// Not 1: that was a head with less of its time.
const HEAD: u8 = 5;
const ROWS: u8 = 2;
const SESSIONS: u8 = 3;
const END: u8 = 4;

/// Bytes of a row beside key and value, at most.
const ROW_BYTES: usize = 10;

/// One chunk of a region's snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// First: whose rows follow.
    Head {
        /// The descriptor as of the snapshot.
        region: Region,
        /// The time of the region as of the snapshot.
        time: RegionTime,
    },
    /// Rows of the default family: key and raw value, in order of key.
    Rows(Vec<(Bytes, Bytes)>),
    /// Client sessions, in order of client.
    Sessions(Vec<(ClientId, Session)>),
    /// Last.
    End(Totals),
}

/// What a snapshot holds in all.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Totals {
    /// Rows of the default family.
    pub rows: u64,
    /// Client sessions.
    pub sessions: u64,
    /// Hash over rows and sessions, as the state hash of the store computes it.
    pub hash: u64,
}

/// The bytes of a chunk.
pub fn encode(sequence: u64, part: &Part) -> Bytes {
    let mut body = Vec::new();
    let kind = match part {
        Part::Head { region, time } => {
            region_time::encode(&mut body, *time);
            region::encode(&mut body, region);
            HEAD
        }
        Part::Rows(rows) => {
            body.reserve(rows.iter().map(|(key, value)| row_bytes(key, value)).sum());
            for (key, value) in rows {
                put_bytes(&mut body, key);
                put_bytes(&mut body, value);
            }
            ROWS
        }
        Part::Sessions(sessions) => {
            for (client, session) in sessions {
                put_u64(&mut body, client.0);
                session::encode(&mut body, session);
            }
            SESSIONS
        }
        Part::End(totals) => {
            put_varint(&mut body, totals.rows);
            put_varint(&mut body, totals.sessions);
            put_u64(&mut body, totals.hash);
            END
        }
    };
    snapshot_chunk::encode(sequence, kind, &body)
}

/// Bytes a row takes in a chunk, at most.
pub fn row_bytes(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + ROW_BYTES
}

/// Reads a chunk and its place.
///
/// # Errors
/// When it is damaged, or not of a region's snapshot.
pub fn decode(chunk: Bytes) -> Result<(u64, Part)> {
    let Chunk { sequence, kind, body } = snapshot_chunk::decode(chunk)?;
    let part = whole(body, |reader| match kind {
        HEAD => {
            let time = region_time::decode(reader)?;
            Ok(Part::Head { region: region::decode(reader)?, time })
        }
        ROWS => until_end(reader, |reader| Ok((reader.bytes()?, reader.bytes()?))).map(Part::Rows),
        SESSIONS => {
            until_end(reader, |reader| Ok((ClientId(reader.u64()?), session::decode(reader)?)))
                .map(Part::Sessions)
        }
        END => Ok(Part::End(Totals {
            rows: reader.varint()?,
            sessions: reader.varint()?,
            hash: reader.u64()?,
        })),
        _ => Err(Error::Corrupt("unknown kind of chunk")),
    })?;
    Ok((sequence, part))
}

fn until_end<T>(
    reader: &mut Reader,
    mut item: impl FnMut(&mut Reader) -> Result<T>,
) -> Result<Vec<T>> {
    let mut items = Vec::new();
    while !reader.is_empty() {
        items.push(item(reader)?);
    }
    Ok(items)
}
