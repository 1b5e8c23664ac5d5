//! What can go wrong in an engine.
//!
//! All of it is the world (disk, damage), never the caller: an absent key is `None`, an inverted
//! range is empty. A failed write or sync is final for the engine; see [`Error::Poisoned`].

use std::error::Error as StdError;

/// A failure of the storage below.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The storage library or the operating system refused an operation.
    #[error("storage engine could not {action}: {source}")]
    Backend {
        /// What was tried, as a verb phrase: "write a batch".
        action: &'static str,
        /// Why not, as the layer below tells it.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Stored bytes do not pass their check: they were changed by someone else than the engine.
    #[error("stored data is damaged: {what}; restore this store from its peers")]
    Damaged {
        /// What was found, and where.
        what: String,
    },
    /// An earlier write or sync failed, so nobody knows what is on disk: restart the process.
    #[error("storage engine stopped after a failed write ({reason}); restart this store")]
    Poisoned {
        /// The failure that poisoned the engine.
        reason: String,
    },
}

impl Error {
    /// Wraps a failure of the layer below; `action` is a verb phrase ("write a batch").
    pub fn backend(
        action: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Backend { action, source: source.into() }
    }

    /// Stored bytes that fail their check.
    pub fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}
