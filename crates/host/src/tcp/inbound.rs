//! The host as the place where what peers say goes.

use bytes::Bytes;
use kontiki_codec::hello::Hello;
use kontiki_types::StoreId;

use super::{Inbound, SnapshotSink};
use crate::{NodeHost, SnapshotReceiver};

impl Inbound for NodeHost {
    fn frame(&self, from: StoreId, frame: Bytes) -> Result<(), String> {
        self.receive(from, frame).map_err(|error| error.to_string())
    }

    /// The lane the other way notices as well, and may do so before the last frame is read: a sign
    /// of life would then take its word back, and a dead leader be succeeded late (bench failover).
    fn lost(&self, hello: &Hello) {
        self.unreachable(hello.from);
    }

    fn snapshot(&self, offer: Bytes) -> Result<Box<dyn SnapshotSink>, String> {
        Ok(Box::new(self.receive_snapshot(offer)?))
    }
}

impl SnapshotSink for SnapshotReceiver {
    fn push(&mut self, chunk: Bytes) -> Result<(), String> {
        Self::push(self, &chunk)
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        Self::finish(*self)
    }
}
