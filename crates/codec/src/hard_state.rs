//! Hard state: term, vote, commit hint. Written by the log, once per change.

use kontiki_types::{HardState, Index, PeerId, Term};

use crate::Result;
use crate::wire::{Reader, put_flag, put_varint};

/// Appends a hard state.
pub fn encode(out: &mut Vec<u8>, state: &HardState) {
    put_varint(out, state.term.0);
    put_flag(out, state.vote.is_some());
    if let Some(peer) = state.vote {
        put_varint(out, peer.0);
    }
    put_varint(out, state.commit.0);
}

/// Reads a hard state.
///
/// # Errors
/// When the bytes are not one.
pub fn decode(reader: &mut Reader) -> Result<HardState> {
    let term = Term(reader.varint()?);
    let vote = if reader.flag()? { Some(PeerId(reader.varint()?)) } else { None };
    let commit = Index(reader.varint()?);
    Ok(HardState { term, vote, commit })
}
