//! The client over real sockets, against stores that keep the rules and fail on demand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod admin;
mod calls;
mod failures;
mod fake;
