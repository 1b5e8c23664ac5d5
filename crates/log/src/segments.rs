//! The segments of a log by their part: needed, written, ready, free.
//!
//! Pure bookkeeping, no I/O. Numbers only grow, and segments are written in ascending order of
//! number; the oldest go first, so what is needed is always everything from one number on.

use std::collections::{BTreeMap, VecDeque};

use crate::header::{HEADER_BYTES, Header};
use crate::prepare::{Prepared, SegmentRequest};
use crate::{Config, name};

/// A segment that is full, or was left behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sealed {
    /// What it says about itself; nothing when that cannot be read.
    pub(crate) header: Option<Header>,
    /// Its first frame.
    pub(crate) first: Option<u64>,
}

/// The segment that is written.
#[derive(Debug)]
pub(crate) struct Active<F> {
    /// What it says about itself.
    pub(crate) header: Header,
    /// The open file.
    pub(crate) file: F,
    /// Where the next frame goes.
    pub(crate) offset: u64,
    /// Its first frame.
    pub(crate) first: Option<u64>,
}

/// A segment that nothing needs.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Free {
    name: String,
    bytes: u64,
    /// The file may be touched once this frame is durable: it is the first to say that the segment
    /// is not needed.
    after: u64,
}

/// All segments.
#[derive(Debug)]
pub(crate) struct Segments<F> {
    sealed: BTreeMap<u64, Sealed>,
    active: Option<Active<F>>,
    ready: VecDeque<Prepared<F>>,
    free: VecDeque<Free>,
    next_number: u64,
    requested: bool,
}

impl<F> Segments<F> {
    /// No segments.
    pub(crate) fn new() -> Self {
        Self {
            sealed: BTreeMap::new(),
            active: None,
            ready: VecDeque::new(),
            free: VecDeque::new(),
            next_number: 1,
            requested: false,
        }
    }

    /// This number is taken.
    pub(crate) fn note_number(&mut self, number: u64) {
        self.next_number = self.next_number.max(number + 1);
    }

    /// The header of the next segment to be made. Takes its number.
    pub(crate) fn next_header(&mut self, config: &Config, synced: u64) -> Header {
        let number = self.next_number;
        self.next_number += 1;
        Header {
            number,
            incarnation: mix(config.salt, number),
            bytes: config.segment_bytes,
            synced,
        }
    }

    /// A segment is needed but not written any more.
    pub(crate) fn seal(&mut self, number: u64, sealed: Sealed) {
        let before = self.sealed.insert(number, sealed);
        assert!(before.is_none(), "segment {number} sealed twice: {before:?}");
    }

    /// The segment to go on with.
    pub(crate) fn activate(&mut self, active: Active<F>) {
        assert!(self.active.is_none(), "two active segments");
        self.active = Some(active);
    }

    /// The segment that is written.
    pub(crate) fn active(&self) -> Option<&Active<F>> {
        self.active.as_ref()
    }

    /// The segment that is written.
    pub(crate) fn active_mut(&mut self) -> &mut Active<F> {
        self.active.as_mut().expect("an open log has an active segment")
    }

    /// Takes a segment into the pool, or sets it free when one with a higher number is in use
    /// already: segments are written in order.
    pub(crate) fn add_ready(&mut self, prepared: Prepared<F>) {
        let number = prepared.header.number;
        let newest = self.ready.back().map(|ready| ready.header.number);
        let newest = newest.max(self.active.as_ref().map(|active| active.header.number));
        if newest.is_some_and(|newest| newest > number) {
            self.free(prepared.header, 0);
        } else {
            self.ready.push_back(prepared);
        }
    }

    /// Puts the next ready segment into use; false when there is none.
    pub(crate) fn rotate(&mut self) -> bool {
        let Some(next) = self.ready.pop_front() else { return false };
        if let Some(full) = self.active.take() {
            assert!(full.header.number < next.header.number, "segments are written in order");
            let sealed = Sealed { header: Some(full.header), first: full.first };
            self.seal(full.header.number, sealed);
        }
        let (header, file) = (next.header, next.file);
        self.active = Some(Active { header, file, offset: HEADER_BYTES, first: None });
        true
    }

