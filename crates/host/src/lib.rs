//! Threads, the log writer, apply workers, transport: a NodeHost of many groups.

#![forbid(unsafe_code)]
