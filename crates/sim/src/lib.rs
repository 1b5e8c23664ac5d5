//! Whole clusters in virtual time, from one seed.
//!
//! Some stores with up to twenty groups, their disks, clocks and links, and some clients, on one
//! thread and one heap of things to happen. The stores run the very code of production below the
//! quiet line: log, engine, Raft, multiraft, region, and the codec's bytes between them. One seed
//! gives one run, byte for byte.
//!
//! | what | where |
//! |---|---|
//! | the loop and the phases of a run | `world`, `run` |
//! | what a seed chooses | [`options`], [`fault`] |
//! | the groups and their homes | [`cluster`] |
//! | a store machine, driven as `kontiki-host` drives it | [`machine`] |
//! | the links | [`network`], [`wire`] |
//! | clients and what they do | [`client`] |
//! | what must hold | [`check`], [`violation`] |
//! | rare states a sweep should reach | [`marks`] |
//! | mistakes on purpose, and what chance does not find | [`mutant`], [`script`] |
//! | a failing run in a few lines | [`schedule`], [`shrink`] |
//! | found bugs, kept for ever | `scenarios` |
//!
//! The binary: `run SEED --trace` tells one run, `sweep --seeds A..B --minutes M` judges many.

#![forbid(unsafe_code)]

pub mod check;
pub mod client;
pub mod clock;
pub mod cluster;
mod demand;
pub mod env;
pub mod fault;
pub mod habits;
pub mod limits;
mod lull;
pub mod machine;
pub mod marks;
pub mod mutant;
pub mod network;
pub mod options;
pub mod queue;
pub mod run;
pub mod schedule;
pub mod script;
pub mod shrink;
pub mod trace;
pub mod violation;
pub mod wire;
pub mod world;

#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod tests;

pub use options::Options;
pub use run::{Report, run};
