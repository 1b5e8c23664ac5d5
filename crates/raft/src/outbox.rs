//! What a round produced and [`crate::Node::take`] has not fetched yet.
//!
//! Filled by every role through [`crate::shared::Shared`]. Messages that wait for the disk die with
//! the term they were made in (see [`Outbox::drop_gated`]).

use kontiki_types::{Index, Message};

use crate::{Batch, Fetch, Notice, Outgoing, ReadId, ReadReady, Seq};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Something was said or asked: one place to look at in place of five.
    has_any: bool,
    send: Vec<Outgoing>,
    reads: Vec<ReadReady>,
    reads_failed: Vec<ReadId>,
    notices: Vec<Notice>,
    fetch: Vec<Fetch>,
}

impl Outbox {
    /// Send once the operation `after` is durable; at once when that is 0.
    pub(crate) fn send(&mut self, after: Seq, message: Message) {
        self.has_any = true;
        self.send.push(Outgoing { after, message });
    }

    /// Ask the disk.
    pub(crate) fn fetch(&mut self, fetch: Fetch) {
        self.has_any = true;
        self.fetch.push(fetch);
    }

    /// Tell the layer above.
    pub(crate) fn notify(&mut self, notice: Notice) {
        self.has_any = true;
        self.notices.push(notice);
    }

    /// These reads may be served once `index` is applied.
    pub(crate) fn release_read(&mut self, id: ReadId, index: Index) {
        self.has_any = true;
        self.reads.push(ReadReady { id, index });
    }

    /// Those that failed and were not told.
    pub(crate) fn take_failed_reads(&mut self) -> Vec<ReadId> {
        std::mem::take(&mut self.reads_failed)
    }

    /// These reads could not be confirmed.
    pub(crate) fn fail_reads(&mut self, ids: impl IntoIterator<Item = ReadId>) {
        self.has_any = true;
        self.reads_failed.extend(ids);
    }

    /// Nothing was said and nothing asked.
    pub(crate) fn is_empty(&self) -> bool {
        !self.has_any
    }

    /// The term rose within a round. A gated message of the old term names an operation that is
    /// not built yet and that may no longer hold what the message claims (an acknowledged entry
    /// can be replaced before it was ever written), so it must not leave. The network may lose
    /// any message, so nothing breaks.
    pub(crate) fn drop_gated(&mut self) {
        self.send.retain(|outgoing| outgoing.after == Seq(0));
    }

    /// The reign ends within a round: the driver would stream the snapshots it asked for in the
    /// name of the next term, as if this peer led it.
    pub(crate) fn drop_snapshots_wanted(&mut self) {
        self.notices.retain(|notice| !matches!(notice, Notice::SnapshotWanted { .. }));
    }

    /// Give back memory kept for the next time.
    pub(crate) fn shrink(&mut self) {
        self.send.shrink_to_fit();
        self.reads.shrink_to_fit();
        self.reads_failed.shrink_to_fit();
        self.notices.shrink_to_fit();
        self.fetch.shrink_to_fit();
    }

    /// Move everything into the batch.
    pub(crate) fn drain_into(&mut self, batch: &mut Batch) {
        if !std::mem::take(&mut self.has_any) {
            return;
        }
        batch.send.append(&mut self.send);
        batch.reads.append(&mut self.reads);
        batch.reads_failed.append(&mut self.reads_failed);
        batch.notices.append(&mut self.notices);
        batch.fetch.append(&mut self.fetch);
    }
}
