//! Many Raft groups as one pure event loop.

#![forbid(unsafe_code)]
