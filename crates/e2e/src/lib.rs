//! What the end-to-end tests share: the binary, a cluster of real processes, commands against it.
//!
//! Everything runs on loopback, on ports the system gave, in temporary directories, and ends with
//! the value that started it. Nothing here sleeps and hopes: it waits for a condition, within a
//! deadline, and says what it waited for when the deadline passes. A failure panics, because a
//! test is what calls it.

#![forbid(unsafe_code)]

mod cluster;
mod command;
mod proxied;

pub use cluster::{Cluster, Store};
pub use command::{Output, binary, run, wait_for};
pub use proxied::{Gated, three as three_behind_gates};
