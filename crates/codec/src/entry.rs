//! Log entries: position, kind, data. Written by the log; an append message leaves the index out,
//! because it follows from the position before the first entry.

use kontiki_types::{Entry, EntryKind, Index, Position, Term};

use crate::wire::{Reader, put_bytes, put_u8, put_varint};
use crate::{Error, Result, position};

/// Fewest bytes of an entry's body: term, kind, empty data.
pub(crate) const BODY_BYTES_MIN: usize = 3;

/// Appends an entry with its position.
pub fn encode(out: &mut Vec<u8>, entry: &Entry) {
    position::encode(out, entry.position);
    put_u8(out, kind_tag(entry.kind));
    put_bytes(out, &entry.data);
}

/// Reads an entry; its data shares the memory of the input.
///
/// # Errors
/// When the bytes are not one.
pub fn decode(reader: &mut Reader) -> Result<Entry> {
    let position = position::decode(reader)?;
    let kind = kind(reader.u8()?)?;
    let data = reader.bytes()?;
    Ok(Entry { position, kind, data })
}

/// Appends an entry without its index.
pub(crate) fn encode_body(out: &mut Vec<u8>, entry: &Entry) {
    put_varint(out, entry.position.term.0);
    put_u8(out, kind_tag(entry.kind));
    put_bytes(out, &entry.data);
}

/// Reads an entry whose index is known.
pub(crate) fn decode_body(reader: &mut Reader, index: Index) -> Result<Entry> {
    let term = Term(reader.varint()?);
    let kind = kind(reader.u8()?)?;
    let data = reader.bytes()?;
    Ok(Entry { position: Position { term, index }, kind, data })
}

fn kind_tag(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::Empty => 0,
        EntryKind::Normal => 1,
        EntryKind::Config => 2,
    }
}

fn kind(tag: u8) -> Result<EntryKind> {
    match tag {
        0 => Ok(EntryKind::Empty),
        1 => Ok(EntryKind::Normal),
        2 => Ok(EntryKind::Config),
        _ => Err(Error::Corrupt("unknown kind of entry")),
    }
}
