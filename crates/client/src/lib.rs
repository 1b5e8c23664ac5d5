//! The Rust client: routing, batching, retries with deadline, exactly-once sessions.

#![forbid(unsafe_code)]
