//! What waits for one store, and what it was sent and has not answered.

use std::collections::BTreeMap;

use kontiki_types::{Moment, RegionId};

use super::CallKey;
use crate::batcher::{Batcher, Kind};

/// Everything on the way to one store.
#[derive(Default, Debug)]
pub(super) struct Lane {
    pub(super) batcher: Batcher<CallKey>,
    pub(super) in_flight: BTreeMap<u64, InFlight>,
    /// When the store was last heard.
    pub(super) heard_at: Moment,
    /// Others are asked first until then.
    down_until: Option<Moment>,
}

/// A batch without an answer.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) region: RegionId,
    pub(super) kind: Kind,
    pub(super) calls: Vec<CallKey>,
    pub(super) sent_at: Moment,
    /// When its calls are tried elsewhere.
    pub(super) expires_at: Moment,
}

impl Lane {
    pub(super) fn is_down(&self, now: Moment) -> bool {
        self.down_until.is_some_and(|until| now < until)
    }

    pub(super) fn on_up(&mut self) {
        self.down_until = None;
    }

    /// Asks others first until `until`, and gives back what was on the way: sent, then not sent.
    pub(super) fn on_down(&mut self, until: Moment) -> (Vec<InFlight>, Vec<CallKey>) {
        self.down_until = self.down_until.max(Some(until));
        let sent: Vec<_> = std::mem::take(&mut self.in_flight).into_values().collect();
        for batch in &sent {
            self.batcher.done(batch.region, batch.kind);
        }
        (sent, self.batcher.drain())
    }
}
