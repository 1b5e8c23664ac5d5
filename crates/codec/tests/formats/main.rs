//! Everything the formats promise, seen from outside: round trips, refusals, frozen bytes.

mod generate;
mod golden;
mod refusal;
mod round_trip;
