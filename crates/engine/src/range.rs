//! Half-open ranges of keys, as scans and range deletes take them.
//!
//! Always `[start, end)`: the end is never part of the range. That is the only form, so that
//! neighbouring ranges (regions) share no key and leave no gap.

use std::fmt;

use bytes::Bytes;

/// The keys from `start` (included) up to `end` (excluded; `None` is "to the end").
///
/// An inverted range (`end` before `start`) is empty, not an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The first key that may be in the range; empty is "from the beginning".
    pub start: Bytes,
    /// The first key that is not in the range any more; `None` is unbounded.
    pub end: Option<Bytes>,
}

impl Range {
    /// The range `[start, end)`.
    pub fn new(start: impl Into<Bytes>, end: Option<Bytes>) -> Self {
        Self { start: start.into(), end }
    }

    /// Every key.
    pub const fn all() -> Self {
        Self { start: Bytes::new(), end: None }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        // The end is the prefix with its last byte below 0xff incremented and the rest cut off;
        // a prefix of only 0xff has nothing behind it.
        let end = prefix.iter().rposition(|&byte| byte != u8::MAX).map(|last| {
            let mut end = prefix.iter().copied().take(last + 1).collect::<Vec<u8>>();
            if let Some(byte) = end.last_mut() {
                *byte += 1;
            }
            Bytes::from(end)
        });
        Self { start: Bytes::copy_from_slice(prefix), end }
    }

    /// Whether a key is in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.start[..] && self.end.as_ref().is_none_or(|end| key < &end[..])
    }

    /// Whether no key can be in the range.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, ", self.start.escape_ascii())?;
        match &self.end {
            Some(end) => write!(f, "{})", end.escape_ascii()),
            None => f.write_str("∞)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Range;

    #[test]
    fn prefix_ends_before_the_next_prefix() {
        assert_eq!(Range::prefix(b"ab").end.as_deref(), Some(&b"ac"[..]));
        assert_eq!(Range::prefix(b"a\xff\xff").end.as_deref(), Some(&b"b"[..]));
        assert_eq!(Range::prefix(b"\xff\xff").end, None);
        assert_eq!(Range::prefix(b""), Range::all());
    }

    #[test]
    fn end_is_excluded_and_inverted_is_empty() {
        let range = Range::new("b", Some(Bytes::from("d")));
        assert!(range.contains(b"b") && range.contains(b"c\xff"));
        assert!(!range.contains(b"a") && !range.contains(b"d"));
        assert!(Range::new("d", Some(Bytes::from("b"))).is_empty());
        assert!(Range::new("d", Some(Bytes::from("d"))).is_empty());
        assert!(!Range::all().is_empty());
        assert_eq!(range.to_string(), "[b, d)");
    }
}
