//! The thread that streams snapshots to peers that fell behind the log, one at a time.
//!
//! One at a time is the throttle: a store that must seed many peers does not starve its own work.

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
    let mut waiting = Vec::new();
    while snapshots.drain(&mut waiting, None) {
        for snapshot in waiting.drain(..) {
            let (group, to) = (snapshot.group, snapshot.to);
            let (term, session) = (snapshot.term, snapshot.session);
            let result = stream(snapshot, transport);
            if let Err(reason) = &result {
                tracing::warn!(%group, %to, %reason, "snapshot not sent");
            }
            let ok = result.is_ok();
            shard.push(Input::Event(Event::SnapshotSent { group, to, term, session, ok }));
        }
    }
}

fn stream(mut snapshot: OpenSnapshot, transport: &Arc<dyn Transport>) -> Result<(), String> {
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
