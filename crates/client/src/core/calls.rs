//! The calls that are not over: a table with keys that are never reused, so that a key that
//! outlived its call finds nothing.

use kontiki_types::{KeyRange, Moment, StoreId};

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
    /// When its first try left under the name it has.
    pub(super) first_left: Option<Moment>,
    /// It lies in a batch that was sent and not answered.
    pub(super) in_flight: bool,
    /// It is a write, and some try may have made it happen.
    pub(super) may_have_happened: bool,
    pub(super) failed_count: u32,
    pub(super) immediate_count: u32,
    /// Fresh request ids it was given.
    pub(super) afresh_count: u32,
    /// Tries in a row that a store left without an answer, by store: it may need longer for this
    /// call. What one store owes says nothing about the next (sim seed 299186422002: after three
    /// dead stores a call waited eight times as long for a living one).
    unanswered: Vec<(StoreId, u32)>,
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
            first_left: None,
            in_flight: false,
            may_have_happened: false,
            failed_count: 0,
            immediate_count: 0,
            afresh_count: 0,
            unanswered: Vec::new(),
            last_failure: None,
        }
    }

    /// A store gave no answer in time.
    pub(super) fn on_unanswered(&mut self, store: StoreId) {
        match self.unanswered.iter_mut().find(|(slow, _)| *slow == store) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.unanswered.push((store, 1)),
        }
    }

    /// Tries in a row that this store left without an answer.
    pub(super) fn unanswered_count(&self, store: StoreId) -> u32 {
        self.unanswered.iter().find(|(slow, _)| *slow == store).map_or(0, |&(_, count)| count)
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

    /// A store is gone: whoever comes back in its place is not slow.
    pub(super) fn forgive(&mut self, store: StoreId) {
        for call in self.slots.iter_mut().filter_map(|slot| slot.call.as_mut()) {
            call.unanswered.retain(|(slow, _)| *slow != store);
        }
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
