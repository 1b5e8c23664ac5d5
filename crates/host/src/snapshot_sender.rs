//! The thread that streams snapshots to peers that fell behind the log.
//!
//! The shard opens the next one when this one is reported, so there is one at a time.

use std::sync::Arc;

use bytes::Bytes;
use kontiki_codec::frame;
use kontiki_multiraft::{Event, OpenSnapshot};
use kontiki_types::{Body, Message};

use crate::mailbox::Mailbox;
use crate::shard_thread::Input;
use crate::transport::Transport;

/// Runs until the mailbox is closed and empty.
pub(crate) fn run(
    snapshots: &Mailbox<OpenSnapshot>,
    transport: &Arc<dyn Transport>,
    shard: &Mailbox<Input>,
) {
    let mut opened = Vec::new();
    while snapshots.drain(&mut opened, None) {
        for mut snapshot in opened.drain(..) {
            let failure = stream(&mut snapshot, transport).err();
            report(&snapshot, failure.as_deref(), shard);
        }
    }
}

fn report(snapshot: &OpenSnapshot, failure: Option<&str>, shard: &Mailbox<Input>) {
    let &OpenSnapshot { group, to, term, session, .. } = snapshot;
    if let Some(reason) = failure {
        tracing::warn!(%group, %to, reason, "snapshot not sent");
    }
    let ok = failure.is_none();
    shard.push(Input::Event(Event::SnapshotSent { group, to, term, session, ok }));
}

fn stream(snapshot: &mut OpenSnapshot, transport: &Arc<dyn Transport>) -> Result<(), String> {
    let meta = snapshot.source.meta().map_err(|error| error.to_string())?;
    let message = Message {
        from: snapshot.from,
        to: snapshot.to,
        term: snapshot.term,
        body: Body::Snapshot { session: snapshot.session, meta },
    };
    tracing::info!(group = %snapshot.group, to = %snapshot.to, "sending a snapshot");
    let offer: Bytes = frame::encode([(snapshot.group, &message)]);
    let mut pipe = transport.open_snapshot(snapshot.store, offer)?;
    while let Some(chunk) = snapshot.source.next_chunk().map_err(|error| error.to_string())? {
        pipe.push(chunk)?;
    }
    pipe.finish()
}
