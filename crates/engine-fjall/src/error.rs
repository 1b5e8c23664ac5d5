//! What can keep a directory from being opened, and how the tree's errors are told apart.
//!
//! Opening has an enum of its own, because each case has its own remedy and an operator reads it.
//! What fails later is an [`kontiki_engine::Error`], as with every engine.

use std::path::{Path, PathBuf};

use kontiki_engine::Error as EngineError;

/// Why a directory could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another engine has it open, in this process or another one.
    #[error(
        "data directory {} is in use; stop the other process or choose another directory",
        .directory.display()
    )]
    InUse {
        /// Which directory.
        directory: PathBuf,
    },
    /// It was written by another version of the storage library.
    #[error(
        "data directory {} has another format ({found}); \
         open it with the version of kontiki that wrote it",
        .directory.display()
    )]
    Format {
        /// Which directory.
        directory: PathBuf,
        /// The version found, as the library tells it.
        found: String,
    },
    /// Its content does not pass its checks.
    #[error(
        "data directory {} is damaged ({what}); \
         move the store's data away and give it a new directory by `kontiki rejoin`: \
         its peers refill it",
        .directory.display()
    )]
    Damaged {
        /// Which directory.
        directory: PathBuf,
        /// What was found.
        what: String,
    },
    /// The operating system refused.
    #[error("could not open data directory {}: {source}", .directory.display())]
    Io {
        /// Which directory.
        directory: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What an error of the tree while opening means.
pub(crate) fn open_error(directory: &Path, error: lsm_tree::Error) -> Error {
    let directory = directory.to_path_buf();
    match error {
        lsm_tree::Error::InvalidVersion(version) => {
            Error::Format { directory, found: format!("storage format {version}") }
        }
        lsm_tree::Error::Io(source) => Error::Io { directory, source },
        other => Error::Damaged { directory, what: other.to_string() },
    }
}

/// What an error of the tree of an open engine means; `action` is a verb phrase.
pub(crate) fn engine_error(action: &'static str, error: lsm_tree::Error) -> EngineError {
    match error {
        lsm_tree::Error::Io(source) => EngineError::backend(action, source),
        damage => EngineError::damaged(format!("could not {action}: {damage}")),
    }
}
