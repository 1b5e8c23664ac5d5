//! Regions: raw key-value commands, applied exactly once, from the committed log to the engine.
//!
//! A region is a range of keys replicated by one Raft group. This crate is that group's state
//! machine, [`Replica`], and what stands around it. It is pure: no clock, no thread, no socket;
//! time arrives in commands, background work through [`Background`].
//!
//! ```text
//!  server ── propose::check ──► Raft … committed … ──► Replica::apply ──► one engine batch:
//!    │         (check 1)                                 (check 2)          data rows
//!    │                                                                      outcome record
//!    └────── RegionReader ◄── RegionCell ◄── publishes ──┘                  applied position
//! ```
//!
//! | what | where |
//! |---|---|
//! | check before propose | [`propose`] |
//! | get, multi-get, scan | [`read`] |
//! | a region's state, the face towards `multiraft` | [`Replica`] |
//! | commands to rows | `apply/` |
//! | exactly once | `session/` |
//! | making and installing snapshots | `snapshot/` |
//! | a new store, a store after a restart | [`bootstrap`], [`open`] |
//! | a replica that takes the place of one before it | [`heir`] |
//! | what other threads may know of a region | [`Descriptors`], [`RegionCell`] |
//! | comparing replicas | [`StateHash`] |
//!
//! # Invariants
//! - The rows of a region in the engine are those of one applied position, and that position is
//!   written in the same batch. After a crash the engine holds some prefix of the batches, and
//!   replay from the log restores the rest.
//! - How commands were cut into batches can never be seen in rows or outcomes: a command reads
//!   through the pending batch.
//! - Nothing a client sends can stop a group: what is wrong with a command is its outcome.
//! - An engine failure is never an outcome: it stops the store.
//!
//! # Not atomic, and who cares
//! Two things replace more rows than one engine batch should hold: a large range delete and the
//! installation of a snapshot. While they run, readers are refused ([`ReadError::Replacing`]);
//! what a crash in the middle means is told in `apply/delete_range.rs` and `snapshot/install.rs`.

#![forbid(unsafe_code)]

mod apply;
pub mod bootstrap;
mod check;
mod error;
pub mod heir;
pub mod limits;
pub mod open;
pub mod propose;
pub mod read;
mod replica;
mod router;
mod session;
mod snapshot;
mod state_hash;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use open::{Opened, PendingInstall};
pub use propose::ProposeError;
pub use read::{Page, ReadError, RegionReader, Row, Scan};
pub use replica::{Background, Inline, Replica, Tuning};
pub use router::{Descriptors, RegionCell};
pub use state_hash::StateHash;
