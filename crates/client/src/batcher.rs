//! What becomes of requests that wait for one store: batches of one region and one kind. Pure.
//!
//! Nothing here waits for a batch to fill. A batch is what has gathered while the store was busy:
//! each queue (region and kind) may have only so many batches in flight, and the stream takes what
//! waits when it can send. A region that does not answer so holds up nobody but itself.

use std::collections::{BTreeMap, VecDeque};

use kontiki_types::limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX};
use kontiki_types::{ClientId, RegionId};

use crate::ReadMode;

/// Batches of one region and kind that may be unanswered at once.
pub const BATCHES_IN_FLIGHT_MAX: u32 = 16;
/// Most writes in one batch. Fewer than a store would take: a thousand callers in one batch move in
/// lock step, and either the client works or the store does; several batches overlap.
pub const BATCH_WRITES_MAX: usize = 256;
/// Most reads in one batch; their answers travel as one message.
pub const BATCH_READS_MAX: usize = 256;
const _: () = assert!(BATCH_WRITES_MAX <= BATCH_COMMANDS_MAX);

/// What can share a batch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Writes of one session.
    Writes(ClientId),
    /// Reads of one freshness.
    Reads(ReadMode),
}

/// The requests that wait for one store.
#[derive(Debug)]
pub struct Batcher<T> {
    queues: BTreeMap<(RegionId, Kind), Queue<T>>,
    /// Queues that can give a batch now, in the order in which they will.
    ready: VecDeque<(RegionId, Kind)>,
}

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<(T, usize)>,
    in_flight: u32,
    is_ready: bool,
}

/// Requests that leave together.
#[derive(PartialEq, Eq, Debug)]
pub struct Group<T> {
    /// Their region.
    pub region: RegionId,
    /// Their kind.
    pub kind: Kind,
    /// The requests, in the order in which they came.
    pub items: Vec<T>,
    /// Their bytes together.
    pub bytes: usize,
}

impl<T> Default for Batcher<T> {
    fn default() -> Self {
        Self { queues: BTreeMap::new(), ready: VecDeque::new() }
    }
}

impl<T> Batcher<T> {
    /// Adds a request of so many bytes.
    pub fn push(&mut self, region: RegionId, kind: Kind, item: T, bytes: usize) {
        let queue = self.queues.entry((region, kind)).or_insert_with(|| Queue {
            waiting: VecDeque::new(),
            in_flight: 0,
            is_ready: false,
        });
        queue.waiting.push_back((item, bytes));
        Self::make_ready(&mut self.ready, (region, kind), queue);
    }

    /// True when [`Batcher::take`] would give a batch.
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next batch, within the limits of its kind; it counts as in flight from now on. Queues
    /// take turns.
    pub fn take(&mut self) -> Option<Group<T>> {
        let (region, kind) = self.ready.pop_front()?;
        let queue = self.queues.get_mut(&(region, kind)).expect("a ready queue exists");
        queue.is_ready = false;
        let items_max = match kind {
            Kind::Writes(_) => BATCH_WRITES_MAX,
            Kind::Reads(_) => BATCH_READS_MAX,
        };
        let mut items = Vec::with_capacity(queue.waiting.len().min(items_max));
        let mut bytes = 0;
        while let Some((_, next_bytes)) = queue.waiting.front() {
            // One request alone may reach any size: it was checked against its own limits.
            let full = items.len() >= items_max || bytes + next_bytes > BATCH_BYTES_MAX;
            if full && !items.is_empty() {
                break;
            }
            bytes += next_bytes;
            items.extend(queue.waiting.pop_front().map(|(item, _)| item));
        }
        assert!(!items.is_empty(), "{region} {kind:?} was ready with nothing waiting");
        queue.in_flight += 1;
        Self::make_ready(&mut self.ready, (region, kind), queue);
        Some(Group { region, kind, items, bytes })
    }

    /// A batch of this region and kind is no longer in flight.
    ///
    /// # Panics
    /// When none was.
    pub fn done(&mut self, region: RegionId, kind: Kind) {
        let queue = self.queues.get_mut(&(region, kind));
        let queue = queue.unwrap_or_else(|| panic!("{region} {kind:?} has no batch in flight"));
        assert!(queue.in_flight > 0, "{region} {kind:?} has no batch in flight");
        queue.in_flight -= 1;
        if queue.in_flight == 0 && queue.waiting.is_empty() {
            self.queues.remove(&(region, kind));
        } else {
            Self::make_ready(&mut self.ready, (region, kind), queue);
        }
    }

