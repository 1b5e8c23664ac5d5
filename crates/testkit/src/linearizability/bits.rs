//! A set of small numbers that is nearly a prefix: how the search remembers which operations it has
//! already ordered.
//!
//! In a history of n operations and c clients the ordered ones are `0..p` plus a few after p. The
//! set keeps all bits for fast change, and appends itself to a memo key as the number of leading
//! full words and the few words after them, so that a key stays a few words long however long the
//! history.

/// Bits with a cached run of full words at the front.
#[derive(Clone, Debug)]
pub(super) struct Bits {
    words: Vec<u64>,
    /// Every word before this one is full.
    first: usize,
    /// Every word from this one on is empty.
    end: usize,
}

impl Bits {
    /// An empty set that can hold `0..len`.
    pub(super) fn new(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], first: 0, end: 0 }
    }

    pub(super) fn contains(&self, bit: usize) -> bool {
        self.words[bit / 64] & (1 << (bit % 64)) != 0
    }

    /// All words; sets of one size have equally many.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Adds a number that is not in the set.
    pub(super) fn insert(&mut self, bit: usize) {
        debug_assert!(!self.contains(bit), "{bit} is in the set");
        self.words[bit / 64] |= 1 << (bit % 64);
        self.end = self.end.max(bit / 64 + 1);
        while self.words.get(self.first) == Some(&u64::MAX) {
            self.first += 1;
        }
    }

    /// Takes out a number that is in the set.
    pub(super) fn remove(&mut self, bit: usize) {
        debug_assert!(self.contains(bit), "{bit} is not in the set");
        self.words[bit / 64] &= !(1 << (bit % 64));
        self.first = self.first.min(bit / 64);
        while self.end > self.first && self.words[self.end - 1] == 0 {
            self.end -= 1;
        }
    }

    /// Appends the set's only form: equal sets append equal words, different ones different words.
    pub(super) fn append_to(&self, key: &mut Vec<u64>) {
        let window = &self.words[self.first..self.end.max(self.first)];
        // The length of the window too, so that two sets in one key cannot run into each other.
        key.push((self.first as u64) << 32 | window.len() as u64);
        key.extend_from_slice(window);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;
    use std::collections::BTreeSet;

    #[test]
    fn the_form_depends_on_the_members_only() {
        // Random walks against a model: same members, same form; the form tells members apart.
        let mut rng = Rng::new(1);
        let mut forms: Vec<(Vec<u64>, BTreeSet<usize>)> = Vec::new();
        for _ in 0..20 {
            let mut bits = Bits::new(200);
            let mut model = BTreeSet::new();
            for _ in 0..400 {
                let bit = rng.index(200).min(rng.index(200));
                if model.insert(bit) {
                    bits.insert(bit);
                } else if rng.chance(400) {
                    model.remove(&bit);
                    bits.remove(bit);
                }
                assert!((0..200).all(|b| bits.contains(b) == model.contains(&b)));
            }
            let mut rebuilt = Bits::new(200);
            for &bit in &model {
                rebuilt.insert(bit);
            }
            let (mut form, mut again) = (Vec::new(), Vec::new());
            bits.append_to(&mut form);
            rebuilt.append_to(&mut again);
            assert_eq!(form, again);
            assert!(forms.iter().all(|(f, m)| (*f == form) == (*m == model)));
            forms.push((form, model));
        }
    }
}
