//! The wire messages clients see (kontiki.v1). No logic.

#![forbid(unsafe_code)]
