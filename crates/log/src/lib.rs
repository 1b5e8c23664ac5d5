//! The shared write-ahead log of a store: many groups, one sync.

#![forbid(unsafe_code)]
