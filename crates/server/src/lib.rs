//! A store process: configuration, data directory, services, assembly.
//!
//! [`run`] is the whole of it: bring the store up, serve until told to stop, bring it down. This is
//! the only crate where engine, regions, host and network meet; what any of them decides is decided
//! in its own crate.
//!
//! | part | where |
//! |---|---|
//! | what the user may say | [`config`] |
//! | whose directory it is | `data_dir` |
//! | bringing it up and down | `node` |
//! | clients' streams | `service/kv`, `service/writes`, `service/reads`, `answers` |
//! | operators' questions | `service/admin` |
//! | one port for clients and stores | `front_door`, `peers` |

#![forbid(unsafe_code)]

mod answers;
pub mod config;
pub mod data_dir;
mod error;
mod front_door;
mod image_file;
mod known_stores;
mod leaders;
mod node;
mod orders;
mod peers;
mod random;
mod serve;
mod service;
mod wall_clock;

pub use config::{Config, EngineKind};
pub use data_dir::prepare_rejoin;
pub use error::Error;
pub use serve::run;
