//! A hash over everything a region is: descriptor, replicated time, rows, sessions.
//!
//! Two replicas that applied the same log up to the same index have the same hash, however their
//! batches were cut and whatever crashes they went through. `HashState` commands and snapshots use
//! it. It finds accidents and bugs, not attackers.

use kontiki_codec::{region, session};
use kontiki_engine::{Family, Read};
use kontiki_types::{Index, Region, RegionTime};

use crate::Error;
use crate::session::load;
use crate::snapshot::for_each_row;

/// The hash of a region as of an applied index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateHash {
    /// As of this entry, its effects included.
    pub applied: Index,
    /// The hash.
    pub hash: u64,
}

/// Collects a hash; the order of calls matters.
#[derive(Clone, Debug)]
pub(crate) struct Hasher {
    state: u64,
    buffer: Vec<u8>,
}

impl Hasher {
    /// The hash of a region without rows and sessions.
    pub(crate) fn new(region: &Region, time: RegionTime) -> Self {
        let mut hasher = Self { state: SEED, buffer: Vec::new() };
        for ms in [time.now_ms, time.seen_ms, time.lived_ms] {
            hasher.word(ms);
        }
        region::encode(&mut hasher.buffer, region);
        hasher.take_buffer();
        hasher
    }

    /// Adds a row of the default family, in order of key.
    pub(crate) fn row(&mut self, key: &[u8], value: &[u8]) {
        self.bytes(key);
        self.bytes(value);
    }

    /// Adds a session, in order of client.
    pub(crate) fn session(&mut self, client: u64, session: &session::Session) {
        self.word(client);
        session::encode(&mut self.buffer, session);
        self.take_buffer();
    }

    pub(crate) fn finish(&self) -> u64 {
        self.state
    }

    fn take_buffer(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        self.bytes(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
    }

    /// The length goes first, so that "a", "bc" differs from "ab", "c".
    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.word(u64::from_le_bytes(word.try_into().expect("chunks of eight bytes")));
        }
        let mut last = [0; 8];
        for (slot, byte) in last.iter_mut().zip(words.remainder()) {
            *slot = *byte;
        }
        self.word(u64::from_le_bytes(last));
    }

    /// One round of multiply and fold: every bit of the input reaches every bit of the state.
    fn word(&mut self, word: u64) {
        let (low, high) = (self.state ^ word).carrying_mul(MULTIPLIER, 0);
        self.state = (low ^ high).wrapping_add(SEED);
    }
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const MULTIPLIER: u64 = 0xd6e8_feb8_6659_fd93;

/// The hash of a region as one state of the engine holds it.
///
/// # Errors
/// The engine fails, or its rows make no sense.
pub(crate) fn compute(read: &dyn Read, region: &Region) -> Result<u64, Error> {
    let loaded = load::load(read, region.id)?;
    let mut hasher = Hasher::new(region, loaded.sessions.time());
    for_each_row(read, Family::Default, region, &mut |key, value| hasher.row(key, value))?;
    for (client, session) in loaded.sessions.iter() {
        hasher.session(client.0, &session);
    }
    Ok(hasher.finish())
}
