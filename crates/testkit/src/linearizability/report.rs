//! What the checker says, and for a violation: how far an order got and what then fits nowhere.
//!
//! A person reads this at three in the morning next to a seed. So it names the key, the register's
//! value at the dead end, the last operations before it and each operation that had to come next,
//! with the client and both times, as they stand in the history.

use std::fmt::{self, Write as _};

use super::history::Shown;
use super::register::{Part, Place};
use super::search::{Dead, Found, Searched};

/// How many of the operations before a dead end are shown.
const SHOWN_BEFORE_COUNT_MAX: usize = 12;

/// The judgement over a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// An order exists for every key.
    #[default]
    Ok,
    /// For this key there is none.
    Violation {
        /// The key, as its `Debug` form.
        key: String,
        /// Why, in several lines, for people.
        explanation: String,
    },
    /// The budget ran out on these keys and no other key is in violation. A fault of the workload:
    /// too many concurrent operations on one key. Never a pass.
    Unknown {
        /// The keys, as their `Debug` form.
        keys: Vec<String>,
    },
}

/// The judgement and what it took.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Report {
    /// The judgement.
    pub verdict: Verdict,
    /// How many keys were judged.
    pub key_count: usize,
    /// How many operations counted: all but failed ones and reads of unknown end.
    pub operation_count: usize,
    /// How many configurations the searches remembered, over all keys.
    pub configuration_count: usize,
}

impl Report {
    /// True only for [`Verdict::Ok`].
    pub fn is_ok(&self) -> bool {
        self.verdict == Verdict::Ok
    }

    /// Ends a test that must have a linearizable history.
    ///
    /// # Panics
    /// When the history is not linearizable, or could not be decided.
    pub fn assert_ok(&self) {
        assert!(self.is_ok(), "{self}");
    }

    /// Takes in the result of one key.
    pub(super) fn add(&mut self, key: &str, part: &Part<'_>, searched: Searched) {
        self.key_count += 1;
        self.operation_count += part.total();
        self.configuration_count += searched.configuration_count;
        match (searched.found, &mut self.verdict) {
            (Found::Order, _) | (_, Verdict::Violation { .. }) => {}
            (Found::None(dead), verdict) => {
                let explanation = explain(part, &dead);
                *verdict = Verdict::Violation { key: key.to_owned(), explanation };
            }
            (Found::Budget, Verdict::Unknown { keys }) => keys.push(key.to_owned()),
            (Found::Budget, verdict) => *verdict = Verdict::Unknown { keys: vec![key.to_owned()] },
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Ok => write!(f, "linearizable")?,
            Verdict::Violation { key, explanation } => {
                write!(f, "key {key} is not linearizable: {explanation}")?;
            }
            Verdict::Unknown { keys } => write!(
                f,
                "undecided within the budget on keys {}; use fewer operations per key or fewer clients",
                keys.join(", ")
            )?,
        }
        write!(
            f,
            " ({} keys, {} operations, {} configurations)",
            self.key_count, self.operation_count, self.configuration_count
        )
    }
}

fn explain(part: &Part<'_>, dead: &Dead) -> String {
    let record = |place: Place| match place {
        Place::Definite(op) => part.records[part.definite[op].record],
        Place::Open(open) => part.records[part.open[open].record],
    };
    let mut text = format!("no order of its {} operations explains every answer\n", part.total());
    let hidden = dead.order.len().saturating_sub(SHOWN_BEFORE_COUNT_MAX);
    let _ = writeln!(text, "  the longest order explains {} operations:", dead.order.len());
    if hidden > 0 {
        let _ = writeln!(text, "    … {hidden} before");
    }
    for &place in &dead.order[hidden..] {
        let _ = writeln!(text, "    {}", record(place));
    }
    // Every placed operation that does not only look wrote its value, so the last of them tells it.
    let last_write = dead.order.iter().rev().find(|&&place| !part.call(place).is_pure());
    let value = last_write.and_then(|&place| record(place).operation.written());
    let _ =
        writeln!(text, "  then the value is {}, and none of these can come next:", Shown(value));
    for &op in &dead.candidates {
        let _ = writeln!(text, "    {}", record(Place::Definite(op)));
    }
    text
}
