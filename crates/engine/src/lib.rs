//! The ordered key-value contract, the memory engine and the conformance suite.

#![forbid(unsafe_code)]

mod batch;
mod engine;
mod error;
mod family;
pub mod limits;
mod range;
mod stats;

pub use batch::{Batch, Op};
pub use engine::{Direction, Engine, Read, View};
pub use error::Error;
pub use family::Family;
pub use range::Range;
pub use stats::Stats;
