//! What tests share: generators that one seed reproduces, and checkers that judge histories.
//!
//! The simulator, the end-to-end tests and the tests of single crates record what clients asked and
//! what they were told; the checkers here decide whether a correct store could have given those
//! answers. A checker never talks to the system under test, and never passes what it could not
//! decide: an exhausted budget is [`Verdict::Unknown`], which a test must treat as a fault of its
//! own workload (too many operations on one key), not as success.
//!
//! | module | judges or makes | cost |
//! |---|---|---|
//! | [`linearizability`] | reads and writes of single keys, compare-and-put too | bounded search |
//! | [`counter`] | increments: each value between what must and what may be in it | n log n |
//! | [`set`] | unique adds: nothing acknowledged is lost, nothing appears from nowhere | n log n |
//! | [`rng`] | seeded randomness with independent streams | – |
//! | [`generate`] | unique values, and histories a correct register would produce | – |
//!
//! This crate stands beside the quiet line: it reads no clock and no file, and imports only
//! `types`.

#![forbid(unsafe_code)]

pub mod counter;
pub mod generate;
pub mod linearizability;
pub mod rng;
pub mod set;

pub use linearizability::{History, OpId, Operation, Outcome, Report, Verdict, check};
pub use rng::Rng;
