//! The disk of one peer: what is durable, and the operations on their way to it.
//!
//! A crash keeps what is durable and any prefix of what is on its way, never anything out of
//! order. Executes operations to the letter, and panics on one that no log could execute.

use std::collections::VecDeque;

use kontiki_types::{Entry, HardState, SnapshotMeta};

use crate::{Seq, StoreOp};

/// What a restart finds.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Term, vote, commit hint.
    pub hard_state: HardState,
    /// Where the log starts.
    pub snapshot: SnapshotMeta,
    /// The entries after.
    pub entries: Vec<Entry>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Disk {
    stored: Stored,
    on_the_way: VecDeque<StoreOp>,
}

impl Disk {
    /// A disk that holds this.
    pub fn new(stored: Stored) -> Self {
        Self { stored, on_the_way: VecDeque::new() }
    }

    /// What is durable.
    pub fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Operations on their way.
    pub fn pending(&self) -> usize {
        self.on_the_way.len()
    }

    /// Take an operation; durable with a later [`Disk::sync`].
    pub fn write(&mut self, op: StoreOp) {
        self.on_the_way.push_back(op);
    }

    /// Make the oldest operation durable; its number.
    pub fn sync(&mut self) -> Option<Seq> {
        let op = self.on_the_way.pop_front()?;
        let seq = op.seq;
        self.stored.execute(op);
        Some(seq)
    }

    /// Power is lost: the oldest `kept` operations reached the disk, the rest did not.
    pub fn crash(&mut self, kept: usize) {
        for _ in 0..kept {
            self.sync();
        }
        self.on_the_way.clear();
    }

    /// The log up to this position is dropped.
    pub fn compact(&mut self, snapshot: SnapshotMeta) {
        self.stored.entries.retain(|entry| entry.position.index > snapshot.position.index);
        self.stored.snapshot = snapshot;
    }
}

impl Stored {
    fn execute(&mut self, op: StoreOp) {
        if let Some(stored) = op.snapshot {
            let position = stored.meta.position;
            if stored.keep_tail {
                let holds = self.snapshot.position == position
                    || self.entries.iter().any(|entry| entry.position == position);
                assert!(holds, "keep the tail of {position}, which the disk does not hold");
                self.entries.retain(|entry| entry.position.index > position.index);
            } else {
                self.entries.clear();
            }
            self.snapshot = stored.meta;
        }
        if let Some(first) = op.entries.first() {
            let from = first.position.index;
            self.entries.retain(|entry| entry.position.index < from);
            let last =
                self.entries.last().map_or(self.snapshot.position.index, |e| e.position.index);
            assert_eq!(from, last.next(), "an append that leaves a gap");
        }
        self.entries.extend(op.entries);
        self.hard_state = op.hard_state.unwrap_or(self.hard_state);
    }
}
