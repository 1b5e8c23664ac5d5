//! The library as its users meet it: whole hosts in this process, over the memory network.

mod acceptance;
mod acceptance_cli;
mod addresses;
mod bounds;
mod callbacks;
mod cluster;
mod destroyed;
mod examples;
mod failures;
mod host_threads;
mod last_handle;
mod machine;
mod membership;
mod metrics;
mod network;
mod priorities;
mod schedule;
mod snapshots;
mod writes_and_reads;
