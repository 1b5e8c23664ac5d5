//! Bytes and types: what stands on disk and between peers.

#![forbid(unsafe_code)]
