//! The fjall engine against the contract, real crashes, and damage.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod conformance;
