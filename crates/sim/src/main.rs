//! Entry point.

#![forbid(unsafe_code)]

fn main() {}
