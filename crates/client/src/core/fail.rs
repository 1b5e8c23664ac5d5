//! The end of a try, and the end of a call.

use kontiki_types::{ClientId, Moment};

use super::{CallKey, Core};
use crate::Error;
use crate::ask::{Ask, Got};
use crate::retry::{Decision, Failure, History, decide};

impl<W> Core<W> {
    /// A try failed: another one, or the end.
    pub(super) fn fail(&mut self, key: CallKey, failure: Failure, now: Moment) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.in_flight = false;
        call.failed_count = call.failed_count.saturating_add(1);
        call.may_have_happened |= failure.is_uncertain() && matches!(call.ask, Ask::Write(_));
        let history = History {
            failed_count: call.failed_count,
            immediate_count: call.immediate_count,
            afresh_count: call.afresh_count,
            may_have_happened: call.may_have_happened,
            deadline: call.deadline,
        };
        let decision = decide(&failure, history, now, self.rng.draw());
        call.last_failure = Some(failure);
        match decision {
            Decision::Now => {
                call.immediate_count += 1;
                self.route(key, now);
            }
            Decision::NowAfresh => {
                call.immediate_count = 0;
                call.afresh_count += 1;
                self.rename(key, now);
                self.route(key, now);
            }
            Decision::After(pause) => {
                call.immediate_count = 0;
                self.parked.insert((now + pause, key));
            }
            Decision::Fail | Decision::FailUnknown => self.give_up(key),
        }
    }

    /// Gives a write that surely has not happened a new id, in a session that regions may open.
    pub(super) fn rename(&mut self, key: CallKey, now: Moment) {
        let Some(call) = self.calls.get_mut(key) else { return };
        assert!(!call.may_have_happened, "a write that may have happened keeps its id");
        let Some(old) = call.write else { return };
        let mut fresh = || ClientId(self.rng.draw());
        self.sessions.on_forgotten(old.client, now, &mut fresh);
        call.write = Some(self.sessions.begin(now, &mut fresh));
        call.first_left = None;
        self.sessions.finish(old);
    }

    /// Ends a call without a result.
    pub(super) fn give_up(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(key) else { return };
        let is_write = matches!(call.ask, Ask::Write(_));
        let outcome_unknown = call.may_have_happened || (is_write && call.in_flight);
        let error = match &call.last_failure {
            Some(Failure::Rejected(why)) if !outcome_unknown => {
                Error::Invalid { message: why.clone() }
            }
            Some(failure @ (Failure::Rejected(_) | Failure::Forgotten)) if outcome_unknown => {
                Error::OutcomeUnknown { why: failure.to_string() }
            }
            Some(Failure::Forgotten) => Error::Unavailable {
                why: "the store forgets client sessions as soon as they are opened".into(),
            },
            last => Error::Deadline {
                outcome_unknown,
                last: last.as_ref().map_or_else(|| "no answer yet".into(), ToString::to_string),
            },
        };
        self.complete(key, Err(error));
    }

    /// Ends a call. Its key is dead from now on, wherever it still lies.
    pub(super) fn complete(&mut self, key: CallKey, result: Result<Got, Error>) {
        let Some(call) = self.calls.remove(key) else { return };
        if let Some(write) = call.write {
            self.sessions.finish(write);
        }
        self.done.push((call.waiter, result));
    }
}
