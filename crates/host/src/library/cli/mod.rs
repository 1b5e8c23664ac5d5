//! Administration over the network: JRaft's CliService and RouteTable, and the server behind them.
//!
//! An operator's tool talks to any store of a group; what only the leader can do is sent to the
//! leader. The protocol is `kontiki_codec::admin`.

mod connection;
mod route_table;
pub(super) mod server;
mod service;

pub use route_table::RouteTable;
pub use service::{CliOptions, CliService};

pub(super) use connection::tell;
