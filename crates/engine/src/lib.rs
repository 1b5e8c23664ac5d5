//! The ordered key-value contract, the memory engine and the conformance suite.
//!
//! An *engine* keeps the rows of one store: bytes in, bytes out, in key order. It knows neither
//! regions nor Raft; what the rows mean is decided in `store` and `codec`. This crate says what
//! an engine promises ([`Engine`], [`Read`], [`View`]), holds three engines that need no disk, and
//! the suite that every other engine must pass. Storage libraries live behind adapters above the
//! quiet line (`engine-fjall`, …); here is no file, thread, clock or chance.
//!
//! ```
//! use std::ops::ControlFlow;
//! use kontiki_engine::{Batch, Direction, Engine, Family, MemoryEngine, Range, Read};
//!
//! let engine = MemoryEngine::volatile();
//! let mut batch = Batch::default();
//! batch.put(Family::Default, "user/1", "Ada");
//! batch.put(Family::Default, "user/2", "Grace");
//! batch.put(Family::Meta, "applied", "7"); // data and position: both or neither
//! engine.write(batch)?;
//!
//! let before = engine.view()?;
//! let mut batch = Batch::default();
//! batch.delete(Family::Default, "user/1");
//! engine.write(batch)?;
//!
//! let mut keys = Vec::new();
//! before.scan(Family::Default, &Range::prefix(b"user/"), Direction::Backward, &mut |key, _| {
//!     keys.push(key.clone());
//!     ControlFlow::Continue(())
//! })?;
//! assert_eq!(keys, ["user/2", "user/1"]); // the view still has what the engine lost
//! # Ok::<(), kontiki_engine::Error>(())
//! ```
//!
//! # The contract
//!
//! - **Order.** Keys are compared as unsigned bytes, a prefix before what extends it. Ranges are
//!   `[start, end)` and may be inverted (then empty); bounds need not be keys, nor as short.
//! - **Limits.** A key has 1 to [`limits::KEY_BYTES_MAX`] bytes. A batch asserts that.
//! - **Families.** Four key spaces in one engine. Equal keys in two of them never meet.
//! - **Batches** are atomic over all families, and follow each other in the order in which their
//!   writes returned. Inside one, operations apply in order: the last on a key wins.
//! - **Visible** is a batch from the moment its write returns. A scan and a view see whole
//!   batches only. Two `get`s on an engine are two moments: take a view to read a state.
//! - **Views** never change and never fail because of later writes. They hold back reclamation.
//! - **Durable** is what was written before a [`Engine::sync`] that returned `Ok`. What came after
//!   may be gone when the process is.
//!
//! # After a crash
//!
//! ```text
//! written   1  2  3  4  5  6  7  8
//! synced    ──────────┘
//! found     1  2  3  4  5  6            any prefix, at least up to the last sync
//! ```
//!
//! An engine comes back with *a prefix of its batches*: never with batch 6 and without 5, never
//! with half of one. The Raft log holds the rest, and as a batch carries its applied position with
//! its rows, `store` replays from exactly there. That is why one durable log is enough, and why a
//! hole in an engine would be worse than an empty one: an engine that cannot prove that it holds
//! such a prefix must say [`Error::Damaged`] and be refilled from its peers.
//!
//! # After a failure
//!
//! The first failed write or sync *poisons* the engine ([`Poison`]): every later one is refused
//! with [`Error::Poisoned`]. Operating systems report a lost page once, so an engine that tries
//! again may succeed on a disk that lied. The store above stops acknowledging and exits.
//!
//! # Engines here
//!
//! | engine | durable | for |
//! |---|---|---|
//! | [`MemoryEngine`] | an image in an [`ImageStore`], whole at each sync | small stores |
//! | [`SimEngine`], [`SimDisk`] | loses unsynced batches on command | the simulator |
//! | [`FaultyEngine`] | as the one inside, until a [`Fault`] strikes | tests of what is above |
//!
//! # What must never come in
//!
//! Anything of ours (ids, regions, codecs), I/O, and operations some engine cannot do with the
//! same meaning. [`delete_range`] shows the way: a function over the contract, honest about not
//! being atomic. Merge operators, expiry and transactions are the business of `store`.

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
