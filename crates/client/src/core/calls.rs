//! The calls that are not over: a table with keys that are never reused, so that a key that
//! outlived its call finds nothing.

use kontiki_types::{KeyRange, Moment};

use crate::ask::Ask;
use crate::retry::Failure;
use crate::session::WriteId;

/// Names one call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CallKey {
    slot: u32,
    generation: u32,
}

/// One call.
#[derive(Debug)]
pub(super) struct Call<W> {
    pub(super) ask: Ask,
    /// Of a write: its name for all tries.
    pub(super) write: Option<WriteId>,
    /// Of a range: the part that was sent last.
    pub(super) part: Option<KeyRange>,
    pub(super) deadline: Moment,
    pub(super) waiter: W,
    /// It lies in a batch that was sent and not answered.
    pub(super) in_flight: bool,
    /// It is a write, and some try may have made it happen.
    pub(super) may_have_happened: bool,
    pub(super) failed_count: u32,
    pub(super) immediate_count: u32,
    /// Fresh request ids it was given.
    pub(super) afresh_count: u32,
    /// Tries that ended without an answer in time.
    pub(super) timeout_count: u32,
    pub(super) last_failure: Option<Failure>,
}

impl<W> Call<W> {
    pub(super) fn new(ask: Ask, write: Option<WriteId>, deadline: Moment, waiter: W) -> Self {
        Self {
            ask,
            write,
            part: None,
            deadline,
            waiter,
            in_flight: false,
            may_have_happened: false,
            failed_count: 0,
            immediate_count: 0,
            afresh_count: 0,
            timeout_count: 0,
            last_failure: None,
        }
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct Calls<W> {
    slots: Vec<Slot<W>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Slot<W> {
    generation: u32,
    call: Option<Call<W>>,
}

impl<W> Default for Calls<W> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<W> Calls<W> {
    pub(super) fn insert(&mut self, call: Call<W>) -> CallKey {
        self.len += 1;
        if let Some(slot) = self.free.pop() {
            let place = &mut self.slots[slot as usize];
            assert!(place.call.is_none(), "free slot {slot} holds a call");
            place.call = Some(call);
            return CallKey { slot, generation: place.generation };
        }
        let slot = u32::try_from(self.slots.len()).expect("fewer than 4 billion calls at once");
        self.slots.push(Slot { generation: 0, call: Some(call) });
        CallKey { slot, generation: 0 }
    }

    pub(super) fn get(&self, key: CallKey) -> Option<&Call<W>> {
        let slot = self.slots.get(key.slot as usize)?;
        slot.call.as_ref().filter(|_| slot.generation == key.generation)
    }

    pub(super) fn get_mut(&mut self, key: CallKey) -> Option<&mut Call<W>> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        slot.call.as_mut().filter(|_| slot.generation == key.generation)
    }

    pub(super) fn remove(&mut self, key: CallKey) -> Option<Call<W>> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let call = slot.call.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.slot);
        self.len -= 1;
        Some(call)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Keys and deadlines of all calls.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = (CallKey, Moment)> {
        (0..).zip(&self.slots).filter_map(|(slot, place)| {
            let call = place.call.as_ref()?;
            Some((CallKey { slot, generation: place.generation }, call.deadline))
        })
    }
}
