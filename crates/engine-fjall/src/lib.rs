//! The fjall storage engine behind the engine contract.
//!
//! The default engine of a store: a log-structured tree in safe Rust that builds in seconds. The
//! server links this crate and hands a [`FjallEngine`] down as an `Arc<dyn Engine>`; everything
//! below the quiet line sees only the contract. The crate knows no regions and no Raft.
//!
//! It stands on `lsm-tree`, the tree of the fjall project, and not on fjall itself, which adds a
//! journal. The Raft log is our journal: a second one would write and sync every row twice, on the
//! disk that the log waits for, and would have to be read again before a store serves
//! (docs/design/0006).
//!
//! # How the contract maps to the tree
//!
//! | contract | here |
//! |---|---|
//! | family | a byte in front of the key: one tree, so that a table holds whole batches |
//! | `write` | into our table in memory (`memtable.rs`); seen when it is whole (`newest.rs`) |
//! | `sync` | that table to disk, then a new manifest by an atomic exchange |
//! | `view` | a number, and the tables in memory of its time: all writes below it |
//! | poison | our latch; a failed merge closes it too |
//!
//! # What is done about the tree
//!
//! - Its table in memory misses the cache thirty times a row: we bring our own, give it the rows of
//!   a flush in order, and read ours before its own (`memtable.rs`, `merged.rs`).
//! - It makes its own changes visible in the middle of a batch: we count what may be seen
//!   (`views.rs`), and publish what a flush or a merge changed between two batches (`newest.rs`).
//! - It trusts a manifest without its checksum, and creates a new tree where the file `current` is
//!   missing: we look first (`opening.rs`).
//! - It syncs a table as a whole: we sync it in steps while it is written (`trickle.rs`).
//! - A merge cannot be stopped: ours can, through a filter that fails (`compactor.rs`).
//!
//! # On disk
//!
//! See `opening.rs`. To copy a store, stop it: a copy of a directory in use is no backup.
//!
//! # Left out
//!
//! Range deletes (see [`kontiki_engine::delete_range`]), ingestion of sorted files, checkpoints.
//! Options in `options.rs` are constants until somebody needs to change one.

#![forbid(unsafe_code)]

mod arena;
mod compactor;
mod engine;
mod error;
mod memtable;
#[cfg(test)]
mod memtable_tests;
mod merged;
#[cfg(test)]
mod mixed_tests;
mod newest;
mod opening;
mod options;
mod trickle;
mod view;
mod views;

pub use engine::FjallEngine;
pub use error::Error;