    /// A segment is not needed any more, once the frame `after` is durable.
    pub(crate) fn free(&mut self, header: Header, after: u64) {
        self.free_named(header.number, header.bytes, after);
    }

    fn free_named(&mut self, number: u64, bytes: u64, after: u64) {
        self.free.push_back(Free { name: name::segment(number), bytes, after });
    }

    /// Segments that cannot be read and are not needed are free.
    pub(crate) fn free_unreadable_below(&mut self, oldest: u64) {
        let needed = self.sealed.split_off(&oldest);
        let below = std::mem::replace(&mut self.sealed, needed);
        for number in below.into_keys() {
            self.free_named(number, 0, 0);
        }
    }

    /// The oldest segment, unless it is the one that is written.
    pub(crate) fn oldest_sealed(&self) -> Option<(u64, Sealed)> {
        self.sealed.first_key_value().map(|(&number, &sealed)| (number, sealed))
    }

    /// The header of a segment that is needed.
    pub(crate) fn header(&self, number: u64) -> Option<Header> {
        match &self.active {
            Some(active) if active.header.number == number => Some(active.header),
            _ => self.sealed.get(&number).and_then(|sealed| sealed.header),
        }
    }

    /// Sets the oldest segment free after frame `after`. Returns the number of the new oldest, and
    /// its first frame unless it has none yet.
    pub(crate) fn free_oldest(&mut self, after: u64) -> (u64, Option<u64>) {
        let (number, sealed) = self.sealed.pop_first().expect("there is an oldest segment");
        let bytes = sealed.header.map_or(0, |header| header.bytes);
        self.free_named(number, bytes, after);
        let first = self.sealed.values().find_map(|sealed| sealed.first);
        let active = self.active.as_ref().expect("an open log has an active segment");
        (self.oldest(), first.or(active.first))
    }

    /// Number of the segment that is written.
    pub(crate) fn newest(&self) -> u64 {
        self.active.as_ref().map_or(0, |active| active.header.number)
    }

    /// Number of the oldest segment that the log needs.
    pub(crate) fn oldest(&self) -> u64 {
        let active = self.active.as_ref().expect("an open log has an active segment");
        self.sealed.keys().next().copied().unwrap_or(active.header.number)
    }

    /// Segments that the log needs, the active one included.
    pub(crate) fn needed_count(&self) -> usize {
        self.sealed.len() + usize::from(self.active.is_some())
    }

    /// Number of the segment that is put into use next.
    pub(crate) fn next_ready(&self) -> Option<u64> {
        self.ready.front().map(|ready| ready.header.number)
    }

    /// Ready segments.
    pub(crate) fn ready_count(&self) -> usize {
        self.ready.len()
    }

    /// Segments the pool lacks, those being made not counted.
    pub(crate) fn lacking(&self, config: &Config) -> usize {
        config.ready_segments.saturating_sub(self.ready.len() + usize::from(self.requested))
    }

    /// An order for the next segment, made from a free one when there is one.
    pub(crate) fn request(&mut self, config: &Config, synced: u64) -> SegmentRequest {
        let header = self.next_header(config, synced);
        let recyclable = |free: &Free| free.after <= synced && free.bytes == config.segment_bytes;
        let at = self.free.iter().position(recyclable);
        let recycle = at.and_then(|at| self.free.remove(at)).map(|free| free.name);
        SegmentRequest { header, recycle }
    }

    /// Whether a segment is being made elsewhere.
    pub(crate) fn set_requested(&mut self, requested: bool) {
        self.requested = requested;
    }

    /// Whether a segment is being made elsewhere.
    pub(crate) fn is_requested(&self) -> bool {
        self.requested
    }

    /// Names of free files beyond what the pool may soon recycle.
    pub(crate) fn take_removable(&mut self, config: &Config, synced: u64) -> Vec<String> {
        let mut spare = 0;
        let mut removable = Vec::new();
        self.free.retain(|free| {
            if free.after > synced {
                return true;
            }
            if free.bytes == config.segment_bytes && spare < config.ready_segments {
                spare += 1;
                return true;
            }
            removable.push(free.name.clone());
            false
        });
        removable
    }
}

/// Spreads the salt of a log over its segments (the finalizer of SplitMix64).
fn mix(salt: u64, number: u64) -> u64 {
    let mut bits = salt ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
