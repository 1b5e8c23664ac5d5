//! What a caller of the client gets to know when a call fails, and what to do next.
//!
//! For a write the first question is always the same: did it happen? [`Error::outcome_unknown`]
//! answers it; when it says no, nothing was changed.

use kontiki_types::{RegionId, StoreId};

/// Why a call failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Time ran out. If the outcome is unknown, the write may have happened or may still happen:
    /// read before deciding. Otherwise nothing was changed and the call may be made again.
    #[error(
        "deadline passed{}; last seen: {last}",
        if *.outcome_unknown { "; the write may or may not have happened, read to find out" } else { "" }
    )]
    Deadline {
        /// The write may have happened, or may still happen.
        outcome_unknown: bool,
        /// What went wrong last.
        last: String,
    },
    /// The write may have happened and cannot be retried safely: read before deciding.
    #[error("outcome unknown: {why}; the write may or may not have happened, read to find out")]
    OutcomeUnknown {
        /// Why nobody knows.
        why: String,
    },
    /// A limit was broken; nothing was changed. Make it smaller.
    #[error("{what} too large: {actual} bytes or items, at most {limit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// How large it may be.
        limit: u64,
        /// How large it was.
        actual: u64,
    },
    /// The keys of a batch lie in several regions, so it cannot be atomic; nothing was changed.
    /// Use `write_each`, or choose keys that stay together.
    #[error("batch spans regions beyond {region}, so it cannot be atomic; use write_each instead")]
    NotAtomic {
        /// The region of the first key.
        region: RegionId,
    },
    /// The request makes no sense; nothing was changed.
    #[error("invalid request: {message}")]
    Invalid {
        /// Why.
        message: String,
    },
    /// Too much is under way; nothing was changed. Try again later, or with fewer calls at once.
    #[error("busy: {why}; try again later, or with fewer calls at once")]
    Busy {
        /// Which queue is full.
        why: String,
    },
    /// Nobody could serve the call; nothing was changed. Check the endpoints and `kontiki status`.
    #[error("unavailable: {why}; check the endpoints and `kontiki status`")]
    Unavailable {
        /// Why.
        why: String,
    },
    /// An operator's order was refused by the store that was asked.
    #[error("refused by {store}: {why}")]
    Refused {
        /// Who refused; `s0` when an endpoint was asked whose store is not known.
        store: StoreId,
        /// Why.
        why: String,
    },
    /// The last handle of the client was dropped while the call was under way.
    #[error("the client was closed while the call was under way")]
    Closed,
}

impl Error {
    /// True when a write may have happened in spite of this error.
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::Deadline { outcome_unknown, .. } => *outcome_unknown,
            // A write that was under way when the client closed may have reached a store.
            Self::OutcomeUnknown { .. } | Self::Closed => true,
            _ => false,
        }
    }

    /// True when the same call may succeed later and nothing was changed so far.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Unavailable { .. } => true,
            Self::Deadline { outcome_unknown, .. } => !outcome_unknown,
            _ => false,
        }
    }
}
