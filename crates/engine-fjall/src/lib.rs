//! The fjall storage engine behind the engine contract.
//!
//! The default engine of a store: a log-structured tree in safe Rust that builds in seconds. The
//! server links this crate and hands a [`FjallEngine`] down as an `Arc<dyn Engine>`; everything
//! below the quiet line sees only the contract. The crate knows no regions and no Raft.
//!
//! # How the contract maps to fjall
//!
//! | contract | here |
//! |---|---|
//! | family | a keyspace of that name, all in one database |
//! | `write` | one atomic batch, journal flushed to the operating system: survives `kill -9` |
//! | `sync` | mark row, `fdatasync` of the journal through our own handle, mark file (`mark.rs`) |
//! | `view` | a snapshot; `get` and `scan` on the engine take one of the moment |
//! | poison | our latch in front; fjall has one of its own behind it |
//!
//! # What is done about fjall
//!
//! - Its `persist` keeps writers waiting while the disk works: we sync beside them.
//! - It refuses a journal with a half written end, and drops synced batches behind damage without
//!   a word: we read the journals first (`journal.rs`) and judge them (`opening.rs`).
//! - It creates a new database where the version file is missing: we look for an old one.
//! - Plain reads see half batches of other threads: we read through snapshots.
//!
//! # On disk
//!
//! Everything fjall puts into the directory (`version`, `lock`, `<n>.jnl`, `keyspaces/`), and
//! `synced`, which is ours. To copy a store, stop it: a copy of a directory in use is no backup.
//!
//! # What to expect
//!
//! On 2 cores with a 64 MiB cache, batches of 128 puts of 256 bytes in random order, a sync every
//! half second: 2.9 µs a put (p50 of a batch 0.2 ms, p999 30 ms while a journal is sealed),
//! 9 µs a get and 2 µs a get of an absent key among 2.5 million rows, 0.35 µs a row of a scan,
//! 0.6 s to open after that load. `examples/put_rate.rs` measures it where you are.
//!
//! # Left out
//!
//! Range deletes (fjall has none: see [`kontiki_engine::delete_range`]), ingestion of sorted
//! files, checkpoints. Options in `options.rs` are constants until somebody needs to change one.

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
