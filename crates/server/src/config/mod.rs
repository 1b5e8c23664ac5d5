//! The configuration of a store: what a person writes ([`Raw`]), parsed into what cannot be wrong
//! ([`Config`]). Everything but this folder and the command line imports only the latter.
//!
//! Precedence: flags and `KONTIKI_*` variables (the command line fills a [`Raw`] from both) win
//! over the file: `flags.over(Raw::from_toml(&text)?).resolve()?`. Nothing here touches the disk,
//! the network or the environment.

mod raw;
mod resolved;

pub use raw::Raw;
pub use resolved::{Config, EngineKind};

/// Why a configuration is not one. Each message names the key and says what would do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is not TOML, or has a key that nobody knows, or a value of another kind.
    #[error("configuration file is not valid: {0}")]
    File(#[from] toml::de::Error),
    /// A key without default was given nowhere.
    #[error("`{key}` is missing: give {flag}, or set it in the file of --config")]
    Missing {
        /// The key in the file.
        key: &'static str,
        /// The flag, with a sample value.
        flag: &'static str,
    },
    /// A key has a value that cannot be meant.
    #[error("`{key}` is {value:?}: {wanted}")]
    Bad {
        /// The key in the file.
        key: &'static str,
        /// What was given.
        value: String,
        /// What would do.
        wanted: String,
    },
}
