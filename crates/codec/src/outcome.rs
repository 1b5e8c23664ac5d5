//! Outcomes of commands: the reply to one payload, and what a region remembers for retries.
//!
//! A reply lists one outcome per command of the [`kontiki_types::WriteBatch`], in its order.

use bytes::Bytes;
use kontiki_types::limits::BATCH_COMMANDS_MAX;
use kontiki_types::{Outcome, Refusal, Region};

use crate::wire::{Reader, put_flag, put_option_bytes, put_u8, put_varint, whole};
use crate::{Error, Result, region};

/// Fewest bytes of a region: see [`region::encode`].
const REGION_BYTES_MIN: usize = 6;

/// Appends one outcome.
pub fn encode(out: &mut Vec<u8>, outcome: &Outcome) {
    match outcome {
        Outcome::Done => put_u8(out, 0),
        Outcome::Removed(count) => {
            put_u8(out, 1);
            put_varint(out, *count);
        }
        Outcome::Conditional { applied, previous } => {
            put_u8(out, 2);
            put_flag(out, *applied);
            put_option_bytes(out, previous.as_deref());
        }
        Outcome::Refused(refusal) => {
            put_u8(out, 3);
            encode_refusal(out, refusal);
        }
    }
}

/// Reads one outcome.
///
/// # Errors
/// When the bytes are not one.
pub fn decode(reader: &mut Reader) -> Result<Outcome> {
    Ok(match reader.u8()? {
        0 => Outcome::Done,
        1 => Outcome::Removed(reader.varint()?),
        2 => {
            let applied = reader.flag()?;
            Outcome::Conditional { applied, previous: reader.option_bytes()? }
        }
        3 => Outcome::Refused(decode_refusal(reader)?),
        _ => return Err(Error::Corrupt("unknown outcome")),
    })
}

/// The reply to one payload.
pub fn to_bytes(outcomes: &[Outcome]) -> Bytes {
    let mut out = Vec::with_capacity(2 + outcomes.len());
    put_varint(&mut out, outcomes.len() as u64);
    for outcome in outcomes {
        encode(&mut out, outcome);
    }
    Bytes::from(out)
}

/// Reads the reply to one payload.
///
/// # Errors
/// When the bytes are not one, or list more outcomes than a payload has commands.
pub fn from_bytes(reply: Bytes) -> Result<Vec<Outcome>> {
    whole(reply, |reader| {
        let count = reader.count(1)?;
        if count > BATCH_COMMANDS_MAX {
            return Err(Error::Corrupt("more outcomes than a batch has commands"));
        }
        reader.items(count, decode)
    })
}

fn encode_refusal(out: &mut Vec<u8>, refusal: &Refusal) {
    match refusal {
        Refusal::EpochNotMatch(regions) => {
            put_u8(out, 1);
            encode_regions(out, regions);
        }
        Refusal::KeyNotInRegion => put_u8(out, 2),
        Refusal::SessionUnknown => put_u8(out, 3),
        Refusal::RequestForgotten => put_u8(out, 4),
        Refusal::SessionFull => put_u8(out, 5),
        Refusal::Invalid => put_u8(out, 6),
    }
}

fn decode_refusal(reader: &mut Reader) -> Result<Refusal> {
    Ok(match reader.u8()? {
        1 => {
            let count = reader.count(REGION_BYTES_MIN)?;
            Refusal::EpochNotMatch(reader.items(count, region::decode)?)
        }
        2 => Refusal::KeyNotInRegion,
        3 => Refusal::SessionUnknown,
        4 => Refusal::RequestForgotten,
        5 => Refusal::SessionFull,
        6 => Refusal::Invalid,
        _ => return Err(Error::Corrupt("unknown refusal")),
    })
}

fn encode_regions(out: &mut Vec<u8>, regions: &[Region]) {
    put_varint(out, regions.len() as u64);
    for region in regions {
        region::encode(out, region);
    }
}
