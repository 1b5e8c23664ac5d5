//! The shared write-ahead log of a store: many groups, one sync.
//!
//! Everything that the Raft groups of a store must remember goes through here as [`Record`]s: one
//! [`Log::write`] makes one frame of many groups' records, one [`Log::sync`] makes it durable. The
//! log is pure: every byte passes through a [`Disk`], real or simulated.
//!
//! The form on disk, what is recovered when, and what is assumed about the medium is told in
//! `docs/internals/disk-format.md`.
//!
//! Reading order: `record` (what is logged), [`log`] (writing), [`prepare`] and [`collect`]
//! (where segments come from and where they go), [`recovered`] (what is found after a crash),
//! [`disk`] and [`simdisk`] (what is underneath).

#![forbid(unsafe_code)]

mod broken;
mod change;
pub mod collect;
pub mod config;
pub mod disk;
pub mod error;
mod frame;
mod header;
mod index;
pub mod limits;
pub mod log;
mod name;
pub mod prepare;
pub mod read;
mod record;
mod recover;
pub mod recovered;
mod replay;
mod scan;
mod segments;
pub mod simdisk;
pub mod stats;

pub use collect::Collected;
pub use config::Config;
pub use disk::{Disk, File};
pub use error::Error;
pub use log::Log;
pub use prepare::{Prepared, SegmentRequest, prepare_segment, remove_segments};
pub use record::Record;
pub use recovered::{Damage, Group, Recovered, Tail};
pub use simdisk::SimDisk;
pub use stats::{Stats, WriteStats};

#[cfg(test)]
mod tests;
