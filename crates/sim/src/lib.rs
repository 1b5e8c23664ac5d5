//! Whole clusters in virtual time, from one seed.

#![forbid(unsafe_code)]
