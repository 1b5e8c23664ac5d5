//! The values of a table in memory: one behind the other, in a few large pieces.
//!
//! A value is copied here once. It costs no allocation of its own, and the whole goes at once when
//! its table is on disk: freeing a hundred thousand values that another thread allocated took that
//! thread longer than writing them. Only `memtable.rs` calls it.

/// How much is allocated at once. A longer value gets a piece of its own.
const PIECE_BYTES: usize = 256 << 10;

/// See the module.
#[derive(Default)]
pub(crate) struct Arena {
    pieces: Vec<Vec<u8>>,
}

/// Where a value is in its arena.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    piece: u32,
    start: u32,
    len: u32,
}

impl Place {
    /// Bytes of the value.
    pub(crate) fn len(self) -> usize {
        self.len as usize
    }
}

impl Arena {
    /// Copies a value.
    ///
    /// # Panics
    /// When it is longer than 4 GiB: no batch holds such a value.
    pub(crate) fn add(&mut self, value: &[u8]) -> Place {
        let has_room = |piece: &Vec<u8>| piece.capacity() - piece.len() >= value.len();
        if !self.pieces.last().is_some_and(has_room) {
            self.pieces.push(Vec::with_capacity(value.len().max(PIECE_BYTES)));
        }
        let index = self.pieces.len() - 1;
        let piece = self.pieces.last_mut().expect("pushed above");
        let start = piece.len();
        piece.extend_from_slice(value);
        let short = |number: usize| u32::try_from(number).expect("values are of some MiB");
        Place { piece: short(index), start: short(start), len: short(value.len()) }
    }

    /// The value at a place.
    ///
    /// # Panics
    /// When the place is of another arena.
    pub(crate) fn value(&self, place: Place) -> &[u8] {
        let (start, len) = (place.start as usize, place.len as usize);
        let piece = self.pieces.get(place.piece as usize);
        piece.and_then(|piece| piece.get(start..start + len)).expect("a place of this arena")
    }
}
