//! The fjall storage engine behind the engine contract.

#![forbid(unsafe_code)]

mod engine;
mod error;
mod journal;
mod mark;
mod opening;
mod options;
mod view;

pub use engine::FjallEngine;
pub use error::Error;
