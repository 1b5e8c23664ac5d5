//! Reads of a leader, waiting for proof that it still leads.
//!
//! A *round* is a number that grows. Reads wait without a round until one leaves; it carries all
//! of them, at the commit index of that moment. Appends and heartbeats carry the newest round,
//! followers echo it, and a round is confirmed once a quorum echoed it or a later one: the same
//! order statistic as commit. So one confirmation serves every read before it, and under write
//! load costs no message of its own. Nothing leaves before an entry of the leader's own term is
//! committed: until then its commit index may be behind (etcd#7331).

use std::collections::VecDeque;

use kontiki_types::{Body, Index, PeerId};

use crate::limits::READ_ROUNDS_MAX;
use crate::shared::Shared;
use crate::{ReadError, ReadId};

/// Who asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reader {
    /// A caller on this peer.
    Local(ReadId),
    /// A follower, by its number for the question.
    Remote { peer: PeerId, number: u64 },
}

impl Reader {
    /// It may be served once `index` is applied.
    pub(crate) fn answer(self, shared: &mut Shared, index: Index) {
        match self {
            Self::Local(id) => shared.outbox.release_read(id, index),
            Self::Remote { peer, number: id } => {
                shared.send(peer, Body::ReadIndexReply { id, index: Some(index) });
            }
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    waiting: Vec<Reader>,
    /// Rounds under way, oldest first.
    under_way: VecDeque<Round>,
    /// The newest round begun.
    newest: u64,
    /// Readers in both.
    count: usize,
}

#[derive(Debug)]
struct Round {
    number: u64,
    /// What was committed when it left.
    index: Index,
    readers: Vec<Reader>,
}

impl Rounds {
    /// One more reader.
    pub(crate) fn push(&mut self, shared: &Shared, reader: Reader) -> Result<(), ReadError> {
        if self.count >= shared.config.reads_max {
            return Err(ReadError::Busy);
        }
        self.count += 1;
        self.waiting.push(reader);
        Ok(())
    }

    /// Nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Readers, and the rounds under way for them.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.count, self.under_way.len())
    }

    /// The round that messages carry.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// Readers wait for a round to leave.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A round may leave by messages of its own.
    pub(crate) fn has_room(&self) -> bool {
        self.under_way.len() < READ_ROUNDS_MAX
    }

    /// Begin a round that nobody waits for; only when it was sent is of interest (the lease).
    pub(crate) fn begin_empty(&mut self) {
        self.newest += 1;
    }

    /// Begin a round for all who wait, at this commit index. The messages that leave from now on
    /// carry it.
    pub(crate) fn begin(&mut self, commit: Index) {
        assert!(self.is_wanted(), "a round nobody asked for");
        self.newest += 1;
        let readers = std::mem::take(&mut self.waiting);
        self.under_way.push_back(Round { number: self.newest, index: commit, readers });
    }

    /// A quorum echoed this round or later ones: everything before is confirmed.
    pub(crate) fn confirm(&mut self, shared: &mut Shared, round: u64) {
        assert!(round <= self.newest, "round {round} was never begun, {} is newest", self.newest);
        while self.under_way.front().is_some_and(|first| first.number <= round) {
            let Round { index, readers, .. } = self.under_way.pop_front().expect("front was seen");
            self.count -= readers.len();
            for reader in readers {
                reader.answer(shared, index);
            }
        }
    }

    /// The reign ends: nobody here can be answered any more.
    pub(crate) fn fail_all(&mut self, shared: &mut Shared) {
        let Self { waiting, under_way, .. } = std::mem::take(self);
        for reader in under_way.into_iter().flat_map(|round| round.readers).chain(waiting) {
            match reader {
                Reader::Local(id) => shared.outbox.fail_reads([id]),
                Reader::Remote { peer, number: id } => {
                    shared.send(peer, Body::ReadIndexReply { id, index: None });
                }
            }
        }
    }
}
