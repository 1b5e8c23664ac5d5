//! A history: what clients asked, when, and how each request ended. Workloads build it as they run.
//!
//! The recorder decides nothing. It refuses only what would be a bug of the workload itself (ending
//! an operation twice, an answer that precedes its question, an answer of the wrong kind), because
//! a history with such a flaw would make the checker accuse the store of the workload's mistake.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

/// Who invoked an operation; only for reading explanations. A client whose operation ended unknown
/// may go on under the same number: the open operation does not hold back its later ones.
pub type Client = u64;

/// Names one operation of a [`History`], in the order of invocation records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpId(usize);

/// What a client asked of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Read the value.
    Get,
    /// Set the value, whatever it was.
    Put(Bytes),
    /// Remove the value, whatever it was.
    Delete,
    /// Set the value to `new` if it is `expect` now (`None`: if there is none).
    CompareAndPut {
        /// The value that must be there.
        expect: Option<Bytes>,
        /// The value that replaces it.
        new: Bytes,
    },
    /// Remove the value if it is this one now.
    CompareAndDelete(Bytes),
    /// Set the value if there is none.
    PutIfAbsent(Bytes),
    /// Set the value and report the one before.
    GetAndPut(Bytes),
}

/// What the client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It happened; nothing is said about the value.
    Done,
    /// The value just before the operation. `None`: there was none.
    Value(Option<Bytes>),
    /// Whether a conditional operation did something: a compare-and-put or put-if-absent that
    /// wrote, a delete that found a value.
    Applied(bool),
    /// Both of these; they must agree with each other too.
    Conditional {
        /// Whether it did something.
        applied: bool,
        /// The value just before it.
        previous: Option<Bytes>,
    },
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Unknown,
    Fail,
    Ok { outcome: Outcome, at: u64 },
}

/// One operation with its times.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) id: OpId,
    pub(super) client: Client,
    pub(super) operation: Operation,
    pub(super) invoked_at: u64,
    pub(super) end: End,
}

/// Everything a run's clients asked, by key.
///
/// Times are any numbers that grow: virtual nanoseconds, or better the sequence number of the
/// event. Operations that touch at the same number count as concurrent, so coarse times weaken the
/// check but never make it accuse wrongly.
#[derive(Clone, Debug)]
pub struct History<K> {
    records: Vec<(K, Record)>,
}

impl<K> Default for History<K> {
    fn default() -> Self {
        Self { records: Vec::new() }
    }
}

impl<K: Ord + Clone> History<K> {
    /// An empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records that `client` sent `operation` on `key` at time `t`. Until [`ok`](Self::ok) or
    /// [`fail`](Self::fail) names the returned id, the operation's end is unknown.
    pub fn invoke(&mut self, client: Client, key: K, operation: Operation, t: u64) -> OpId {
        let id = OpId(self.records.len());
        let record = Record { id, client, operation, invoked_at: t, end: End::Unknown };
        self.records.push((key, record));
        id
    }

    /// Records that the operation took effect and what the client was told, at time `t`.
    ///
    /// # Panics
    /// When the operation ended before, when `t` precedes its invocation, or when the outcome is of
    /// a kind the operation cannot have: all are bugs of the recorder.
    pub fn ok(&mut self, id: OpId, outcome: Outcome, t: u64) {
        let record = &mut self.records[id.0].1;
        assert_eq!(record.end, End::Unknown, "{id:?} ended before");
        assert!(t >= record.invoked_at, "{id:?} returned at {t}, invoked at {}", record.invoked_at);
        assert!(
            fits(&record.operation, &outcome),
            "{id:?}: {:?} cannot be answered by {outcome:?}",
            record.operation
        );
        record.end = End::Ok { outcome, at: t };
    }

    /// Records that the operation certainly did not happen and never will. A time-out is *not*
    /// that.
    ///
    /// # Panics
    /// When the operation ended before.
    pub fn fail(&mut self, id: OpId) {
        let record = &mut self.records[id.0].1;
        assert_eq!(record.end, End::Unknown, "{id:?} ended before");
        record.end = End::Fail;
    }

    /// How many operations were invoked.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True when nothing was invoked.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many operations ended ok: a run with few of them proves little, whatever the verdict.
    pub fn ok_count(&self) -> usize {
        self.records.iter().filter(|(_, record)| matches!(record.end, End::Ok { .. })).count()
    }

    #[cfg(test)]
    pub(super) fn record(&self, index: usize) -> &Record {
        &self.records[index].1
    }

    #[cfg(test)]
    pub(super) fn record_mut(&mut self, index: usize) -> &mut Record {
        &mut self.records[index].1
    }

    pub(super) fn by_key(&self) -> BTreeMap<&K, Vec<&Record>> {
        let mut keys: BTreeMap<&K, Vec<&Record>> = BTreeMap::new();
        for (key, record) in &self.records {
            keys.entry(key).or_default().push(record);
        }
        keys
    }
}

/// Whether an operation of this kind can be answered like that.
fn fits(operation: &Operation, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Value(_) => true,
        Outcome::Done => {
            matches!(operation, Operation::Put(_) | Operation::Delete | Operation::GetAndPut(_))
        }
        Outcome::Applied(_) | Outcome::Conditional { .. } => {
            !matches!(operation, Operation::Get | Operation::Put(_) | Operation::GetAndPut(_))
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} client {} {}", self.id.0, self.client, self.operation)?;
        match &self.end {
            End::Unknown => write!(f, " → unknown [{}..)", self.invoked_at),
            End::Fail => write!(f, " → fail [{}]", self.invoked_at),
            End::Ok { outcome, at } => write!(f, " → {outcome} [{}..{at}]", self.invoked_at),
        }
    }
}

impl Operation {
    /// The value it writes if it takes effect; `None` for a get and a delete.
    pub(super) fn written(&self) -> Option<&Bytes> {
        match self {
            Self::Get | Self::Delete | Self::CompareAndDelete(_) => None,
            Self::Put(value) | Self::PutIfAbsent(value) | Self::GetAndPut(value) => Some(value),
            Self::CompareAndPut { new, .. } => Some(new),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get => write!(f, "get"),
            Self::Put(value) => write!(f, "put {value:?}"),
            Self::Delete => write!(f, "delete"),
            Self::CompareAndPut { expect, new } => {
                write!(f, "compare-and-put {} to {new:?}", Shown(expect.as_ref()))
            }
            Self::CompareAndDelete(expect) => write!(f, "compare-and-delete {expect:?}"),
            Self::PutIfAbsent(value) => write!(f, "put-if-absent {value:?}"),
            Self::GetAndPut(value) => write!(f, "get-and-put {value:?}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => write!(f, "done"),
            Self::Value(value) => write!(f, "{}", Shown(value.as_ref())),
            Self::Applied(true) => write!(f, "applied"),
            Self::Applied(false) => write!(f, "not applied"),
            Self::Conditional { applied, previous } => {
                let word = if *applied { "applied" } else { "not applied" };
                write!(f, "{word} over {}", Shown(previous.as_ref()))
            }
        }
    }
}

/// A value or its absence, for people.
pub(super) struct Shown<'a>(pub(super) Option<&'a Bytes>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{value:?}"),
            None => write!(f, "nothing"),
        }
    }
}
