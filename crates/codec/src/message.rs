//! Peer messages: group, from, to, term, a tag, and what the tag says.
//!
//! Called by [`crate::frame`] only in production; a message never travels without a frame. A tag
//! is never used again for something else.

use kontiki_types::{
    AppendOutcome, Body, Entry, Index, Message, PeerId, Position, ReadMode, RegionId, StoreId, Term,
};

use crate::wire::{Reader, put_flag, put_u8, put_varint};
use crate::{Error, Result, entry, position, snapshot};

/// Fewest bytes of a message: group, from, to, term, tag.
pub(crate) const MESSAGE_BYTES_MIN: usize = 5;

/// Bytes of a message beside the data of its entries and peers; for reserving room.
const FIXED_BYTES: usize = 64;

/// Bytes this message takes at most when encoded, up to the size of its membership.
pub fn size_hint(message: &Message) -> usize {
    match &message.body {
        Body::Append { entries, .. } => {
            FIXED_BYTES + entries.iter().map(|e| e.data.len() + 24).sum::<usize>()
        }
        Body::Snapshot { meta, .. } => FIXED_BYTES + meta.membership.len() * 21,
        _ => FIXED_BYTES,
    }
}

/// Appends a message of a group.
///
/// # Panics
/// When the entries of an append do not follow its `prev` one by one.
pub fn encode(out: &mut Vec<u8>, group: RegionId, message: &Message) {
    put_varint(out, group.0);
    put_varint(out, message.from.0);
    put_varint(out, message.to.0);
    put_varint(out, message.term.0);
    put_u8(out, tag(&message.body));
    encode_body(out, &message.body);
}

/// Reads a message and its group; entries share the memory of the input.
///
/// # Errors
/// When the bytes are not one.
pub fn decode(reader: &mut Reader) -> Result<(RegionId, Message)> {
    let group = RegionId(reader.varint()?);
    let from = PeerId(reader.varint()?);
    let to = PeerId(reader.varint()?);
    let term = Term(reader.varint()?);
    let tag = reader.u8()?;
    let body = decode_body(reader, tag)?;
    Ok((group, Message { from, to, term, body }))
}

fn tag(body: &Body) -> u8 {
    match body {
        Body::PreVote { .. } => 1,
        Body::PreVoteReply { .. } => 2,
        Body::Vote { .. } => 3,
        Body::VoteReply { .. } => 4,
        Body::Append { .. } => 5,
        Body::AppendReply { .. } => 6,
        Body::Heartbeat { .. } => 7,
        Body::HeartbeatReply { .. } => 8,
        Body::Snapshot { .. } => 9,
        Body::ReadIndex { mode: ReadMode::Index, .. } => 10,
        Body::ReadIndexReply { .. } => 11,
        Body::TimeoutNow => 12,
        Body::TimeoutNowRefused => 13,
        Body::Removed { .. } => 16,
        Body::ReadIndex { mode: ReadMode::Lease, .. } => 14,
        Body::Sleep { .. } => 15,
        Body::Succeed { .. } => 17,
    }
}

fn encode_body(out: &mut Vec<u8>, body: &Body) {
    match body {
        Body::PreVote { last } => position::encode(out, *last),
        Body::PreVoteReply { granted } | Body::VoteReply { granted } => put_flag(out, *granted),
        Body::Vote { last, transfer } => {
            position::encode(out, *last);
            put_flag(out, *transfer);
        }
        Body::Append { session, prev, entries, commit, round } => {
            put_varint(out, *session);
            position::encode(out, *prev);
            put_varint(out, commit.0);
            put_varint(out, *round);
            encode_entries(out, *prev, entries);
        }
        Body::AppendReply { session, outcome, round } => {
            put_varint(out, *session);
            put_varint(out, *round);
            encode_outcome(out, *outcome);
        }
        Body::Heartbeat { session, commit, round } => {
            put_varint(out, *session);
            put_varint(out, commit.0);
            put_varint(out, *round);
        }
        Body::HeartbeatReply { session, round } => {
            put_varint(out, *session);
            put_varint(out, *round);
        }
        Body::Sleep { session, commit } => {
            put_varint(out, *session);
            position::encode(out, *commit);
        }
        Body::Snapshot { session, meta } => {
            put_varint(out, *session);
            snapshot::encode(out, meta);
        }
        Body::ReadIndex { id, .. } => put_varint(out, *id),
        Body::ReadIndexReply { id, index } => {
            put_varint(out, *id);
            put_flag(out, index.is_some());
            if let Some(index) = index {
                put_varint(out, index.0);
            }
        }
        Body::TimeoutNow | Body::TimeoutNowRefused => {}
        Body::Removed { as_of } => put_varint(out, as_of.0),
        Body::Succeed { store } => put_varint(out, store.0),
    }
}

