//! End-to-end tests: the real binary, real sockets, kill -9.

#![forbid(unsafe_code)]
