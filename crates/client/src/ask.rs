//! What the pure part of the client is asked, what it says to stores, and what they say back.
//!
//! Full keys everywhere. The core speaks these words to both sides; the shell turns
//! them into `kontiki_proto` messages, the simulator hands them to its stores directly.

use bytes::Bytes;
use kontiki_types::{
    ClientId, Command, Epoch, KeyRange, Outcome, Region, RegionId, RequestId, StoreId, Term,
};

use crate::ReadMode;

/// One call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// A change. A range deletion is cut at the end of the region that its start lies in.
    Write(Command),
    /// A question.
    Read(Read, ReadMode),
}

/// One question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Read {
    /// One key.
    Get(Bytes),
    /// A range; cut at the end of the region that its first key lies in.
    Scan(Scan),
}

/// A range in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scan {
    /// Which keys.
    pub range: KeyRange,
    /// In which order.
    pub direction: Direction,
    /// Most rows; 0 means the server's limit.
    pub row_limit: u32,
    /// Whether values are wanted.
    pub columns: Columns,
}

/// The order of a scan.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Direction {
    /// From the least key to the greatest.
    #[default]
    Forward,
    /// From the greatest key to the least.
    Reverse,
}

/// What a scan reads of each row.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Columns {
    /// Key and value.
    #[default]
    KeysAndValues,
    /// Only the key.
    Keys,
}

/// What became of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Got {
    /// Of a write; never [`Outcome::Refused`] or [`Outcome::Removed`].
    Outcome(Outcome),
    /// Of a range deletion: so many keys, and the part of the range that is still to do.
    Removed {
        /// Keys removed.
        count: u64,
        /// What lies in other regions.
        rest: Option<KeyRange>,
    },
    /// Of a get.
    Value(Option<Bytes>),
    /// Of a scan: rows, and the part of the range that is still to read.
    Rows {
        /// Keys and values.
        rows: Vec<(Bytes, Bytes)>,
        /// What comes after the rows, in the order of the scan.
        rest: Option<KeyRange>,
    },
}

/// Requests of one kind to one region.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// Number of the batch, never used twice by one client.
    pub id: u64,
    /// To which region.
    pub region: RegionId,
    /// The epoch under which it was routed.
    pub epoch: Epoch,
    /// How long an answer is of use.
    pub timeout_ms: u32,
    /// What is asked.
    pub body: Body,
}

/// What a batch asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// Changes.
    Writes {
        /// The session.
        client: ClientId,
        /// Every request below this is over.
        lowest: RequestId,
        /// An unknown session shall be opened.
        open: bool,
        /// The changes.
        commands: Vec<(RequestId, Command)>,
    },
    /// Questions.
    Reads {
        /// How fresh.
        mode: ReadMode,
        /// The questions.
        reads: Vec<Read>,
    },
}

/// The answer to one batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Number of the batch.
    pub id: u64,
    /// What became of it.
    pub body: AnswerBody,
}

/// What became of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AnswerBody {
    /// One per write; what could not be read is nothing, and then its outcome is unknown.
    Outcomes(Vec<Option<Outcome>>),
    /// One per read.
    Found(Vec<Result<Found, Trouble>>),
    /// All of it failed.
    Failed(Trouble),
}

/// The result of one read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// Of a get.
    Value(Option<Bytes>),
    /// Of a scan.
    Rows {
        /// Keys and values.
        rows: Vec<(Bytes, Bytes)>,
        /// A limit was reached before the range was exhausted.
        more: bool,
    },
}

/// Why a store did not serve a batch or a read. Unless it is [`Trouble::Unknown`] or
/// [`Trouble::Garbled`], nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Another store leads.
    NotLeader {
        /// Who, with its address, if known.
        leader: Option<(StoreId, String)>,
        /// The term of that claim; 0 when not known.
        term: Term,
    },
    /// The region changed; these are the current descriptors.
    EpochNotMatch(Vec<Region>),
    /// The store has no such region.
    RegionNotFound,
    /// A key lies outside; this is the region now, if it was said.
    KeyNotInRegion(Option<Region>),
    /// A queue is full.
    Busy {
        /// Which.
        reason: String,
        /// When to come back; 0: as the client likes.
        retry_after_ms: u32,
    },
    /// A limit was broken.
    TooLarge {
        /// What is too large.
        what: String,
        /// How large it may be.
        limit: u64,
        /// How large it was.
        actual: u64,
    },
    /// The request makes no sense.
    Invalid(String),
    /// It may or may not have happened.
    Unknown(String),
    /// The session is not known.
    SessionUnknown,
    /// The store cannot serve now.
    Unavailable(String),
    /// The answer could not be read: a newer server, or a bug.
    Garbled(String),
}
