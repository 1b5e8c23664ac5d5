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

#![forbid(unsafe_code)]

pub mod admin;
pub mod ask;
mod client;
mod error;
mod keyspace;
mod ops;
mod options;
mod scan;
mod shell;
mod size;

pub use client::{Client, Pending};
pub use error::Error;
pub use keyspace::Keyspace;
pub use ops::{Batch, Op, Reply, Row, Swap};
pub use options::{Options, ReadMode};
pub use scan::Scan;
