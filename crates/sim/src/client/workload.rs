//! What clients do next: which operation on which key, with which value.
//!
//! Shared by all clients, because they are meant to meet on the same keys. Every value is unique in
//! the run, so a read names the write it saw. A key is left behind for a fresh one after some
//! hundred operations, which keeps the linearizability search quick.

use bytes::Bytes;
use kontiki_codec::keys::{self, Keyspace};
use kontiki_testkit::Rng;
use kontiki_types::{Command, KeyRange, RegionId};

use crate::cluster::{prefix, region_of};
use crate::limits::{KEY_OPERATIONS_MAX, SET_ELEMENTS_MAX};
use crate::options::WorkloadOptions;

/// Operations on sets that add something, per mille; the others read a whole set.
const ADDITIONS: u64 = 600;
/// Reads of a set that look at the newest one of a group, per mille.
const NEWEST: u64 = 800;
/// Most keys of one range delete.
const RANGE_KEYS_MAX: u64 = 5;

/// The next operation of a client.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Read a register.
    Get {
        /// Which.
        key: String,
    },
    /// Change registers; several writes of one client travel together.
    Write(Vec<Change>),
    /// Read a counter and then swap in one more.
    Increment {
        /// Which.
        counter: usize,
    },
    /// Read a counter.
    ReadCounter {
        /// Which.
        counter: usize,
    },
    /// Read a whole set.
    ReadSet {
        /// What the keys of its elements begin with.
        set: String,
    },
}

/// A change of one register, or of several at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Put a value.
    Put(String, Bytes),
    /// Remove the value.
    Delete(String),
    /// Swap, with what the client last saw there.
    Swap(String, Option<Bytes>, Bytes),
    /// Put a value if there is none.
    PutIfAbsent(String, Bytes),
    /// Put or remove on several keys, all or nothing.
    Batch(Vec<(String, Option<Bytes>)>),
    /// Remove the rows of these keys, which are neighbours, by range.
    DeleteRange(Vec<String>),
    /// Let every replica of this group hash its state.
    HashState(RegionId),
    /// Put an element of a set, never put before.
    Add(String, u64),
}

impl Change {
    /// The last write to a group.
    pub fn last(group: RegionId) -> Self {
        Self::Put(format!("{}last", prefix(group)), Bytes::from_static(b"end"))
    }

    /// The group it is of.
    pub fn group(&self) -> RegionId {
        match self {
            Self::HashState(group) => *group,
            Self::Put(key, _)
            | Self::Delete(key)
            | Self::Swap(key, ..)
            | Self::PutIfAbsent(key, _)
            | Self::Add(key, _) => region_of(key),
            Self::Batch(changes) => region_of(&changes.first().expect("some changes").0),
            Self::DeleteRange(keys) => region_of(keys.first().expect("a range of some keys")),
        }
    }

    /// The command a store is asked to execute.
    pub fn command(&self) -> Command {
        match self {
            Self::Put(key, value) => Command::Put { key: full(key), value: value.clone() },
            Self::Delete(key) => Command::Delete { key: full(key) },
            Self::Swap(key, expect, update) => Command::CompareAndPut {
                key: full(key),
                expect: expect.clone(),
                update: Some(update.clone()),
            },
            Self::PutIfAbsent(key, value) => {
                Command::PutIfAbsent { key: full(key), value: value.clone() }
            }
            Self::Batch(changes) => Command::Batch {
                changes: changes.iter().map(|(key, value)| (full(key), value.clone())).collect(),
            },
            Self::DeleteRange(keys) => {
                let start = full(keys.first().expect("a range of some keys"));
                let mut end = full(keys.last().expect("a range of some keys")).to_vec();
                end.push(0);
                Command::DeleteRange { range: KeyRange::new(start, Some(Bytes::from(end))) }
            }
            Self::HashState(_) => Command::HashState,
            Self::Add(set, element) => Command::Put {
                key: full(&format!("{set}{element}")),
                value: Bytes::from_static(b"here"),
            },
        }
    }
}

/// Where the elements of a set lie.
pub fn set_range(set: &str) -> KeyRange {
    let start = full(set);
    let mut end = start.to_vec();
    *end.last_mut().expect("a set has a name") += 1;
    KeyRange::new(start, Some(Bytes::from(end)))
}

