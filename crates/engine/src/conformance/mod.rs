//! The conformance suite: what every engine must pass.
//!
//! An adapter implements [`Harness`] (how to open its storage, how to cut its power) and calls
//! [`assert_conforms`] from one test. Cases judge by what the contract says, through the public
//! traits alone, against a model that shares no code with any engine; they return a [`Violation`]
//! instead of panicking, so that the suite itself can be tested against engines broken on purpose
//! (`broken_tests.rs`: each defect must be caught by name). All randomness comes from fixed seeds.
//!
//! | case | claim |
//! |---|---|
//! | `point`, `keys` | what is put is got, in unsigned byte order, up to the limits |
//! | `batch` | operations apply in order, later wins; a big batch is one batch |
//! | `families` | equal keys in different families never meet |
//! | `scan` | `[start, end)` both ways, bounds present or not, early break, odd bounds |
//! | `view` | a view never changes, whatever is written, deleted or synced after it |
//! | `delete_range` | exactly the range goes |
//! | `restart` | a synced engine comes back whole |
//! | `crash` | what comes back is a prefix of the batches, at least to the last sync |
//! | `model` | thousands of random operations agree with the model |
//! | `poison` | after a failed write or sync, nothing is accepted (if the harness can break it) |

use std::fmt;
use std::sync::Arc;

use crate::{Engine, Error};

mod model;
mod random;

mod batch;
mod crash;
mod delete;
mod families;
mod model_run;
mod point;
mod poison;
mod scan;
mod view;

#[cfg(test)]
mod broken;
#[cfg(test)]
mod broken_tests;

/// One engine's storage, and the ways to treat it badly. One harness serves one case.
pub trait Harness {
    /// Opens the storage: empty the first time, and what was left behind afterwards.
    ///
    /// The suite drops every engine it holds before it opens again.
    ///
    /// # Errors
    ///
    /// Whatever the engine says; the suite takes it as a violation.
    fn open(&mut self) -> Result<Arc<dyn Engine>, Error>;

    /// Cuts the power under an open engine and opens what is left.
    ///
    /// `choice` decides what survives of the unsynced batches, where the harness can choose.
    ///
    /// # Errors
    ///
    /// Whatever the engine says; the suite takes it as a violation.
    fn crash(&mut self, engine: Arc<dyn Engine>, choice: u64) -> Result<Arc<dyn Engine>, Error>;

    /// Makes the next write or sync of the open engine fail; `None` when there is no way to.
    fn break_disk(&mut self) -> Option<Arc<dyn Engine>> {
        None
    }
}

/// How an engine broke the contract.
#[derive(Debug)]
pub struct Violation(String);

impl Violation {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Error> for Violation {
    fn from(error: Error) -> Self {
        Self(format!("unexpected error: {error}"))
    }
}

/// The outcome of a case.
pub type Verdict = Result<(), Violation>;

/// One case of the suite.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it is called in reports.
    pub name: &'static str,
    /// Runs it on fresh storage.
    pub run: fn(&mut dyn Harness) -> Verdict,
}

/// Every case, simplest first, so that the first failure is the easiest to understand.
pub const CASES: &[Case] = &[
    Case { name: "point", run: point::values },
    Case { name: "keys", run: point::keys },
    Case { name: "batch order", run: batch::order },
    Case { name: "big batch", run: batch::big },
    Case { name: "families", run: families::independent },
    Case { name: "scan", run: scan::bounds },
    Case { name: "scan break", run: scan::early_break },
    Case { name: "view", run: view::isolated },
    Case { name: "delete_range", run: delete::exact },
    Case { name: "restart", run: crash::restart },
    Case { name: "crash", run: crash::prefix },
    Case { name: "model", run: model_run::random_operations },
    Case { name: "poison", run: poison::stays },
];

/// Runs every case on fresh storage each and panics with all violations at once.
///
/// # Panics
///
/// When the engine breaks the contract.
pub fn assert_conforms<H: Harness>(mut fresh: impl FnMut() -> H) {
    let failed: Vec<String> = CASES
        .iter()
        .filter_map(|case| {
            let violation = (case.run)(&mut fresh()).err()?;
            Some(format!("{}: {violation}", case.name))
        })
        .collect();
    assert!(failed.is_empty(), "the engine breaks the contract:\n{}", failed.join("\n"));
}

/// Returns a [`Violation`] from the case unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::conformance::Violation::new(format!($($message)+)));
        }
    };
}
use ensure;