fn decode_body(reader: &mut Reader, tag: u8) -> Result<Body> {
    Ok(match tag {
        1 => Body::PreVote { last: position::decode(reader)? },
        2 => Body::PreVoteReply { granted: reader.flag()? },
        3 => Body::Vote { last: position::decode(reader)?, transfer: reader.flag()? },
        4 => Body::VoteReply { granted: reader.flag()? },
        5 => decode_append(reader)?,
        6 => {
            let session = reader.varint()?;
            let round = reader.varint()?;
            Body::AppendReply { session, outcome: decode_outcome(reader)?, round }
        }
        7 => {
            let session = reader.varint()?;
            let commit = Index(reader.varint()?);
            Body::Heartbeat { session, commit, round: reader.varint()? }
        }
        8 => Body::HeartbeatReply { session: reader.varint()?, round: reader.varint()? },
        9 => Body::Snapshot { session: reader.varint()?, meta: snapshot::decode(reader)? },
        10 => Body::ReadIndex { id: reader.varint()?, mode: ReadMode::Index },
        11 => {
            let id = reader.varint()?;
            let index = if reader.flag()? { Some(Index(reader.varint()?)) } else { None };
            Body::ReadIndexReply { id, index }
        }
        12 => Body::TimeoutNow,
        13 => Body::TimeoutNowRefused,
        16 => Body::Removed { as_of: Index(reader.varint()?) },
        14 => Body::ReadIndex { id: reader.varint()?, mode: ReadMode::Lease },
        17 => Body::Succeed { store: StoreId(reader.varint()?) },
        15 => Body::Sleep { session: reader.varint()?, commit: position::decode(reader)? },
        _ => return Err(Error::Corrupt("unknown kind of message")),
    })
}

fn decode_append(reader: &mut Reader) -> Result<Body> {
    let session = reader.varint()?;
    let prev = position::decode(reader)?;
    let commit = Index(reader.varint()?);
    let round = reader.varint()?;
    let entries = decode_entries(reader, prev)?;
    Ok(Body::Append { session, prev, entries, commit, round })
}

fn encode_entries(out: &mut Vec<u8>, prev: Position, entries: &[Entry]) {
    put_varint(out, entries.len() as u64);
    for (nth, entry) in (1..).zip(entries) {
        assert!(
            entry.position.index == prev.index + nth,
            "entry {nth} of an append after {prev} stands at {}",
            entry.position
        );
        entry::encode_body(out, entry);
    }
}

fn decode_entries(reader: &mut Reader, prev: Position) -> Result<Vec<Entry>> {
    let count = reader.count(entry::BODY_BYTES_MIN)?;
    if prev.index.0.checked_add(count as u64).is_none() {
        return Err(Error::Corrupt("index of an entry exceeds 64 bits"));
    }
    let mut index = prev.index;
    reader.items(count, |reader| {
        index = index.next();
        entry::decode_body(reader, index)
    })
}

fn encode_outcome(out: &mut Vec<u8>, outcome: AppendOutcome) {
    match outcome {
        AppendOutcome::Accepted { matched } => {
            put_u8(out, 0);
            put_varint(out, matched.0);
        }
        AppendOutcome::Rejected { prev, hint } => {
            put_u8(out, 1);
            put_varint(out, prev.0);
            position::encode(out, hint);
        }
    }
}

fn decode_outcome(reader: &mut Reader) -> Result<AppendOutcome> {
    if reader.flag()? {
        let prev = Index(reader.varint()?);
        Ok(AppendOutcome::Rejected { prev, hint: position::decode(reader)? })
    } else {
        Ok(AppendOutcome::Accepted { matched: Index(reader.varint()?) })
    }
}
