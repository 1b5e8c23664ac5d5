//! The four families of rows an engine keeps apart.
//!
//! A family is its own ordered key space; one [`Batch`](crate::Batch) may write to all of them
//! atomically. What the rows mean is decided above (see the key space in ARCHITECTURE.md §4);
//! the engine only promises that equal keys in two families never meet.

use std::fmt;

/// One of the four ordered key spaces of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// User data: raw values, sequences, locks as a service, transactional values.
    Default,
    /// Percolator locks of transactional data.
    Lock,
    /// Percolator commit records of transactional data.
    Write,
    /// The store's own rows: identity, region descriptors, apply state, client sessions.
    Meta,
}

impl Family {
    /// Every family, in the order of [`Family::index`].
    pub const ALL: [Self; Self::COUNT] = [Self::Default, Self::Lock, Self::Write, Self::Meta];

    /// How many families there are.
    pub const COUNT: usize = 4;

    /// Position in [`Family::ALL`], 0-based; stable, because images on disk carry it.
    pub const fn index(self) -> usize {
        match self {
            Self::Default => 0,
            Self::Lock => 1,
            Self::Write => 2,
            Self::Meta => 3,
        }
    }

    /// The name an adapter gives to the family on disk; stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Lock => "lock",
            Self::Write => "write",
            Self::Meta => "meta",
        }
    }

    /// The family at a position, or `None` when there is none (damaged input).
    pub const fn from_index(index: usize) -> Option<Self> {
        match index {
            0 => Some(Self::Default),
            1 => Some(Self::Lock),
            2 => Some(Self::Write),
            3 => Some(Self::Meta),
            _ => None,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Family;

    #[test]
    fn index_is_the_position_in_all() {
        for (position, family) in Family::ALL.into_iter().enumerate() {
            assert_eq!(family.index(), position);
            assert_eq!(Family::from_index(position), Some(family));
        }
        assert_eq!(Family::from_index(Family::COUNT), None);
    }
}
