//! What became of one command. Kept with the region for retries, so it must be small.

use bytes::Bytes;

use crate::Region;

/// The result of one command of a [`crate::WriteBatch`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Done; nothing to tell.
    Done,
    /// The range is gone: this many keys were removed.
    Removed(u64),
    /// A conditional write: whether it took effect, and the value that was there before.
    Conditional {
        /// It took effect.
        applied: bool,
        /// The value before.
        previous: Option<Bytes>,
    },
    /// Nothing was changed, for this reason.
    Refused(Refusal),
}

/// Why a write was refused at apply. The same on every replica; never an engine failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The region changed since the client routed; these are the current descriptors.
    EpochNotMatch(Vec<Region>),
    /// A key of the command does not belong to the region.
    KeyNotInRegion,
    /// The session is not known here (expired, or never opened): outcome of earlier tries unknown.
    SessionUnknown,
    /// The request is below the session's lowest outstanding id: it was answered before.
    RequestForgotten,
    /// The session has more outcomes outstanding than are kept.
    SessionFull,
    /// The command broke a limit that propose should have checked; it changes nothing.
    Invalid,
}
