//! The ordered key-value contract, the memory engine and the conformance suite.

#![forbid(unsafe_code)]

mod batch;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod delete_range;
mod engine;
mod error;
mod family;
mod faulty;
mod image;
pub mod limits;
mod memory;
mod poison;
mod range;
mod rows;
mod sim;
mod stats;

pub use batch::{Batch, Op};
pub use delete_range::delete_range;
pub use engine::{Direction, Engine, Read, View};
pub use error::Error;
pub use family::Family;
pub use faulty::{Fault, FaultyEngine};
pub use image::{Chunks, ImageStore, StoreError};
pub use memory::{MemoryEngine, MemoryImageStore};
pub use poison::Poison;
pub use range::Range;
pub use sim::{SimDisk, SimEngine};
pub use stats::Stats;
