//! The book of a run: what clients asked and were told, and the verdict over it.
//!
//! Clients write into it as they go. It knows three kinds of keys: registers, judged by the
//! linearizability search; counters, incremented by read and swap, judged by sums; and the elements
//! of sets, put once and read by scans of the whole set, judged by what a read must hold and may
//! hold. Times are numbers of happenings, which never tie.

use std::collections::{BTreeMap, BTreeSet};

use kontiki_testkit::counter::{Addition, CounterHistory};
use kontiki_testkit::set::SetHistory;
use kontiki_testkit::{History, OpId, Operation, Outcome, Verdict};

use crate::limits::SEARCH_BUDGET;
use crate::violation::{Rule, Violation};

/// What clients asked and were told.
#[derive(Debug)]
pub struct Book {
    registers: History<String>,
    counters: Vec<CounterHistory>,
    sets: BTreeMap<String, SetHistory<u64>>,
    /// Additions under way, and when they were sent.
    additions: Vec<Option<(Added, u64)>>,
    /// Operations that ended well, of any kind.
    ok_count: u64,
}

/// What is added once, if at all.
#[derive(Clone, Debug)]
pub enum Added {
    /// One, to a counter.
    One(usize),
    /// An element, to a set.
    Element(String, u64),
}

/// Names an addition under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdditionId(usize);

impl Book {
    /// An empty book.
    pub fn new(counter_count: usize) -> Self {
        Self {
            registers: History::new(),
            counters: vec![CounterHistory::default(); counter_count],
            sets: BTreeMap::new(),
            additions: Vec::new(),
            ok_count: 0,
        }
    }

    /// A client asked for this.
    pub fn invoke(&mut self, client: u64, key: &str, operation: Operation, at: u64) -> OpId {
        self.registers.invoke(client, key.to_owned(), operation, at)
    }

    /// It was told this.
    pub fn ok(&mut self, id: OpId, outcome: Outcome, at: u64) {
        self.registers.ok(id, outcome, at);
        self.ok_count += 1;
    }

    /// It certainly did not happen.
    pub fn fail(&mut self, id: OpId) {
        self.registers.fail(id);
    }

    /// A write that adds something was sent.
    pub fn begin_addition(&mut self, added: Added, at: u64) -> AdditionId {
        self.additions.push(Some((added, at)));
        AdditionId(self.additions.len() - 1)
    }

    /// It took effect, or certainly did not. One that never ends counts as unknown.
    pub fn end_addition(&mut self, id: AdditionId, is_applied: bool, at: u64) {
        let (added, invoked_at) = self.additions[id.0].take().expect("an addition ends once");
        self.add(added, invoked_at, if is_applied { Addition::Ok(at) } else { Addition::Fail });
        self.ok_count += u64::from(is_applied);
    }

    fn add(&mut self, added: Added, invoked_at: u64, end: Addition) {
        match added {
            Added::One(counter) => self.counters[counter].add(1, invoked_at, end),
            Added::Element(set, element) => {
                self.sets.entry(set).or_default().add(element, invoked_at, end);
            }
        }
    }

    /// A whole set was read.
    pub fn read_set(&mut self, set: &str, elements: BTreeSet<u64>, invoked_at: u64, at: u64) {
        self.sets.entry(set.to_owned()).or_default().read(elements, invoked_at, at);
        self.ok_count += 1;
    }

    /// A counter was read.
    pub fn read_counter(&mut self, counter: usize, value: i64, invoked_at: u64, at: u64) {
        self.counters[counter].read(value, invoked_at, at);
    }

    /// Operations that ended well.
    pub fn ok_count(&self) -> u64 {
        self.ok_count
    }

    /// How many operations on registers were recorded.
    pub fn register_operation_count(&self) -> usize {
        self.registers.len()
    }

    /// Judges everything.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn check(&mut self) -> Result<(), Violation> {
        for (added, invoked_at) in std::mem::take(&mut self.additions).into_iter().flatten() {
            self.add(added, invoked_at, Addition::Unknown);
        }
        for (name, set) in &self.sets {
            set.check().map_err(|violation| Violation {
                rule: Rule::SetIsWhole,
                what: format!("set {name}: {violation}"),
            })?;
        }
        for (number, counter) in self.counters.iter().enumerate() {
            counter.check().map_err(|violation| Violation {
                rule: Rule::ExactlyOnce,
                what: format!("counter {number}: {violation}"),
            })?;
        }
        match kontiki_testkit::check(&self.registers, SEARCH_BUDGET).verdict {
            Verdict::Ok => Ok(()),
            Verdict::Violation { key, explanation } => Err(Violation {
                rule: Rule::Linearizable,
                what: format!("key {key}\n{explanation}"),
            }),
            // A fault of the workload, and never a pass.
            Verdict::Unknown { keys } => Err(Violation {
                rule: Rule::Workload,
                what: format!("not decided within {SEARCH_BUDGET} configurations: {keys:?}"),
            }),
        }
    }
}
