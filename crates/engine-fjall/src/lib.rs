//! The fjall storage engine behind the engine contract.

#![forbid(unsafe_code)]

mod engine;
mod error;
mod options;
mod view;

pub use engine::FjallEngine;
pub use error::Error;
