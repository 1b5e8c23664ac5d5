//! Reads of a follower, on their way to the leader and back.
//!
//! Reads that come in one round share one question. A question has a number that is never used
//! again: an answer to an earlier one, late on the network, would otherwise vouch for a read that
//! came after it (etcd#20418). An unanswered question fails after an election timeout; all fail
//! when leader or term change.

use std::collections::VecDeque;

use kontiki_types::{Body, Index, Moment, PeerId};

use crate::shared::Shared;
use crate::{ReadError, ReadId};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Forwarded {
    /// Reads for the next question, and the latest moment to answer them.
    queued: Vec<ReadId>,
    queued_deadline: Moment,
    /// Questions asked, oldest first.
    asked: VecDeque<Question>,
    /// Reads in both.
    count: usize,
}

#[derive(Debug)]
struct Question {
    number: u64,
    reads: Vec<ReadId>,
    deadline: Moment,
}

impl Forwarded {
    /// One more read.
    pub(crate) fn push(
        &mut self,
        shared: &Shared,
        id: ReadId,
        now: Moment,
    ) -> Result<(), ReadError> {
        if self.count >= shared.config.reads_max {
            return Err(ReadError::Busy);
        }
        self.count += 1;
        self.queued.push(id);
        self.queued_deadline = now + shared.config.election_timeout;
        Ok(())
    }

    /// End of a round: ask.
    pub(crate) fn flush(&mut self, shared: &mut Shared, leader: PeerId) {
        if self.queued.is_empty() {
            return;
        }
        let number = shared.next_read_number();
        let reads = std::mem::take(&mut self.queued);
        self.asked.push_back(Question { number, reads, deadline: self.queued_deadline });
        shared.send(leader, Body::ReadIndex { id: number });
    }

    /// The leader answered; an unknown number was given up already.
    pub(crate) fn on_reply(&mut self, shared: &mut Shared, number: u64, index: Option<Index>) {
        let Some(at) = self.asked.iter().position(|question| question.number == number) else {
            return;
        };
        let question = self.asked.remove(at).expect("position is in range");
        self.forget(question.reads.len());
        match index {
            Some(index) => {
                question.reads.iter().for_each(|&id| shared.outbox.release_read(id, index));
            }
            None => shared.outbox.fail_reads(question.reads),
        }
    }

    /// Give up what was not answered in time.
    pub(crate) fn on_time(&mut self, shared: &mut Shared, now: Moment) {
        while self.asked.front().is_some_and(|question| question.deadline <= now) {
            let question = self.asked.pop_front().expect("front was seen");
            self.forget(question.reads.len());
            shared.outbox.fail_reads(question.reads);
        }
    }

    /// When the oldest question is given up.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.asked.front().map(|question| question.deadline)
    }

    /// All of them, to be failed.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = ReadId> {
        let Self { queued, asked, .. } = std::mem::take(self);
        asked.into_iter().flat_map(|question| question.reads).chain(queued)
    }

    fn forget(&mut self, count: usize) {
        assert!(count <= self.count, "{count} reads end, {} are known", self.count);
        self.count -= count;
    }
}