/// The element of a set under this key.
pub fn element_of(set: &str, key: &[u8]) -> Option<u64> {
    let number = key.strip_prefix(full(set).as_ref())?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// The key as it stands in the ordered space.
pub fn full(key: &str) -> Bytes {
    keys::raw_key(Keyspace::DEFAULT, key.as_bytes())
}

/// The key of a counter, of a group that the number of groups and its own number tell.
pub fn counter_key(counter: usize, group_count: usize) -> String {
    let group = RegionId((counter % group_count) as u64 + 1);
    format!("{}counter.{counter}", prefix(group))
}

/// What clients do next.
#[derive(Debug)]
pub struct Workload {
    options: WorkloadOptions,
    /// Per slot: which generation of its key is in use, and operations on it so far. Slots belong
    /// to groups in turn.
    slots: Vec<(u64, u64)>,
    /// Elements of the sets of each group, counted from 0 over all its sets.
    elements: Vec<u64>,
    group_count: usize,
    next_value: u64,
}

impl Workload {
    /// A workload that has done nothing.
    pub fn new(options: WorkloadOptions, group_count: usize) -> Self {
        // Several slots for each group: some writes are of two keys.
        let slot_count = usize::try_from(options.key_slots).expect("a handful");
        let slot_count = slot_count.max(if group_count > 1 { 2 * group_count } else { 1 });
        let slots = vec![(0, 0); slot_count];
        Self { options, slots, elements: vec![0; group_count], group_count, next_value: 0 }
    }

    /// The next operation of a client. `seen` is what it last saw under a key.
    pub fn plan(&mut self, rng: &mut Rng, seen: &dyn Fn(&str) -> Option<Bytes>) -> Plan {
        if rng.chance(self.options.sets) {
            return self.plan_set(rng);
        }
        if rng.chance(100) {
            let counters = usize::try_from(self.options.counters).expect("a handful");
            return Plan::Increment { counter: rng.index(counters) };
        }
        // What travels together is of one group.
        let group = rng.index(self.group_count);
        if rng.chance(self.options.reads) {
            return Plan::Get { key: self.key(group, rng) };
        }
        let count = if rng.chance(100) { rng.range(2..4) } else { 1 };
        Plan::Write((0..count).map(|_| self.change(group, rng, seen)).collect())
    }

    /// An addition, of several elements now and then, or a read.
    fn plan_set(&mut self, rng: &mut Rng) -> Plan {
        let group = rng.index(self.group_count);
        if rng.chance(ADDITIONS) {
            let added = (0..rng.range(1..3)).map(|_| {
                let element = self.elements[group];
                self.elements[group] += 1;
                Change::Add(set_name(group, element / SET_ELEMENTS_MAX), element)
            });
            return Plan::Write(added.collect());
        }
        let newest = self.elements[group] / SET_ELEMENTS_MAX;
        let number = if rng.chance(NEWEST) { newest } else { rng.below(newest + 1) };
        Plan::ReadSet { set: set_name(group, number) }
    }

    /// Every set that was ever used.
    pub fn sets(&self) -> impl Iterator<Item = String> + '_ {
        let groups = self.elements.iter().enumerate();
        groups.flat_map(|(group, &elements)| {
            (0..elements.div_ceil(SET_ELEMENTS_MAX)).map(move |number| set_name(group, number))
        })
    }

    /// Every register key that was ever used.
    pub fn keys(&self) -> impl Iterator<Item = String> + '_ {
        let slots = self.slots.iter().enumerate();
        slots
            .flat_map(move |(slot, &(newest, _))| (0..=newest).map(move |g| self.key_name(slot, g)))
    }

    fn change(
        &mut self,
        group: usize,
        rng: &mut Rng,
        seen: &dyn Fn(&str) -> Option<Bytes>,
    ) -> Change {
        let key = self.key(group, rng);
        match rng.below(40) {
            0..=15 => Change::Put(key, self.value(rng)),
            16..=21 => Change::Delete(key),
            22..=29 => {
                let expect = seen(&key);
                Change::Swap(key, expect, self.value(rng))
            }
            30..=35 => Change::PutIfAbsent(key, self.value(rng)),
            36 | 37 => self.delete_range(group, rng),
            38 => Change::HashState(RegionId(group as u64 + 1)),
            _ => self.batch(group, rng, key),
        }
    }

    /// Two registers at once, never the same one twice: a history has one effect per operation.
    fn batch(&mut self, group: usize, rng: &mut Rng, key: String) -> Change {
        let mut changes = vec![(key, Some(self.value(rng)))];
        let other = self.key(group, rng);
        if changes[0].0 != other {
            let value = rng.chance(700).then(|| self.value(rng));
            changes.push((other, value));
        }
        Change::Batch(changes)
    }

    /// The newest generations of a slot: neighbours, and none newer can come between.
    fn delete_range(&mut self, group: usize, rng: &mut Rng) -> Change {
        let slot = self.slot(group, rng);
        let newest = self.slots[slot].0;
        let oldest = newest.saturating_sub(rng.below(RANGE_KEYS_MAX));
        Change::DeleteRange((oldest..=newest).map(|g| self.key_name(slot, g)).collect())
    }

    fn slot(&self, group: usize, rng: &mut Rng) -> usize {
        let slots = (self.slots.len() - group).div_ceil(self.group_count);
        group + rng.index(slots) * self.group_count
    }

    fn key(&mut self, group: usize, rng: &mut Rng) -> String {
        let slot = self.slot(group, rng);
        let (generation, operations) = &mut self.slots[slot];
        if *operations >= KEY_OPERATIONS_MAX {
            (*generation, *operations) = (*generation + 1, 0);
        }
        *operations += 1;
        let generation = *generation;
        self.key_name(slot, generation)
    }

    fn key_name(&self, slot: usize, generation: u64) -> String {
        let group = RegionId((slot % self.group_count) as u64 + 1);
        format!("{}k{slot}.{generation:04}", prefix(group))
    }

    fn value(&mut self, rng: &mut Rng) -> Bytes {
        self.next_value += 1;
        let mut value = format!("v{}", self.next_value).into_bytes();
        let padding = usize::try_from(rng.below(self.options.value_bytes_max)).expect("small");
        value.resize(value.len() + padding, b'.');
        Bytes::from(value)
    }
}

/// What the keys of the elements of a set begin with.
fn set_name(group: usize, number: u64) -> String {
    format!("{}set{number}.", prefix(RegionId(group as u64 + 1)))
}
