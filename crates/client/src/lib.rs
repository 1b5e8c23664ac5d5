//! The Rust client of Kontiki: routing, batching, retries with a deadline, exactly-once sessions.
//!
//! ```no_run
//! # async fn example() -> Result<(), kontiki_client::Error> {
//! use kontiki_client::{Client, Options};
//!
//! let client = Client::connect(["127.0.0.1:7701"], Options::default()).await?;
//! client.put("greeting", "hello").await?;
//! assert_eq!(client.get("greeting").await?.as_deref(), Some(&b"hello"[..]));
//!
//! let mut scan = client.scan_prefix("user/").keys_only();
//! while let Some(page) = scan.next_page().await? {
//!     for row in page {
//!         println!("{:?}", row.key);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

//! What is here, from the outside in: `client`, `scan`, `ops` (the face), `shell` (tasks, sockets,
//! clocks), [`core`] (all decisions, pure), and its parts: [`region_cache`], [`batcher`],
//! [`session`], [`retry`], [`backoff`]. The simulator runs [`core`] in virtual time.

#![forbid(unsafe_code)]

pub mod admin;
pub mod ask;
pub mod backoff;
pub mod batcher;
mod client;
pub mod core;
mod cut;
mod error;
mod keyspace;
mod ops;
mod options;
pub mod region_cache;
pub mod retry;
mod rng;
mod scan;
pub mod session;
mod shell;
mod size;

pub use client::{Client, Pending};
pub use error::Error;
pub use keyspace::Keyspace;
pub use ops::{Batch, Op, Reply, Row, Swap};
pub use options::{Options, ReadMode};
pub use scan::Scan;
