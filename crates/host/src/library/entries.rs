//! The batch a state machine applies: tasks in log order, each with its completion on the node
//! where it was submitted.

use std::sync::Arc;

use bytes::Bytes;
use kontiki_multiraft::{Committed, CommittedKind, Payloads, PayloadsIter, Token};
use kontiki_types::{Index, Position, Term};

use super::task::{BatchEnd, Done};
use crate::waiters::Waiters;

/// One task that is committed.
#[derive(Debug)]
pub struct AppliedTask {
    /// Where its entry stands in the log of the group.
    pub index: Index,
    /// Its place within the entry: tasks that were submitted together share one. `(index, slot)`
    /// names a task for ever and only grows.
    pub slot: u32,
    /// Term of the leader that appended it.
    pub term: Term,
    /// What was submitted.
    pub data: Bytes,
    /// Whom to tell; only on the node where the task was submitted, and only if someone waits.
    pub done: Option<Done>,
}

/// The tasks of one batch. A state machine must take all of them.
#[derive(Debug)]
pub struct Entries<'a> {
    run: std::slice::Iter<'a, Committed>,
    /// Of the entry at hand; nothing before the first.
    payloads: Option<std::iter::Enumerate<PayloadsIter<'a>>>,
    position: Position,
    dones: std::vec::IntoIter<Option<Done>>,
    left: usize,
}

impl<'a> Entries<'a> {
    /// The tasks of these entries, which are all of the normal kind. Everyone who waits for one is
    /// taken out of `waiters`, and told of the commit.
    pub(crate) fn new(entries: &'a [Committed], waiters: &Waiters, batch: &Arc<BatchEnd>) -> Self {
        let tokens: Vec<Option<Token>> =
            entries.iter().filter_map(payloads_of).flatten().map(|payload| payload.token).collect();
        let left = tokens.len();
        let mut dones = waiters.take_tasks(&tokens);
        for done in dones.iter_mut().flatten() {
            done.committed(batch);
        }
        Self {
            run: entries.iter(),
            payloads: None,
            position: Position::ZERO,
            dones: dones.into_iter(),
            left,
        }
    }

    /// Tasks that were not taken yet.
    pub fn remaining(&self) -> usize {
        self.left
    }
}

impl Iterator for Entries<'_> {
    type Item = AppliedTask;

    fn next(&mut self) -> Option<AppliedTask> {
        loop {
            if let Some((slot, payload)) = self.payloads.as_mut().and_then(Iterator::next) {
                self.left -= 1;
                return Some(AppliedTask {
                    index: self.position.index,
                    slot: u32::try_from(slot).unwrap_or(u32::MAX),
                    term: self.position.term,
                    data: payload.to_bytes(),
                    done: self.dones.next().flatten(),
                });
            }
            let entry = self.run.next()?;
            self.position = entry.position;
            self.payloads = payloads_of(entry).map(|payloads| payloads.iter().enumerate());
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Entries<'_> {}

fn payloads_of(entry: &Committed) -> Option<&Payloads> {
    match &entry.kind {
        CommittedKind::Normal(payloads) => Some(payloads),
        CommittedKind::Empty | CommittedKind::Config(_) => None,
    }
}
