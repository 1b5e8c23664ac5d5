//! Bringing the leader's log to its followers.
//!
//! [`progress`] is what the leader knows of one follower, [`inflight`] the window of appends on
//! their way to it, [`flow`] decides what to send next. Owned by [`crate::roles::leader`].

pub(crate) mod flow;
pub(crate) mod inflight;
pub(crate) mod progress;
