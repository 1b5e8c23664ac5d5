//! Reads of a follower, on their way to the leader and back.
//!
//! Reads that come in one round share one question. A question has a number that is never used
//! again: an answer to an earlier one, late on the network, would otherwise vouch for a read that
//! came after it (etcd#20418). An unanswered question fails after an election timeout; all fail
//! when leader or term change.

use std::collections::VecDeque;

use kontiki_types::{Body, Index, Moment, PeerId, ReadMode};

use crate::shared::Shared;
use crate::{ReadError, ReadId};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Forwarded {
    /// Reads for the next questions, one question for each mode.
    queued: Vec<ReadId>,
    queued_by_lease: Vec<ReadId>,
    /// The latest moment to answer them.
    queued_deadline: Moment,
    /// Questions asked, oldest first.
    asked: VecDeque<Question>,
    /// Reads in all of them.
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
        mode: ReadMode,
        now: Moment,
    ) -> Result<(), ReadError> {
        if self.count >= shared.config.reads_max {
            return Err(ReadError::Busy);
        }
        self.count += 1;
        match mode {
            ReadMode::Index => self.queued.push(id),
            ReadMode::Lease => self.queued_by_lease.push(id),
        }
        self.queued_deadline = now + shared.config.election_timeout;
        Ok(())
    }

    /// End of a round: ask.
    pub(crate) fn flush(&mut self, shared: &mut Shared, leader: PeerId) {
        if !self.is_queued() {
            return;
        }
        let deadline = self.queued_deadline;
        let queued = [
            (ReadMode::Index, std::mem::take(&mut self.queued)),
            (ReadMode::Lease, std::mem::take(&mut self.queued_by_lease)),
        ];
        for (mode, reads) in queued.into_iter().filter(|(_, reads)| !reads.is_empty()) {
            let number = shared.next_read_number();
            self.asked.push_back(Question { number, reads, deadline });
            shared.send(leader, Body::ReadIndex { id: number, mode });
        }
    }

    /// The leader answered; an unknown number was given up already.
    pub(crate) fn on_reply(&mut self, shared: &mut Shared, number: u64, index: Option<Index>) {
        let Some(at) = self.asked.iter().position(|question| question.number == number) else {
            return;
        };
        let question = self.asked.remove(at).expect("position is in range");
        self.forget(question.reads.len());
        let applied = shared.applying.applied();
        let lag_max = shared.config.options.read_lag_max;
        // What is applied may be more than what the leader confirmed.
        let lags =
            |index: Index| lag_max.is_some_and(|max| index.0.saturating_sub(applied.0) > max);
        match index {
            // Another replica serves them sooner (jraft#1234).
            Some(index) if lags(index) => shared.outbox.fail_reads(question.reads),
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

    /// Reads, and the questions asked for them.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.count, self.asked.len())
    }

    /// Reads wait for a question.
    pub(crate) fn is_queued(&self) -> bool {
        self.count > 0 && !(self.queued.is_empty() && self.queued_by_lease.is_empty())
    }

    /// Nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// When the oldest question is given up.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.asked.front().map(|question| question.deadline)
    }

    /// All of them, to be failed.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = ReadId> {
        let Self { queued, queued_by_lease, asked, .. } = std::mem::take(self);
        let asked = asked.into_iter().flat_map(|question| question.reads);
        asked.chain(queued).chain(queued_by_lease)
    }

    fn forget(&mut self, count: usize) {
        assert!(count <= self.count, "{count} reads end, {} are known", self.count);
        self.count -= count;
    }
}
