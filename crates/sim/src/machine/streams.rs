//! Snapshots on their way: part by part, each acknowledged before the next leaves.
//!
//! Production streams over a connection, which repeats what is lost and breaks as a whole; here a
//! part is repeated some times and then the stream is given up. One snapshot leaves at a time. The
//! receiver stores the whole, syncs it, and only then offers it to Raft.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use kontiki_codec::{frame, snapshot_chunk};
use kontiki_multiraft::{Event, OpenSnapshot};
use kontiki_types::{Body, Message, RegionId, StoreId};

use crate::env::{Env, Work};
use crate::limits::{CHUNK_TIMEOUT, SPOOL_BYTES_MAX};
use crate::marks::Mark;
use crate::network::Address;
use crate::wire::{Packet, SnapshotPart};

use super::Machine;
use super::spool::SpoolWriter;

/// How often a part is sent before the stream is given up.
const TRIES_MAX: u32 = 6;
/// Streams being received at once; the oldest is given up.
const INCOMING_MAX: usize = 4;
/// Streams received whole that are remembered, to acknowledge their end again.
const FINISHED_MAX: usize = 64;

/// The streams of a machine.
#[derive(Default)]
pub(super) struct Streams {
    sending: Option<Sending>,
    incoming: BTreeMap<u64, Incoming>,
    finished: BTreeSet<u64>,
}

/// A snapshot on its way out.
struct Sending {
    stream: u64,
    snapshot: OpenSnapshot,
    /// Number of the part under way.
    number: u64,
    part: SnapshotPart,
    tries: u32,
}

/// A snapshot on its way in.
struct Incoming {
    group: RegionId,
    message: Message,
    writer: SpoolWriter,
    /// Number of the next part.
    next: u64,
}

impl Streams {
    /// Snapshots that are coming in, or whose sender gave up.
    pub(super) fn incoming_count(&self) -> usize {
        self.incoming.len()
    }
}

impl Machine {
    /// Streams a snapshot. The shard opens the next one when this one is reported.
    pub(super) fn begin_stream(&mut self, mut snapshot: OpenSnapshot, env: &mut Env) {
        assert!(self.running().streams.sending.is_none(), "{}: two at a time", self.id);
        let meta = snapshot.source.meta().expect("a snapshot of rows is there at once");
        let message = Message {
            from: snapshot.from,
            to: snapshot.to,
            term: snapshot.term,
            body: Body::Snapshot { session: snapshot.session, meta },
        };
        env.tell(format_args!("{} streams {message:?}", self.id));
        let part = SnapshotPart::Offer(frame::encode([(snapshot.group, &message)]));
        let stream = env.unique();
        let sending = Sending { stream, snapshot, number: 0, part, tries: 0 };
        self.running().streams.sending = Some(sending);
        self.send_part(env);
    }

    fn send_part(&mut self, env: &mut Env) {
        let id = self.id;
        let sending = self.running().streams.sending.as_mut().expect("the caller has one");
        sending.tries += 1;
        let (stream, number, to) = (sending.stream, sending.number, sending.snapshot.store);
        let part = sending.part.clone();
        env.send(
            self.address(),
            Address::Store(to),
            Packet::Snapshot { from: id, stream, number, part },
        );
        let patience = CHUNK_TIMEOUT / TRIES_MAX;
        self.plan(patience, Work::ChunkTimeout { stream, number }, env);
    }

    /// A part was not acknowledged in time, perhaps.
    pub(super) fn on_chunk_timeout(&mut self, stream: u64, number: u64, env: &mut Env) {
        let Some(sending) = &self.running().streams.sending else { return };
        if (sending.stream, sending.number) != (stream, number) {
            return;
        }
        if sending.tries < TRIES_MAX {
            self.send_part(env);
        } else {
            self.end_stream(false, env);
        }
    }

    /// A part was acknowledged.
    pub(super) fn on_snapshot_taken(&mut self, stream: u64, number: u64, ok: bool, env: &mut Env) {
        let Some(sending) = &mut self.running().streams.sending else { return };
        if (sending.stream, sending.number) != (stream, number) {
            return;
        }
        env.snapshot_parts += u64::from(ok);
        if !ok || matches!(sending.part, SnapshotPart::End) {
            return self.end_stream(ok, env);
        }
        match sending.snapshot.source.next_chunk() {
            Ok(chunk) => {
                sending.part = chunk.map_or(SnapshotPart::End, SnapshotPart::Chunk);
                (sending.number, sending.tries) = (number + 1, 0);
                self.send_part(env);
            }
            // As in production: the rows may be being replaced just now. The leader asks again.
            Err(error) => {
                env.tell(format_args!("{} gives a snapshot up: {error}", self.id));
                self.end_stream(false, env);
            }
        }
    }

