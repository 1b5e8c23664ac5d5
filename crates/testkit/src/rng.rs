//! Seeded randomness: the same seed gives the same numbers on every platform, for ever.
//!
//! The simulator, workloads and property tests draw from here and from nowhere else. Streams are
//! forked by label, and a fork depends on the seed and the label only, never on how many numbers
//! were drawn before: a new draw in the network's stream does not shift the disk's, so a recorded
//! seed stays close to the run it was recorded for. Never seed this from a clock or the system.

use std::ops::Range;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng as _, SeedableRng as _};

/// A small, fast, seeded generator. Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng {
    /// What this stream grew from; forks derive from it and not from the position.
    seed: u64,
    pcg: Pcg64Mcg,
}

impl Rng {
    /// A stream from a seed. Equal seeds give equal streams.
    pub fn new(seed: u64) -> Self {
        Self { seed, pcg: Pcg64Mcg::seed_from_u64(seed) }
    }

    /// The seed this stream was made from, for printing in a failure.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// An independent stream named by `label`; unaffected by what was drawn from `self` before.
    #[must_use]
    pub fn fork(&self, label: &str) -> Self {
        let mut hash = mix(self.seed ^ FORK_SALT);
        for &byte in label.as_bytes() {
            hash = mix(hash ^ u64::from(byte));
        }
        // The length keeps the empty label apart from the parent and "a" + "b" apart from "ab".
        Self::new(mix(hash ^ label.len() as u64))
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.pcg.next_u64()
    }

    /// A number in `0..n`, without bias.
    ///
    /// # Panics
    /// When `n` is 0: there is no number to return.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "below(0) has no answer");
        // Draw again from the incomplete last round of n, which would favour small results.
        let accepted_max = u64::MAX - (u64::MAX % n + 1) % n;
        loop {
            let drawn = self.next_u64();
            if drawn <= accepted_max {
                return drawn % n;
            }
        }
    }

    /// A number in `range`, without bias.
    ///
    /// # Panics
    /// When the range is empty.
    pub fn range(&mut self, range: Range<u64>) -> u64 {
        assert!(range.start < range.end, "empty range {range:?}");
        range.start + self.below(range.end - range.start)
    }

    /// An index into something of length `len`.
    ///
    /// # Panics
    /// When `len` is 0.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("the result is below a usize")
    }

    /// True in `per_mille` of 1000 cases: 0 is never, 1000 and more is always.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of `items`, each as likely as the others.
    ///
    /// # Panics
    /// When `items` is empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        assert!(!items.is_empty(), "nothing to pick from");
        &items[self.index(items.len())]
    }

    /// Brings `items` into a random order, each order as likely as the others.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.index(last + 1);
            items.swap(last, other);
        }
    }
}

/// Separates forks from plain seeds, so that `Rng::new(s).fork(l)` is never `Rng::new(s)`.
const FORK_SALT: u64 = 0x006b_6f6e_7469_6b69;

/// One round of a 64-bit finalizer: every input bit reaches every output bit.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_seeds_keep_their_numbers() {
        // Recorded values: when this changes, every stored failing seed is worthless. Don't.
        let mut rng = Rng::new(7);
        let drawn: Vec<u64> = (0..4).map(|_| rng.below(1_000_000)).collect();
        assert_eq!(drawn, [698_830, 385_458, 819_819, 86_668]);
        let mut fork = Rng::new(7).fork("network");
        let forked: Vec<u64> = (0..4).map(|_| fork.below(1_000_000)).collect();
        assert_eq!(forked, [979_885, 310_293, 761_415, 359_427]);
    }

    #[test]
    fn a_fork_does_not_depend_on_earlier_draws() {
        let fresh = Rng::new(1);
        let mut used = Rng::new(1);
        for _ in 0..100 {
            used.next_u64();
        }
        assert_eq!(fresh.fork("disk").next_u64(), used.fork("disk").next_u64());
    }

    #[test]
    fn forks_differ_by_label_and_from_their_parent() {
        let parent = Rng::new(1);
        let mut firsts: Vec<u64> = ["", "a", "b", "ab", "ba", "disk 1", "disk 2"]
            .iter()
            .map(|label| parent.fork(label).next_u64())
            .chain([parent.clone().next_u64(), parent.fork("a").fork("b").next_u64()])
            .collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 9, "two streams start alike: {firsts:?}");
    }

    #[test]
    fn below_reaches_every_value_about_equally() {
        let mut rng = Rng::new(3);
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[rng.index(6)] += 1;
        }
        // 10,000 expected, standard deviation 91: five of those is a wide gate for a fixed seed.
        assert!(counts.iter().all(|&c| (9_500..=10_500).contains(&c)), "uneven: {counts:?}");
    }

    #[test]
    fn chance_is_never_at_zero_and_always_at_a_thousand() {
        let mut rng = Rng::new(4);
        assert!((0..1000).all(|_| !rng.chance(0)));
        assert!((0..1000).all(|_| rng.chance(1000)));
        let hits = (0..10_000).filter(|_| rng.chance(250)).count();
        assert!((2_300..=2_700).contains(&hits), "250 per mille hit {hits} of 10000");
    }

    #[test]
    fn shuffle_keeps_the_items_and_reaches_every_order() {
        let mut rng = Rng::new(5);
        let mut orders = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let mut items = [1, 2, 3];
            rng.shuffle(&mut items);
            assert_eq!(items.iter().sum::<i32>(), 6);
            orders.insert(items);
        }
        assert_eq!(orders.len(), 6, "{orders:?}");
    }

    #[test]
    fn range_stays_inside() {
        let mut rng = Rng::new(6);
        assert!((0..1000).all(|_| (10..13).contains(&rng.range(10..13))));
    }
}
