//! One snapshot on its way in: offer, chunks, end. Made by the transport, blocking its own thread.

use std::sync::Arc;

use bytes::Bytes;
use kontiki_codec::frame;
use kontiki_multiraft::Event;
use kontiki_types::{Body, Message, RegionId};

use crate::mailbox::Mailbox;
use crate::shard_thread::Input;
use crate::spool::SpoolWriter;

/// Takes in one snapshot. Dropped before [`SnapshotReceiver::finish`], it leaves nothing.
pub struct SnapshotReceiver {
    group: RegionId,
    message: Message,
    writer: SpoolWriter,
    shard: Arc<Mailbox<Input>>,
}

impl SnapshotReceiver {
    pub(crate) fn new(
        offer: Bytes,
        writer: SpoolWriter,
        shard: Arc<Mailbox<Input>>,
    ) -> Result<Self, String> {
        let mut messages = frame::decode(offer).map_err(|error| error.to_string())?;
        match (messages.pop(), messages.is_empty()) {
            (Some((group, message)), true) if matches!(message.body, Body::Snapshot { .. }) => {
                Ok(Self { group, message, writer, shard })
            }
            _ => Err("a snapshot stream must begin with one offer".to_owned()),
        }
    }

    /// Store a chunk.
    ///
    /// # Errors
    /// The disk refused it.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), String> {
        self.writer.push(chunk).map_err(|error| error.to_string())
    }

    /// All chunks are here: make them durable and offer the snapshot to the group.
    ///
    /// # Errors
    /// The disk refused it.
    pub fn finish(self) -> Result<(), String> {
        let spool = self.writer.finish().map_err(|error| error.to_string())?;
        let (group, message) = (self.group, self.message);
        self.shard.push(Input::Event(Event::SnapshotArrived { group, message, spool }));
        Ok(())
    }
}
