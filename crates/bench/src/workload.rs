//! What is asked of a system: keys, values, how many, how long. The same for every system.
//!
//! Used by the closed loop, by the preloads and by the measurements of parts.

use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;
use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng;
use serde::{Deserialize, Serialize};

/// Bytes from which values are cut.
const NOISE_BYTES: usize = 1 << 20;

/// What a client does all the time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Op {
    /// Overwrite a random key
    Put,
    /// Linearizable read of a random key
    Get,
}

impl Op {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
        }
    }
}

/// What all runs share.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    /// Distinct keys; every request takes one at random.
    pub(crate) keys: u64,
    /// Where values come from.
    pub(crate) values: Values,
    /// Unmeasured time before.
    pub(crate) warmup: Duration,
    /// Measured time.
    pub(crate) seconds: Duration,
}

/// Values of one size that differ and do not compress; to draw one costs no copy.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    noise: Bytes,
    size: usize,
}

impl Values {
    pub(crate) fn new(size: usize) -> Self {
        let mut noise = vec![0; NOISE_BYTES + size];
        rng(1, 1).fill_bytes(&mut noise);
        Self { noise: noise.into(), size }
    }

    pub(crate) fn draw(&self, rng: &mut Pcg64) -> Bytes {
        let at = below(rng, NOISE_BYTES as u64);
        let at = usize::try_from(at).expect("below a mebibyte");
        self.noise.slice(at..at + self.size)
    }
}

/// Randomness of one client in one round: streams do not overlap, rounds do not repeat each other.
pub(crate) fn rng(round: u64, client: u64) -> Pcg64 {
    Pcg64::new(u128::from(round).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060), client.into())
}

/// Evenly one of `0..bound`.
pub(crate) fn below(rng: &mut Pcg64, bound: u64) -> u64 {
    assert!(bound > 0, "nothing lies below 0");
    rng.next_u64() % bound
}

/// 16 bytes, decimal digits: what RheaKV's harness uses too.
pub(crate) fn key(number: u64) -> Bytes {
    let mut key = [b'0'; 16];
    let mut rest = number;
    for digit in key.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    Bytes::copy_from_slice(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sixteen_digits() {
        assert_eq!(key(0), "0000000000000000");
        assert_eq!(key(1_234_567), "0000000001234567");
    }

    #[test]
    fn values_have_the_size_and_differ() {
        let (values, mut rng) = (Values::new(256), rng(3, 4));
        let (one, other) = (values.draw(&mut rng), values.draw(&mut rng));
        assert_eq!((one.len(), other.len()), (256, 256));
        assert_ne!(one, other);
    }

    #[test]
    fn clients_and_rounds_take_different_keys() {
        let keys = |round, client| {
            let mut rng = rng(round, client);
            (0..8).map(|_| below(&mut rng, 1_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(keys(1, 2), keys(1, 2));
        assert_ne!(keys(1, 2), keys(1, 3));
        assert_ne!(keys(1, 2), keys(2, 2));
    }
}
