//! What can go wrong with the log, in words an operator can act on.
//!
//! All of these are the world's doing (the disk, the directory, the version); what only a bug can
//! cause asserts instead. Damage found at recovery is no error: it is reported per group in
//! [`crate::Recovered`], because one damaged group must not stop the others.

use std::io;

/// Why the log could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk refused an operation. A failed write may be tried again with the same records.
    #[error("cannot {operation} {name}: {source}; check the disk and its free space")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file of the log directory; empty for the directory itself.
        name: String,
        /// What the disk said.
        source: io::Error,
    },
    /// An earlier sync failed. What the disk holds is unknown, so nothing may be acknowledged any
    /// more: the process must exit and recover.
    #[error("the log refused further work after a failed sync; restart this store")]
    Poisoned,
    /// One entry is larger than a segment can hold.
    #[error(
        "a frame of {bytes} bytes does not fit a segment, which takes {max}; raise segment_bytes"
    )]
    TooLarge {
        /// Bytes it would need.
        bytes: u64,
        /// Bytes a segment takes.
        max: u64,
    },
    /// The directory was written by a newer release. Nothing was changed.
    #[error(
        "{name} has log format {found}, this release reads up to {supported}; start the newer release"
    )]
    Version {
        /// The file.
        name: String,
        /// Its format version.
        found: u32,
        /// The newest this code reads.
        supported: u32,
    },
    /// Two valid frames claim the same place in the log: files of different logs were mixed.
    #[error("{name} holds frame {found} after frame {last}; files of different logs are mixed")]
    Mixed {
        /// The file.
        name: String,
        /// Sequence number found.
        found: u64,
        /// Sequence number before it.
        last: u64,
    },
    /// The group was damaged and awaits its refill; only `Forget` is accepted for it.
    #[error("the log of {group} is quarantined; forget the group and refill it by snapshot")]
    Quarantined {
        /// Which group.
        group: kontiki_types::RegionId,
    },
    /// Entries that were durable cannot be read back. A restart finds what else is damaged, and
    /// keeps those groups out of it.
    #[error("entries of {group} in the log are damaged; restart this store, it then refills them")]
    Damaged {
        /// Which group.
        group: kontiki_types::RegionId,
    },
    /// A configuration value is out of range.
    #[error("{name} is {value}, must be {expected}")]
    Config {
        /// Name of the setting.
        name: &'static str,
        /// Its value.
        value: u64,
        /// What it must be.
        expected: &'static str,
    },
}

impl Error {
    /// Wraps what the disk said.
    pub(crate) fn io(operation: &'static str, name: &str, source: io::Error) -> Self {
        Self::Io { operation, name: name.to_owned(), source }
    }

    /// True when the same call may succeed later on this very log: space may be freed, a write
    /// may be tried again. Everything else needs an operator or a restart.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Io { .. })
    }
}
