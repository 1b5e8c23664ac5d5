//! What happens when nothing happens: pauses end, deadlines pass, stores stay silent.
//!
//! Deadlines are not kept in order: a sweep looks at all calls when the earliest may have passed,
//! at most once per `SWEEP_PAUSE`. That costs nothing per call, and a deadline is late by no more
//! than the pause.

use std::time::Duration;

use kontiki_types::{Moment, StoreId};

use super::{CallKey, Core};
use crate::retry::Failure;

/// Least time between two sweeps.
const SWEEP_PAUSE: Duration = Duration::from_millis(5);
/// How long others are asked first after a stream to a store could not be opened.
const DOWN_PAUSE: Duration = Duration::from_millis(200);

impl<W> Core<W> {
    /// Time has passed.
    pub fn on_time(&mut self, now: Moment) {
        while let Some(&(moment, key)) = self.parked.first() {
            if moment > now {
                break;
            }
            self.parked.pop_first();
            self.route(key, now);
        }
        if self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep(now);
        }
    }

    /// The open stream to a store broke. That alone does not say that the store is down: a new
    /// stream may be up in a moment, and if it cannot be, [`Core::on_down`] tells soon.
    pub fn on_broken(&mut self, store: StoreId, now: Moment) {
        self.leave(store, Duration::ZERO, &Failure::ConnectionLost, now);
    }

    /// A stream to a store could not be opened. Others are asked first for a while.
    pub fn on_down(&mut self, store: StoreId, now: Moment) {
        self.calls.forgive(store);
        self.leave(store, DOWN_PAUSE, &Failure::ConnectionLost, now);
    }

    /// A sweep is due at `moment`, or before.
    pub(super) fn sweep_by(&mut self, moment: Moment) {
        let moment = moment.max(self.sweep_not_before);
        if self.sweep_at.is_none_or(|at| moment < at) {
            self.sweep_at = Some(moment);
        }
    }

    fn sweep(&mut self, now: Moment) {
        self.sweep_at = None;
        self.sweep_not_before = now + SWEEP_PAUSE;
        let mut due = Vec::new();
        let mut earliest = None;
        for (key, deadline) in self.calls.deadlines() {
            if deadline <= now {
                due.push(key);
            } else {
                earliest = Some(earliest.map_or(deadline, |at: Moment| at.min(deadline)));
            }
        }
        for key in due {
            self.give_up(key);
        }
        self.expire_batches(now);
        let batches = self.lanes.values().flat_map(|lane| lane.in_flight.values());
        let earliest = batches.map(|batch| batch.expires_at).chain(earliest).min();
        if let Some(earliest) = earliest {
            self.sweep_by(earliest);
        }
        self.unrouted.retain(|&key| self.calls.get(key).is_some());
    }

    fn expire_batches(&mut self, now: Moment) {
        let mut silent = Vec::new();
        let mut expired = Vec::new();
        for (&store, lane) in &self.lanes {
            for (&id, batch) in &lane.in_flight {
                if batch.expires_at > now {
                    continue;
                }
                if lane.heard_at <= batch.sent_at {
                    silent.push(store);
                    break;
                }
                expired.push((store, id));
            }
        }
        // Silent since the batch was sent: paused, cut off, or dead. Nothing waits for it any more.
        for store in silent {
            self.resets.insert(store);
            self.leave(store, self.config.attempt_timeout, &Failure::NoAnswer, now);
        }
        // Not silent: only this region does not get on.
        for (store, id) in expired {
            let Some(lane) = self.lanes.get_mut(&store) else { continue };
            let Some(batch) = lane.in_flight.remove(&id) else { continue };
            lane.batcher.done(batch.region, batch.kind);
            if lane.batcher.is_ready() {
                self.wake.insert(store);
            }
            self.cache.distrust(batch.region, store);
            self.refresh.want(now);
            self.fail_unanswered(store, batch.calls, &Failure::NoAnswer, now);
        }
    }

    /// Moves everything that was on its way to a store elsewhere.
    fn leave(&mut self, store: StoreId, pause: Duration, failure: &Failure, now: Moment) {
        let Some(lane) = self.lanes.get_mut(&store) else { return };
        let (sent, not_sent) = lane.on_down(now + pause);
        self.refresh.want(now);
        for batch in sent {
            self.cache.distrust(batch.region, store);
            self.fail_unanswered(store, batch.calls, failure, now);
        }
        for key in not_sent {
            self.fail(key, Failure::NotSent, now);
        }
    }

    fn fail_unanswered(
        &mut self,
        store: StoreId,
        calls: Vec<CallKey>,
        failure: &Failure,
        now: Moment,
    ) {
        for key in calls {
            if let Some(call) = self.calls.get_mut(key)
                && *failure == Failure::NoAnswer
            {
                call.on_unanswered(store);
            }
            self.fail(key, failure.clone(), now);
        }
    }
}
