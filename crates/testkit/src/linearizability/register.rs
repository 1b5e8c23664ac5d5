//! The model: one register, and one key's history in the small form the search works on.
//!
//! Values become numbers once, so that the state of the register is four bytes and comparing is one
//! instruction. All values that no answer and no comparison names become one number: nothing in the
//! history can tell them apart, and the search should not try to. The search calls [`Call::step`]
//! millions of times; it must stay small and pure.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::history::{End, Operation, Outcome, Record};

/// A value by number. The numbers of one [`Part`] mean nothing in another.
pub(super) type Value = u32;

/// The register holds nothing.
pub(super) const ABSENT: Value = 0;

/// The register holds one of the values that no answer and no comparison names.
const UNSEEN: Value = 1;

/// What an operation does, with values as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Get,
    /// Whatever was there. Absence as a value: a delete.
    Put(Value),
    CompareAndPut {
        expect: Value,
        new: Value,
    },
}

/// What its answer tells; nothing where the answer does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    before: Option<Value>,
    applied: Option<bool>,
}

/// One operation as the search sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    kind: Kind,
    seen: Seen,
}

impl Call {
    /// The register after this operation, or `None` when its answer contradicts the register.
    pub(super) fn step(self, state: Value) -> Option<Value> {
        let next = match self.kind {
            Kind::Put(value) => value,
            Kind::CompareAndPut { expect, new } if expect == state => new,
            Kind::CompareAndPut { .. } | Kind::Get => state,
        };
        let agrees = self.seen.before.is_none_or(|before| before == state)
            && self.seen.applied.is_none_or(|applied| applied == self.applies_to(state));
        agrees.then_some(next)
    }

    /// Whether it does something when the register holds `state`.
    fn applies_to(self, state: Value) -> bool {
        match self.kind {
            Kind::Get => true,
            Kind::Put(value) => value != ABSENT || state != ABSENT,
            Kind::CompareAndPut { expect, .. } => expect == state,
        }
    }

    /// True when the answer says that the register stayed as it was, wherever this is placed.
    pub(super) fn is_pure(self) -> bool {
        let is_refused = self.seen.applied == Some(false);
        self.kind == Kind::Get
            || is_refused
            || self.seen.before.is_some_and(|before| !self.applies_to(before))
    }

    /// True when neither the answer nor the new state depends on the register before.
    pub(super) fn is_blind(self) -> bool {
        matches!(self.kind, Kind::Put(_)) && self.seen == Seen::default()
    }
}

/// An operation whose answer is known: it lies between two events of the part's event order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Definite {
    pub(super) call: Call,
    /// Index into [`Part::records`].
    pub(super) record: usize,
}

/// A write whose end is unknown: possible at any place after its invocation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) call: Call,
    /// Index into [`Part::records`].
    pub(super) record: usize,
    /// How many events precede its invocation: it may be placed once fewer returns stand before.
    pub(super) position: usize,
    /// The last earlier open write that does the same: of equal ones the earliest is placed first.
    pub(super) twin: Option<usize>,
}

/// An event in real-time order; the numbers are indexes into [`Part::definite`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Invoke(usize),
    Return(usize),
}

/// An operation by its index in [`Part::definite`] or [`Part::open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Definite(usize),
    Open(usize),
}

/// One key's history, ready to search.
pub(super) struct Part<'a> {
    pub(super) records: Vec<&'a Record>,
    /// In the order of invocation.
    pub(super) definite: Vec<Definite>,
    /// In the order of invocation.
    pub(super) open: Vec<Open>,
    pub(super) events: Vec<Event>,
}

