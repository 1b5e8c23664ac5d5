//! Is a history linearizable? Was there, per key, one order of all operations that agrees with real
//! time and in which every answer is the one a single register would give?
//!
//! ```text
//!   client 1   |--- put a ---|                         put a, get a, put b, get b
//!   client 2         |-- get → a --|  |-- put b --|    is such an order: accepted.
//!   client 3                             |-- get → b --|
//! ```
//!
//! The search is Wing and Gong's with Lowe's memo: at every point each operation invoked before the
//! first pending return may be the next one; a pair of (set of operations already ordered, register
//! value) that failed once is never tried again. Keys are independent (linearizability composes),
//! so each key is searched alone; a workload that wants a fast answer rotates its keys and keeps
//! about a thousand operations and at most eight clients on each.
//!
//! Three ends of an operation, and the difference is the heart of honest testing:
//! - **ok**: the answer is known; the operation took effect between its invocation and its return.
//! - **fail**: it certainly did not happen and never will. Dropped from the history.
//! - **unknown** (time-out, connection lost): it may have taken effect at any moment since its
//!   invocation, may still take effect in an hour, or never. It stays open for ever.
//!
//! What keeps it fast, and why each shortcut loses no order:
//! - An unknown read tells nothing and is dropped.
//! - An unknown write is only placed where some operation could notice it next. One that a blind
//!   write follows, or nothing follows, can be left out of the order without changing any answer.
//! - An operation that only looks is placed as soon as its answer fits: earlier changes nothing.
//! - Values that no answer and no comparison names are one value: nothing can tell them apart.
//! - Having used fewer unknown writes never hurts, so the memo prunes supersets too.
//!
//! The memo holds whole sets, not hashes of them, so a collision cannot turn into a verdict. The
//! budget counts its entries; past it the verdict is [`Verdict::Unknown`], never a pass. The tests
//! compare every verdict on thousands of small histories with a checker that has none of the
//! shortcuts.
//!
//! Left out: several keys in one operation (see the transaction checkers), and finding a *minimal*
//! explanation; the report shows the longest order found and the operation that then fits nowhere.

mod bits;
mod events;
mod history;
mod memo;
mod register;
mod report;
mod search;
#[cfg(test)]
mod tests;

pub use history::{Client, History, OpId, Operation, Outcome};
pub use report::{Report, Verdict};

use std::fmt::Debug;

/// A budget for [`check`] that decides histories of the recommended size many times over and stays
/// below about 200 MB of memory.
pub const BUDGET_DEFAULT: usize = 1_000_000;

/// Judges every key of the history. `budget` bounds the search of one key, in remembered
/// configurations (about 100 bytes each).
///
/// A violation of any key outranks an undecided key; the first bad key in key order is explained.
pub fn check<K: Ord + Clone + Debug>(history: &History<K>, budget: usize) -> Report {
    let mut report = Report::default();
    for (key, records) in history.by_key() {
        let part = register::Part::new(&records);
        let result = search::search(&part, budget);
        report.add(&format!("{key:?}"), &part, result);
    }
    report
}
