//! A store process: configuration, services, assembly.

#![forbid(unsafe_code)]

pub mod config;

pub use config::{Config, EngineKind};
