//! The book of a run: what clients asked and were told, and the verdict over it.
//!
//! Clients write into it as they go. It knows the two kinds of keys: registers, judged by the
//! linearizability search, and counters, incremented by read and swap, judged by sums. Times are
//! numbers of happenings, which never tie.

use kontiki_testkit::counter::{Addition, CounterHistory};
use kontiki_testkit::{History, OpId, Operation, Outcome, Verdict};

use crate::limits::SEARCH_BUDGET;
use crate::violation::{Rule, Violation};

/// What clients asked and were told.
#[derive(Debug)]
pub struct Book {
    registers: History<String>,
    counters: Vec<CounterHistory>,
    /// Increments under way: which counter and when they were sent.
    increments: Vec<Option<(usize, u64)>>,
    /// Operations that ended well, of either kind.
    ok_count: u64,
}

/// Names an increment under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IncrementId(usize);

impl Book {
    /// An empty book.
    pub fn new(counter_count: usize) -> Self {
        Self {
            registers: History::new(),
            counters: vec![CounterHistory::default(); counter_count],
            increments: Vec::new(),
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

    /// A swap that adds one to a counter was sent.
    pub fn begin_increment(&mut self, counter: usize, at: u64) -> IncrementId {
        self.increments.push(Some((counter, at)));
        IncrementId(self.increments.len() - 1)
    }

    /// It took effect, or certainly did not. One that never ends counts as unknown.
    pub fn end_increment(&mut self, id: IncrementId, is_applied: bool, at: u64) {
        let begun = self.increments[id.0].take();
        let (counter, invoked_at) = begun.expect("an increment ends once");
        let end = if is_applied { Addition::Ok(at) } else { Addition::Fail };
        self.counters[counter].add(1, invoked_at, end);
        self.ok_count += u64::from(is_applied);
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
        for (counter, invoked_at) in self.increments.drain(..).flatten() {
            self.counters[counter].add(1, invoked_at, Addition::Unknown);
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
