//! Positions: term, then index, as varints. Part of most other formats.

use kontiki_types::{Index, Position, Term};

use crate::Result;
use crate::wire::{Reader, put_varint};

/// Appends a position.
pub fn encode(out: &mut Vec<u8>, position: Position) {
    put_varint(out, position.term.0);
    put_varint(out, position.index.0);
}

/// Reads a position.
///
/// # Errors
/// When the bytes are not one.
pub fn decode(reader: &mut Reader) -> Result<Position> {
    let term = Term(reader.varint()?);
    let index = Index(reader.varint()?);
    Ok(Position { term, index })
}
