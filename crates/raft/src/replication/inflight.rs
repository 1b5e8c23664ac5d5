//! The window of appends on their way to one follower, bounded by messages and by bytes.
//!
//! An append leaves the window when its last index is acknowledged, alone or by a later one. A
//! window that stays full because an answer was lost is probed by an empty append at the next
//! heartbeat ([`super::flow`]), so it can never stay closed for ever (etcd#14633).

use std::collections::VecDeque;

use kontiki_types::Index;

/// See the module.
#[derive(Debug)]
pub(crate) struct Inflight {
    messages_max: usize,
    bytes_max: usize,
    /// Last index and cost of each append, oldest first.
    appends: VecDeque<(Index, usize)>,
    bytes: usize,
}

impl Inflight {
    /// An empty window with these bounds.
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        assert!(messages_max > 0, "a window of no messages never opens");
        Self { messages_max, bytes_max, appends: VecDeque::new(), bytes: 0 }
    }

    /// Nothing more may leave. One append always may, however large.
    pub(crate) fn is_full(&self) -> bool {
        self.appends.len() >= self.messages_max
            || (!self.appends.is_empty() && self.bytes >= self.bytes_max)
    }

    /// Nothing is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.appends.is_empty()
    }

    /// Appends on their way, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.appends.len(), self.bytes)
    }

    /// An append up to `last` left.
    pub(crate) fn push(&mut self, last: Index, bytes: usize) {
        assert!(!self.is_full(), "the window is full: {:?}", self.size());
        assert!(self.appends.back().is_none_or(|(before, _)| *before < last), "{last} went back");
        self.appends.push_back((last, bytes));
        self.bytes += bytes;
    }

    /// Everything up to `matched` arrived.
    pub(crate) fn free_to(&mut self, matched: Index) {
        while self.appends.front().is_some_and(|(last, _)| *last <= matched) {
            let (_, bytes) = self.appends.pop_front().expect("front was seen");
            self.bytes -= bytes;
        }
    }

    /// Give back memory kept for the next time.
    pub(crate) fn shrink(&mut self) {
        self.appends.shrink_to_fit();
    }

    /// What was on its way is given up.
    pub(crate) fn reset(&mut self) {
        self.appends.clear();
        self.bytes = 0;
    }
}
