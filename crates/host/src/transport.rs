//! How frames reach other stores: fire and forget, bounded, with a word when nothing gets through.
//!
//! [`crate::tcp`] implements this over TCP, [`crate::library::MemoryNetwork`] with queues. Raft
//! needs neither delivery nor order, so an implementation may drop anything, but it must never
//! block the caller of `send`.

use bytes::Bytes;
use kontiki_types::StoreId;

/// What a frame is for. Each class has its own way, so that bulk never delays heartbeats.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// Votes, heartbeats, read rounds, replies.
    Control,
    /// Log entries.
    Append,
}

/// Sends frames of `kontiki_codec::frame` to other stores.
pub trait Transport: Send + Sync + 'static {
    /// Queue a frame. False when it was dropped (the queue is full, or the store is away): the
    /// host then tells the groups, so that they probe instead of filling a window in vain.
    fn send(&self, to: StoreId, class: Class, frame: Bytes) -> bool;

    /// True when `send` takes no lock that somebody may hold who calls the host, as the transport
    /// itself may when it hands over a frame: then it is also called within such calls, which
    /// spares a wake-up (design/0008). By default the host's own threads alone call it.
    fn sends_within_calls(&self) -> bool {
        false
    }

    /// Open a stream for one snapshot. May block; called from the host's snapshot thread only.
    ///
    /// # Errors
    /// The store cannot be reached.
    fn open_snapshot(&self, to: StoreId, offer: Bytes) -> Result<Box<dyn SnapshotPipe>, String>;
}

/// One snapshot on its way to one store.
pub trait SnapshotPipe {
    /// Send the next chunk; waits for room.
    ///
    /// # Errors
    /// The stream broke.
    fn push(&mut self, chunk: Bytes) -> Result<(), String>;

    /// Wait until the receiver has stored all of it durably.
    ///
    /// # Errors
    /// It has not.
    fn finish(self: Box<Self>) -> Result<(), String>;
}
