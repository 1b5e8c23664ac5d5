//! A map from keys of eight bytes to values of a few lengths, as compact as that can be: memory is
//! part of what is measured, and what the library needs shall not drown in what an allocator adds
//! to every row. Values of one length lie one behind the other in blocks that never move.

use std::collections::HashMap;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 8;

/// Bytes of a block; of larger values it has one.
const BLOCK_BYTES: usize = 64 * 1024;

/// See the module.
#[derive(Default)]
pub(super) struct Rows {
    places: HashMap<[u8; KEY_BYTES], Place>,
    /// One for each length; there are as many as payloads in a measurement.
    slabs: Vec<Slab>,
}

/// Which slab, in the upper byte, and the how manieth value in it.
#[derive(Clone, Copy)]
struct Place(u32);

const NUMBER_BITS: u32 = 24;

/// Values of one length.
struct Slab {
    len: usize,
    /// Values in a block.
    block_rows: u32,
    blocks: Vec<Box<[u8]>>,
    /// Numbers given so far.
    count: u32,
    /// Numbers given back.
    free: Vec<u32>,
}

impl Rows {
    pub(super) fn get(&self, key: [u8; KEY_BYTES]) -> Option<&[u8]> {
        let place = self.places.get(&key)?;
        self.slabs.get(place.slab()).map(|slab| slab.get(place.number()))
    }

    /// The value of this key is from now on a copy of this one.
    ///
    /// # Panics
    /// When there are more lengths, or more rows of one, than a place can name.
    pub(super) fn insert(&mut self, key: [u8; KEY_BYTES], value: &[u8]) {
        let known = self.slabs.iter().position(|slab| slab.len == value.len());
        let at = known.unwrap_or_else(|| {
            self.slabs.push(Slab::new(value.len()));
            self.slabs.len() - 1
        });
        let old = self.places.get(&key).copied();
        if let Some(place) = old.filter(|place| place.slab() == at) {
            return self.slabs[at].set(place.number(), value);
        }
        if let Some(place) = old {
            self.slabs[place.slab()].free.push(place.number());
        }
        let number = self.slabs[at].take();
        self.slabs[at].set(number, value);
        self.places.insert(key, Place::new(at, number));
    }

    /// Bytes of all keys and values.
    pub(super) fn bytes(&self) -> u64 {
        let of = |slab: &Slab| (slab.count as usize - slab.free.len()) * (KEY_BYTES + slab.len);
        self.slabs.iter().map(of).sum::<usize>() as u64
    }
}

impl Place {
    fn new(slab: usize, number: u32) -> Self {
        let slab = u32::try_from(slab).expect("few lengths");
        assert!(slab >> (32 - NUMBER_BITS) == 0, "{slab} lengths of values");
        assert!(number >> NUMBER_BITS == 0, "{number} values of one length");
        Self(slab << NUMBER_BITS | number)
    }

    fn slab(self) -> usize {
        (self.0 >> NUMBER_BITS) as usize
    }

    fn number(self) -> u32 {
        self.0 & ((1 << NUMBER_BITS) - 1)
    }
}

impl Slab {
    fn new(len: usize) -> Self {
        let block_rows = u32::try_from(BLOCK_BYTES / len.max(1)).expect("a few KiB").max(1);
        Self { len, block_rows, blocks: Vec::new(), count: 0, free: Vec::new() }
    }

    /// A number that nobody has.
    fn take(&mut self) -> u32 {
        if let Some(number) = self.free.pop() {
            return number;
        }
        if self.count.is_multiple_of(self.block_rows) {
            self.blocks.push(vec![0; self.len * self.block_rows as usize].into());
        }
        self.count += 1;
        self.count - 1
    }

    fn get(&self, number: u32) -> &[u8] {
        let at = self.len * (number % self.block_rows) as usize;
        &self.blocks[(number / self.block_rows) as usize][at..at + self.len]
    }

    fn set(&mut self, number: u32, value: &[u8]) {
        let at = self.len * (number % self.block_rows) as usize;
        self.blocks[(number / self.block_rows) as usize][at..at + self.len].copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_every_length_are_found_again() {
        let (mut rows, mut model) = (Rows::default(), HashMap::new());
        for n in 0..5000_usize {
            let key = (n as u64 * n as u64 % 1013).to_be_bytes();
            let value = n.to_be_bytes().repeat([0, 1, 31, 8_200][n % 4]);
            rows.insert(key, &value);
            model.insert(key, value);
        }
        for (key, value) in &model {
            assert_eq!(rows.get(*key), Some(&value[..]));
        }
        assert_eq!(rows.get([7; KEY_BYTES]), None);
        let bytes: usize = model.values().map(|value| KEY_BYTES + value.len()).sum();
        assert_eq!(rows.bytes(), bytes as u64);
        for slab in &rows.slabs {
            let most = 1013_usize.div_ceil(slab.block_rows as usize);
            assert!(slab.blocks.len() <= most, "{} of {} bytes", slab.blocks.len(), slab.len);
        }
    }
}
