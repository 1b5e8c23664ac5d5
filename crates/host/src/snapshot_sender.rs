//! The thread that streams snapshots to peers that fell behind the log, one at a time, the newest
//! that was asked for to each.
//!
//! One at a time is the throttle: a store that must seed many peers does not starve its own work.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kontiki_codec::frame;
use kontiki_multiraft::{Event, Offers, OpenSnapshot};
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
    let (mut asked, mut offers) = (Vec::new(), Offers::default());
    loop {
        let timeout = (!offers.is_empty()).then_some(Duration::ZERO);
        let is_open = snapshots.drain(&mut asked, timeout);
        for offer in asked.drain(..) {
            if let Some(older) = offers.push(offer) {
                report(&older, Some("a newer one was asked for"), shard);
            }
        }
        match offers.pop() {
            Some(mut offer) => {
                let failure = stream(&mut offer, transport).err();
                report(&offer, failure.as_deref(), shard);
            }
            None if !is_open => return,
            None => {}
        }
    }
}

fn report(offer: &OpenSnapshot, failure: Option<&str>, shard: &Mailbox<Input>) {
    let &OpenSnapshot { group, to, term, session, .. } = offer;
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
