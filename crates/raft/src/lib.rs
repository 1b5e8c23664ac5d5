//! One Raft group as a pure state machine: events in, effects out.

#![forbid(unsafe_code)]
