//! Snapshots of library state machines: files in a directory per group.
//!
//! ```text
//! snapshots/<group>/<index>-<term>/manifest     what it stands for, every file with its checksum
//!                                 /<files>      as the state machine wrote them
//!                  /tmp-<n>/                    one being written; removed at the next start
//! ```
//!
//! A snapshot is written beside the others, synced file by file, and renamed into place: it is
//! there as a whole or not at all. Only then may the log below it go. Reading order: [`files`]
//! (the directory), [`writer`], [`reader`], [`stream`] (to and from other stores), [`keeper`]
//! (when), [`throttle`] (how fast).

pub(crate) mod files;
pub(crate) mod keeper;
mod reader;
pub(crate) mod stream;
pub(crate) mod throttle;
mod writer;

pub use reader::{SnapshotRead, SnapshotReader};
pub use writer::{SnapshotFile, SnapshotWriter};
