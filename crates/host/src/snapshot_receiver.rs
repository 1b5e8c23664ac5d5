//! One snapshot on its way in: offer, chunks, end. Made by the transport, blocking its own thread.
//!
//! A chunk is judged when it arrives: an install that met a damaged one would have destroyed the
//! old state for nothing, and the store could not start any more.

use std::sync::Arc;

use bytes::Bytes;
use kontiki_codec::{frame, snapshot_chunk};
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
    /// Number of the next chunk.
    next: u64,
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
                Ok(Self { group, message, writer, next: 0, shard })
            }
            _ => Err("a snapshot stream must begin with one offer".to_owned()),
        }
    }

    /// Store a chunk.
    ///
    /// # Errors
    /// It is damaged or not the next one, or the disk refused it. The snapshot is asked for again.
    pub fn push(&mut self, chunk: &Bytes) -> Result<(), String> {
        let framed = snapshot_chunk::decode(chunk.clone()).map_err(|error| error.to_string())?;
        if framed.sequence != self.next {
            return Err(format!("chunk {} where {} was expected", framed.sequence, self.next));
        }
        self.next += 1;
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

#[cfg(test)]
mod tests {
    use kontiki_types::{PeerId, SnapshotMeta, Term};

    use super::*;
    use crate::spool::Spools;

    fn receiver(spools: &Spools) -> SnapshotReceiver {
        let body = Body::Snapshot { session: 1, meta: SnapshotMeta::default() };
        let message = Message { from: PeerId(1), to: PeerId(2), term: Term(1), body };
        let offer = frame::encode([(RegionId(1), &message)]);
        let writer = spools.create().expect("created");
        SnapshotReceiver::new(offer, writer, Arc::new(Mailbox::new(4))).expect("an offer")
    }

    #[test]
    fn a_damaged_or_misplaced_chunk_is_refused_when_it_arrives() {
        let dir = tempfile::tempdir().expect("a directory");
        let spools = Spools::open(dir.path().to_owned()).expect("opened");
        let chunks: Vec<_> = (0..3).map(|n| snapshot_chunk::encode(n, 2, b"rows")).collect();

        let mut whole = receiver(&spools);
        assert!(chunks.iter().all(|chunk| whole.push(chunk).is_ok()));
        for at in 0..chunks[0].len() {
            let mut damaged = chunks[0].to_vec();
            damaged[at] ^= 1;
            assert!(receiver(&spools).push(&Bytes::from(damaged)).is_err(), "byte {at}");
        }
        let refused = receiver(&spools).push(&chunks[1]).expect_err("the first is missing");
        assert_eq!(refused, "chunk 1 where 0 was expected");
    }
}
