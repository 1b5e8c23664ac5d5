//! A batch: the unit of atomicity.
//!
//! Whoever applies commands collects the rows of many regions here and hands the whole to
//! [`Engine::write`](crate::Engine::write). Operations take effect in the order they were added,
//! so a later one on the same key wins. A batch never reads and never fails.

use bytes::Bytes;

use crate::Family;
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// One operation of a [`Batch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Set the value of a key, whatever was there.
    Put {
        /// Where.
        family: Family,
        /// Which row.
        key: Bytes,
        /// The value; may be empty.
        value: Bytes,
    },
    /// Remove a key; a key that is absent stays absent.
    Delete {
        /// Where.
        family: Family,
        /// Which row.
        key: Bytes,
    },
}

impl Op {
    /// The family the operation touches.
    pub const fn family(&self) -> Family {
        match self {
            Self::Put { family, .. } | Self::Delete { family, .. } => *family,
        }
    }

    /// The key the operation touches.
    pub const fn key(&self) -> &Bytes {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } => key,
        }
    }
}

/// Operations that take effect together or not at all, in the order they were added.
///
/// ```
/// use kontiki_engine::{Batch, Family};
///
/// let mut batch = Batch::default();
/// batch.put(Family::Default, "key", "first");
/// batch.put(Family::Default, "key", "second"); // wins
/// batch.delete(Family::Meta, "old");
/// assert_eq!(batch.len(), 3);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    ops: Vec<Op>,
    /// Sum of key and value lengths, kept so that callers can bound a batch cheaply.
    bytes: usize,
}

impl Batch {
    /// An empty batch with room for some operations.
    pub fn with_capacity(op_count: usize) -> Self {
        Self { ops: Vec::with_capacity(op_count), bytes: 0 }
    }

    /// Adds "set this key to this value".
    ///
    /// # Panics
    ///
    /// When the key is empty or longer than [`KEY_BYTES_MAX`], or the value longer than
    /// [`VALUE_BYTES_MAX`]: such input is refused by whoever accepts requests.
    pub fn put(&mut self, family: Family, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        assert_key(&key);
        assert!(value.len() <= VALUE_BYTES_MAX, "value of {} bytes", value.len());
        self.bytes += key.len() + value.len();
        self.ops.push(Op::Put { family, key, value });
    }

    /// Adds "remove this key".
    ///
    /// # Panics
    ///
    /// When the key is empty or longer than [`KEY_BYTES_MAX`].
    pub fn delete(&mut self, family: Family, key: impl Into<Bytes>) {
        let key = key.into();
        assert_key(&key);
        self.bytes += key.len();
        self.ops.push(Op::Delete { family, key });
    }

    /// Moves the operations of another batch behind those of this one.
    pub fn append(&mut self, other: Self) {
        self.bytes += other.bytes;
        if self.ops.is_empty() {
            self.ops = other.ops;
        } else {
            self.ops.extend(other.ops);
        }
    }

    /// The operations, in the order they take effect.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The operations by value, in the order they take effect.
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Sum of the lengths of all keys and values, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Forgets all operations and keeps the memory.
    pub fn clear(&mut self) {
        self.ops.clear();
        self.bytes = 0;
    }
}

/// Every engine can rely on this: no batch carries a key some engine could not store.
fn assert_key(key: &Bytes) {
    assert!(!key.is_empty(), "empty key in a batch");
    assert!(key.len() <= KEY_BYTES_MAX, "key of {} bytes in a batch", key.len());
}

#[cfg(test)]
mod tests {
    use super::{Batch, Op};
    use crate::Family;

    #[test]
    fn append_keeps_the_order_and_the_size() {
        let mut first = Batch::default();
        first.put(Family::Default, "a", "123");
        let mut second = Batch::default();
        second.delete(Family::Lock, "bc");
        second.put(Family::Meta, "d", "");

        first.append(second);

        let keys: Vec<_> = first.ops().iter().map(Op::key).cloned().collect();
        assert_eq!(keys, ["a", "bc", "d"]);
        assert_eq!(first.bytes(), 1 + 3 + 2 + 1);
        first.clear();
        assert!(first.is_empty());
        assert_eq!(first.bytes(), 0);
    }
}
