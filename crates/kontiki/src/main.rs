//! The `kontiki` binary: parses the command line and calls the libraries. No logic of its own.

#![forbid(unsafe_code)]

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {}
