//! When to ask for the map: as soon as it is needed, one question at a time, not too often.

use std::time::Duration;

use kontiki_types::Moment;

use crate::backoff::backoff;

/// Least time from one map to the next question.
const REFRESH_PAUSE: Duration = Duration::from_millis(20);

/// The state of asking.
#[derive(Debug)]
pub(super) struct Refresh {
    /// When to ask; nothing: no need.
    due: Option<Moment>,
    is_asking: bool,
    not_before: Moment,
    failed_count: u32,
}

impl Refresh {
    pub(super) fn wanted(now: Moment) -> Self {
        Self { due: Some(now), is_asking: false, not_before: now, failed_count: 0 }
    }

    /// The map is missing something, or may be wrong.
    pub(super) fn want(&mut self, now: Moment) {
        if !self.is_asking && self.due.is_none() {
            self.due = Some(now.max(self.not_before));
        }
    }

    pub(super) fn due(&self) -> Option<Moment> {
        self.due
    }

    pub(super) fn take(&mut self, now: Moment) -> bool {
        let take = self.due.is_some_and(|due| due <= now);
        if take {
            self.due = None;
            self.is_asking = true;
        }
        take
    }

    pub(super) fn on_done(&mut self, now: Moment) {
        self.is_asking = false;
        self.failed_count = 0;
        self.not_before = now + REFRESH_PAUSE;
    }

    /// `needed`: somebody cannot go on without the map.
    pub(super) fn on_failed(&mut self, needed: bool, draw: u64, now: Moment) {
        self.is_asking = false;
        self.failed_count = self.failed_count.saturating_add(1);
        self.not_before = now + backoff(self.failed_count, draw);
        self.due = needed.then_some(self.not_before);
    }
}
