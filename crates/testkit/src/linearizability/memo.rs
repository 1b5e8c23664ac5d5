//! Configurations the search has been to, so that it goes to none twice.
//!
//! A configuration is the register, the set of ordered definite operations and the set of used open
//! writes. Having used fewer open writes never hurts: whatever can still be reached with more of
//! them used up can be reached with fewer. So a configuration is known when one with the same
//! register and the same definite set, and a *subset* of its open writes, is known. Sets are held
//! whole, not as hashes, so a collision cannot turn into a verdict.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use super::bits::Bits;
use super::register::Value;

/// Open sets, each as its words; none is a subset of one that was inserted before it.
type OpenSets = Vec<Box<[u64]>>;

/// See the module.
#[derive(Default)]
pub(super) struct Memo {
    known: HashMap<Box<[u64]>, OpenSets, BuildHasherDefault<WordHasher>>,
    len: usize,
    key: Vec<u64>,
}

impl Memo {
    /// How many configurations were inserted.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds the configuration; false when it was known.
    pub(super) fn insert(&mut self, state: Value, done: &Bits, open: &Bits) -> bool {
        self.key.clear();
        self.key.push(u64::from(state));
        done.append_to(&mut self.key);
        let sets = match self.known.entry(self.key.as_slice().into()) {
            Entry::Vacant(entry) => entry.insert(Vec::with_capacity(1)),
            Entry::Occupied(entry) => entry.into_mut(),
        };
        if sets.iter().any(|known| is_subset(known, open.words())) {
            return false;
        }
        sets.push(open.words().into());
        self.len += 1;
        true
    }
}

fn is_subset(of_these: &[u64], words: &[u64]) -> bool {
    debug_assert_eq!(of_these.len(), words.len(), "sets of one search have one size");
    of_these.iter().zip(words).all(|(a, b)| a & !b == 0)
}

/// Hashes words by multiplication. The memo holds no foreign input, so it needs speed and the same
/// run every time, not a defence against chosen collisions.
#[derive(Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, len: usize) {
        self.write_u64(len as u64);
    }
}
