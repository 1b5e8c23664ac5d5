//! The row of a client session: what a region must remember to answer retries (RIFL).
//!
//! Written by the store when it folds outcome records, and carried by snapshots. Outcomes stand in
//! order of their request, each once.

use bytes::Bytes;
use kontiki_types::{Outcome, RequestId};

use crate::wire::{Reader, put_u8, put_varint, whole};
use crate::{Error, Result, outcome};

const VERSION: u8 = 1;

/// Fewest bytes of a remembered outcome: request, tag.
const OUTCOME_BYTES_MIN: usize = 2;

/// One client session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Requests below this were answered and are forgotten.
    pub lowest: RequestId,
    /// How long the region had lived at its last write.
    pub used_ms: u64,
    /// What became of its recent requests, in order of request.
    pub outcomes: Vec<(RequestId, Outcome)>,
}

/// Appends a session.
///
/// # Panics
/// When the outcomes are out of order or below `lowest`.
pub fn encode(out: &mut Vec<u8>, session: &Session) {
    put_varint(out, session.lowest.0);
    put_varint(out, session.used_ms);
    put_varint(out, session.outcomes.len() as u64);
    let mut next = Some(session.lowest.0);
    for (request, outcome) in &session.outcomes {
        let gap = next.and_then(|next| request.0.checked_sub(next));
        let Some(gap) = gap else { panic!("outcome of {request} where {next:?} is the least") };
        put_varint(out, gap);
        outcome::encode(out, outcome);
        next = request.0.checked_add(1);
    }
}

/// Reads a session.
///
/// # Errors
/// When the bytes are not one.
pub fn decode(reader: &mut Reader) -> Result<Session> {
    let lowest = RequestId(reader.varint()?);
    let used_ms = reader.varint()?;
    let count = reader.count(OUTCOME_BYTES_MIN)?;
    let mut next = Some(lowest.0);
    let outcomes = reader.items(count, |reader| {
        let gap = reader.varint()?;
        let request = next
            .and_then(|next| next.checked_add(gap))
            .ok_or(Error::Corrupt("request id exceeds 64 bits"))?;
        next = request.checked_add(1);
        Ok((RequestId(request), outcome::decode(reader)?))
    })?;
    Ok(Session { lowest, used_ms, outcomes })
}

/// The row of a session.
///
/// # Panics
/// As [`encode`].
pub fn to_bytes(session: &Session) -> Bytes {
    let mut out = Vec::with_capacity(24 + session.outcomes.len() * OUTCOME_BYTES_MIN);
    put_u8(&mut out, VERSION);
    encode(&mut out, session);
    Bytes::from(out)
}

/// Reads the row of a session.
///
/// # Errors
/// When the bytes are not one, or of another version.
pub fn from_bytes(row: Bytes) -> Result<Session> {
    whole(row, |reader| {
        reader.version(VERSION)?;
        decode(reader)
    })
}
