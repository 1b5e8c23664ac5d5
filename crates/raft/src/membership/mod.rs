//! Which membership is in effect: that of the newest configuration entry in the log, committed or
//! not (thesis §4.1). [`stack`] remembers the older ones, so that truncation can go back.
//!
//! Proposing and leaving joint configurations come here with the next milestone.

pub(crate) mod stack;
