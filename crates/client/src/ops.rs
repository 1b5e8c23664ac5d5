//! What a caller can ask for, and what comes back: plain data, with user keys.

use bytes::Bytes;

/// One operation, for [`crate::Client::submit`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Read a key: [`Reply::Value`].
    Get {
        /// Key.
        key: Bytes,
    },
    /// Store a value: [`Reply::Done`].
    Put {
        /// Key.
        key: Bytes,
        /// Value.
        value: Bytes,
    },
    /// Remove a key: [`Reply::Done`].
    Delete {
        /// Key.
        key: Bytes,
    },
    /// All or nothing: [`Reply::Done`].
    Batch(Batch),
    /// Store a value if the key is missing: [`Reply::Swap`].
    PutIfAbsent {
        /// Key.
        key: Bytes,
        /// Value.
        value: Bytes,
    },
    /// Replace a value that is as expected: [`Reply::Swap`].
    CompareAndPut {
        /// Key.
        key: Bytes,
        /// The value it must have; nothing: the key must be missing.
        expect: Option<Bytes>,
        /// The value it gets; nothing: the key is deleted.
        update: Option<Bytes>,
    },
}

/// What came of an [`Op`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Done.
    Done,
    /// The value, if the key has one.
    Value(Option<Bytes>),
    /// What a conditional write found.
    Swap(Swap),
}

/// What a conditional write found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Swap {
    /// It took effect.
    pub applied: bool,
    /// The value before.
    pub previous: Option<Bytes>,
}

/// One row of a scan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// User key.
    pub key: Bytes,
    /// Value; empty when only keys were asked for.
    pub value: Bytes,
}

/// Puts and deletes, in order.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Batch {
    pub(crate) changes: Vec<(Bytes, Option<Bytes>)>,
}

impl Batch {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a put.
    #[must_use]
    pub fn put(mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.push(key, Some(value.into()));
        self
    }

    /// Adds a delete.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Bytes>) -> Self {
        self.push(key, None);
        self
    }

    /// Adds a put, or a delete when there is no value.
    pub fn push(&mut self, key: impl Into<Bytes>, value: Option<Bytes>) {
        self.changes.push((key.into(), value));
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}
