//! Regions: raw key-value commands applied exactly once.

#![forbid(unsafe_code)]