    /// Takes out everything that waits; what is in flight stays.
    pub fn drain(&mut self) -> Vec<T> {
        self.ready.clear();
        let mut items = Vec::new();
        self.queues.retain(|_, queue| {
            queue.is_ready = false;
            items.extend(queue.waiting.drain(..).map(|(item, _)| item));
            queue.in_flight > 0
        });
        items
    }

    fn make_ready(
        ready: &mut VecDeque<(RegionId, Kind)>,
        name: (RegionId, Kind),
        queue: &mut Queue<T>,
    ) {
        let can_go = !queue.waiting.is_empty() && queue.in_flight < BATCHES_IN_FLIGHT_MAX;
        if can_go && !queue.is_ready {
            queue.is_ready = true;
            ready.push_back(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITES: Kind = Kind::Writes(ClientId(1));
    const READS: Kind = Kind::Reads(ReadMode::Linearizable);

    fn taken(batcher: &mut Batcher<u32>) -> Option<(u64, Kind, Vec<u32>)> {
        batcher.take().map(|group| (group.region.0, group.kind, group.items))
    }

    #[test]
    fn what_waits_leaves_by_region_and_kind_in_order() {
        let mut batcher = Batcher::default();
        for (n, (region, kind)) in
            (0..).zip([(1, WRITES), (2, WRITES), (1, READS), (1, WRITES), (2, WRITES)])
        {
            batcher.push(RegionId(region), kind, n, 10);
        }
        assert_eq!(taken(&mut batcher), Some((1, WRITES, vec![0, 3])));
        assert_eq!(taken(&mut batcher), Some((2, WRITES, vec![1, 4])));
        assert_eq!(taken(&mut batcher), Some((1, READS, vec![2])));
        assert_eq!(taken(&mut batcher), None);
    }

    #[test]
    fn batches_keep_their_limits_and_an_oversized_request_goes_alone() {
        let mut batcher = Batcher::default();
        let r = RegionId(1);
        for n in 0..u32::try_from(BATCH_WRITES_MAX).unwrap() + 3 {
            batcher.push(r, WRITES, n, 1);
        }
        let sizes = |batcher: &mut Batcher<u32>| {
            std::iter::from_fn(|| batcher.take().map(|group| group.items.len())).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&mut batcher), [BATCH_WRITES_MAX, 3]);
        for bytes in [BATCH_BYTES_MAX / 2, BATCH_BYTES_MAX / 2, 1, BATCH_BYTES_MAX + 1, 1] {
            batcher.push(r, WRITES, 0, bytes);
        }
        assert_eq!(sizes(&mut batcher), [2, 1, 1, 1]);
        for n in 0..=u32::try_from(BATCH_READS_MAX).unwrap() {
            batcher.push(r, READS, n, 1);
        }
        assert_eq!(sizes(&mut batcher), [BATCH_READS_MAX, 1]);
    }

    #[test]
    fn a_region_without_answers_gathers_and_holds_up_nobody_else() {
        let mut batcher = Batcher::default();
        let (slow, quick) = (RegionId(1), RegionId(2));
        for n in 0..BATCHES_IN_FLIGHT_MAX {
            batcher.push(slow, WRITES, n, 1);
            assert!(taken(&mut batcher).is_some());
        }
        batcher.push(slow, WRITES, 100, 1);
        batcher.push(slow, WRITES, 101, 1);
        assert!(!batcher.is_ready());
        batcher.push(quick, WRITES, 200, 1);
        assert_eq!(taken(&mut batcher), Some((2, WRITES, vec![200])));
        batcher.done(slow, WRITES);
        assert_eq!(taken(&mut batcher), Some((1, WRITES, vec![100, 101])));
        assert!(!batcher.is_ready());
    }

    #[test]
    fn draining_takes_what_waits_and_leaves_what_is_in_flight() {
        let mut batcher = Batcher::default();
        batcher.push(RegionId(1), WRITES, 1, 1);
        batcher.push(RegionId(2), READS, 2, 1);
        assert!(batcher.take().is_some());
        batcher.push(RegionId(1), WRITES, 3, 1);
        assert_eq!(batcher.drain(), [3, 2]);
        assert_eq!(taken(&mut batcher), None);
        batcher.done(RegionId(1), WRITES);
        assert!(batcher.queues.is_empty(), "{batcher:?}");
    }
}