    fn end_stream(&mut self, ok: bool, env: &mut Env) {
        let sending = self.running().streams.sending.take().expect("the caller has one");
        env.marks.hit(if ok { Mark::SnapshotStreamed } else { Mark::SnapshotGivenUp });
        self.report_sent(&sending.snapshot, ok, env);
    }

    pub(super) fn report_sent(&mut self, snapshot: &OpenSnapshot, ok: bool, env: &mut Env) {
        let &OpenSnapshot { group, to, term, session, .. } = snapshot;
        self.tell_shard([Event::SnapshotSent { group, to, term, session, ok }], env);
    }

    /// A part arrived.
    pub(super) fn on_snapshot_part(
        &mut self,
        from: StoreId,
        stream: u64,
        number: u64,
        part: SnapshotPart,
        env: &mut Env,
    ) {
        let is_repeated = {
            let streams = &self.running().streams;
            streams.finished.contains(&stream)
                || streams.incoming.get(&stream).is_some_and(|incoming| number < incoming.next)
        };
        let ok = is_repeated || self.take_part(stream, number, part, env);
        let packet = Packet::SnapshotTaken { stream, number, ok };
        env.send(self.address(), Address::Store(from), packet);
    }

    fn take_part(&mut self, stream: u64, number: u64, part: SnapshotPart, env: &mut Env) -> bool {
        let taken = match part {
            SnapshotPart::Offer(offer) if number == 0 => self.take_offer(stream, offer),
            SnapshotPart::Chunk(chunk) if is_damaged(&chunk) => {
                env.marks.hit(Mark::ChunkDamaged);
                Ok(false)
            }
            SnapshotPart::Chunk(chunk) => self.take_chunk(stream, number, &chunk),
            SnapshotPart::End => return self.take_end(stream, number, env),
            SnapshotPart::Offer(_) => Ok(false),
        };
        taken.unwrap_or_else(|error| {
            self.fatal(&format!("spool: {error}"), env);
            false
        })
    }

    fn take_offer(&mut self, stream: u64, offer: Bytes) -> std::io::Result<bool> {
        let mut messages = frame::decode(offer).map_err(std::io::Error::other)?;
        let (group, message) = messages.pop().ok_or_else(|| std::io::Error::other("no offer"))?;
        let writer = self.spools.create()?;
        let streams = &mut self.running().streams;
        streams.incoming.insert(stream, Incoming { group, message, writer, next: 1 });
        if streams.incoming.len() > INCOMING_MAX
            && let Some((_, oldest)) = streams.incoming.pop_first()
        {
            oldest.writer.discard();
        }
        Ok(true)
    }

    fn take_chunk(&mut self, stream: u64, number: u64, chunk: &[u8]) -> std::io::Result<bool> {
        let Some(incoming) = self.running().streams.incoming.get_mut(&stream) else {
            return Ok(false);
        };
        if incoming.next != number || incoming.writer.bytes() > SPOOL_BYTES_MAX {
            return Ok(false);
        }
        incoming.writer.push(chunk)?;
        incoming.next += 1;
        Ok(true)
    }

    fn take_end(&mut self, stream: u64, number: u64, env: &mut Env) -> bool {
        let streams = &mut self.running().streams;
        if streams.incoming.get(&stream).is_none_or(|incoming| incoming.next != number) {
            return false;
        }
        let incoming = streams.incoming.remove(&stream).expect("just seen");
        streams.finished.insert(stream);
        if streams.finished.len() > FINISHED_MAX {
            streams.finished.pop_first();
        }
        let Incoming { group, message, writer, .. } = incoming;
        match writer.finish() {
            Ok(spool) => {
                self.tell_shard([Event::SnapshotArrived { group, message, spool }], env);
                self.tempt(Duration::from_millis(2), env);
                true
            }
            Err(error) => {
                self.fatal(&format!("spool: {error}"), env);
                false
            }
        }
    }
}

/// A snapshot must be known to be whole before anything is destroyed for it.
fn is_damaged(chunk: &Bytes) -> bool {
    snapshot_chunk::decode(chunk.clone()).is_err()
}
