//! Ranges of keys: half open, ordered by bytes, unbounded above when there is no end.

use std::fmt;

use bytes::Bytes;

/// The keys `start <= key < end`; an empty `start` is the least key, no `end` means no bound.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KeyRange {
    /// First key of the range.
    pub start: Bytes,
    /// First key after the range.
    pub end: Option<Bytes>,
}

impl KeyRange {
    /// Every key there is.
    pub fn all() -> Self {
        Self::default()
    }

    /// `[start, end)`.
    pub fn new(start: impl Into<Bytes>, end: Option<Bytes>) -> Self {
        Self { start: start.into(), end }
    }

    /// True when the key lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_ref() && self.end.as_ref().is_none_or(|end| key < end.as_ref())
    }

    /// True when every key of `other` lies in this range; an empty range lies in any.
    pub fn contains_range(&self, other: &Self) -> bool {
        other.is_empty()
            || (self.start <= other.start
                && match (&self.end, &other.end) {
                    (None, _) => true,
                    (Some(_), None) => false,
                    (Some(mine), Some(theirs)) => theirs <= mine,
                })
    }

    /// True when some key lies in both ranges.
    pub fn overlaps(&self, other: &Self) -> bool {
        let begins_in = |one: &Self, two: &Self| !one.is_empty() && two.contains(&one.start);
        begins_in(self, other) || begins_in(other, self)
    }

    /// True when no key lies in the range.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

impl fmt::Debug for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, ", self.start.escape_ascii())?;
        match &self.end {
            Some(end) => write!(f, "{})", end.escape_ascii()),
            None => write!(f, "∞)"),
        }
    }
}