impl<'a> Part<'a> {
    pub(super) fn new(records: &[&'a Record]) -> Self {
        let interner = Interner::new(records);
        let mut definite = Vec::new();
        let mut open = Vec::new();
        // (time, returns after invocations at equal times, index): equal times are concurrent.
        let mut moments: Vec<(u64, bool, usize)> = Vec::new();
        let mut open_at: Vec<(u64, Call, usize)> = Vec::new();
        for (index, record) in records.iter().enumerate() {
            match &record.end {
                End::Fail => {}
                End::Unknown if matches!(record.operation, Operation::Get) => {}
                End::Unknown => {
                    let call = interner.call(&record.operation, None);
                    open_at.push((record.invoked_at, call, index));
                }
                End::Ok { outcome, at } => {
                    let call = interner.call(&record.operation, Some(outcome));
                    moments.push((record.invoked_at, false, definite.len()));
                    moments.push((*at, true, definite.len()));
                    definite.push(Definite { call, record: index });
                }
            }
        }
        moments.sort_unstable();
        open_at.sort_by_key(|&(at, _, record)| (at, record));
        for (at, call, record) in open_at {
            // At equal times the open write comes before returns: concurrent with them.
            let position =
                moments.partition_point(|&(t, is_return, _)| (t, is_return) < (at, true));
            let twin = open.iter().rposition(|earlier: &Open| earlier.call == call);
            open.push(Open { call, record, position, twin });
        }
        let (definite, events) = in_invocation_order(&definite, &moments);
        Self { records: records.to_vec(), definite, open, events }
    }

    pub(super) fn call(&self, place: Place) -> Call {
        match place {
            Place::Definite(op) => self.definite[op].call,
            Place::Open(open) => self.open[open].call,
        }
    }

    /// How many operations the search orders or leaves open.
    pub(super) fn total(&self) -> usize {
        self.definite.len() + self.open.len()
    }
}

/// Renumbers operations by invocation, so that a set of ordered operations is a prefix plus a small
/// window, which is what keeps the memo's entries short.
fn in_invocation_order(
    definite: &[Definite],
    moments: &[(u64, bool, usize)],
) -> (Vec<Definite>, Vec<Event>) {
    let mut number = vec![usize::MAX; definite.len()];
    let mut sorted = Vec::with_capacity(definite.len());
    let mut events = Vec::with_capacity(moments.len());
    for &(_, is_return, index) in moments {
        if is_return {
            assert_ne!(
                number[index],
                usize::MAX,
                "operation {index} returned before its invocation"
            );
            events.push(Event::Return(number[index]));
        } else {
            number[index] = sorted.len();
            events.push(Event::Invoke(sorted.len()));
            sorted.push(definite[index]);
        }
    }
    assert_eq!(sorted.len(), definite.len(), "every operation has one invocation");
    (sorted, events)
}

/// Gives each value that is named somewhere its number.
struct Interner {
    numbers: BTreeMap<Bytes, Value>,
}

impl Interner {
    fn new(records: &[&Record]) -> Self {
        let mut interner = Self { numbers: BTreeMap::new() };
        for record in records {
            if let Operation::CompareAndPut { expect: Some(value), .. }
            | Operation::CompareAndDelete(value) = &record.operation
            {
                interner.name(value);
            }
            if let End::Ok { outcome, .. } = &record.end
                && let Outcome::Value(Some(value))
                | Outcome::Conditional { previous: Some(value), .. } = outcome
            {
                interner.name(value);
            }
        }
        interner
    }

    fn name(&mut self, value: &Bytes) {
        let count = Value::try_from(self.numbers.len()).expect("fewer than 2^32 values in memory");
        self.numbers.entry(value.clone()).or_insert(UNSEEN + 1 + count);
    }

    fn value(&self, value: &Bytes) -> Value {
        self.numbers.get(value).copied().unwrap_or(UNSEEN)
    }

    fn optional(&self, value: Option<&Bytes>) -> Value {
        value.map_or(ABSENT, |value| self.value(value))
    }

    fn call(&self, operation: &Operation, outcome: Option<&Outcome>) -> Call {
        let kind = match operation {
            Operation::Get => Kind::Get,
            Operation::Put(value) | Operation::GetAndPut(value) => Kind::Put(self.value(value)),
            Operation::Delete => Kind::Put(ABSENT),
            Operation::CompareAndPut { expect, new } => {
                let expect = self.optional(expect.as_ref());
                Kind::CompareAndPut { expect, new: self.value(new) }
            }
            Operation::CompareAndDelete(expect) => {
                Kind::CompareAndPut { expect: self.value(expect), new: ABSENT }
            }
            Operation::PutIfAbsent(value) => {
                Kind::CompareAndPut { expect: ABSENT, new: self.value(value) }
            }
        };
        let seen = match outcome {
            None | Some(Outcome::Done) => Seen::default(),
            Some(Outcome::Value(before)) => {
                Seen { before: Some(self.optional(before.as_ref())), applied: None }
            }
            Some(Outcome::Applied(applied)) => Seen { before: None, applied: Some(*applied) },
            Some(Outcome::Conditional { applied, previous }) => {
                let before = Some(self.optional(previous.as_ref()));
                Seen { before, applied: Some(*applied) }
            }
        };
        Call { kind, seen }
    }
}
