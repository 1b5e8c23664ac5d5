//! From answers to results: each request of a batch gets its own, and what stores say about regions
//! and leaders goes into the map.

use kontiki_types::{Command, Moment, Outcome, Refusal, Region, RegionId, StoreId};

use super::lane::InFlight;
use super::{CallKey, Core};
use crate::ask::{Answer, AnswerBody, Ask, Direction, Found, Got, Read, Trouble};
use crate::retry::Failure;
use crate::{Error, cut};

impl<W> Core<W> {
    /// A store answered. Answers to batches that are no longer awaited are ignored.
    pub fn on_answers(&mut self, store: StoreId, answers: Vec<Answer>, now: Moment) {
        for answer in answers {
            let Some(lane) = self.lanes.get_mut(&store) else { return };
            lane.heard_at = now;
            lane.on_up();
            let Some(batch) = lane.in_flight.remove(&answer.id) else { continue };
            lane.batcher.done(batch.region, batch.kind);
            if lane.batcher.is_ready() {
                self.wake.insert(store);
            }
            self.on_answer(store, &batch, answer.body, now);
        }
    }

    fn on_answer(&mut self, store: StoreId, batch: &InFlight, body: AnswerBody, now: Moment) {
        match body {
            AnswerBody::Outcomes(outcomes) => {
                let mut outcomes = outcomes.into_iter();
                for &key in &batch.calls {
                    let outcome = outcomes.next().flatten();
                    self.on_outcome(key, store, batch.region, outcome, now);
                }
            }
            AnswerBody::Found(found) => {
                let mut found = found.into_iter();
                for &key in &batch.calls {
                    match found.next() {
                        Some(Ok(found)) => self.on_found(key, found, now),
                        Some(Err(trouble)) => {
                            let failure = self.learn(store, batch.region, trouble, now);
                            self.fail(key, failure, now);
                        }
                        None => self.fail(key, garbled("a result is missing"), now),
                    }
                }
            }
            AnswerBody::Failed(trouble) => {
                let failure = self.learn(store, batch.region, trouble, now);
                for &key in &batch.calls {
                    self.fail(key, failure.clone(), now);
                }
            }
        }
    }

    fn on_outcome(
        &mut self,
        key: CallKey,
        store: StoreId,
        region: RegionId,
        outcome: Option<Outcome>,
        now: Moment,
    ) {
        let Some(call) = self.calls.get(key) else { return };
        let Some(outcome) = outcome else {
            return self.fail(key, garbled("the outcome is missing"), now);
        };
        let write = call.write.expect("only writes have outcomes");
        if let Outcome::Refused(refusal) = outcome {
            let failure = self.refused(store, region, refusal, now);
            return self.fail(key, failure, now);
        }
        self.sessions.on_outcome(write.client, region);
        let got = match (outcome, &call.ask, &call.part) {
            (Outcome::Removed(count), Ask::Write(Command::DeleteRange { range }), Some(part)) => {
                Got::Removed { count, rest: cut::beyond(range, part, Direction::Forward) }
            }
            (outcome, Ask::Write(command), _) if belongs(&outcome, command) => {
                Got::Outcome(outcome)
            }
            (outcome, ..) => {
                let why = format!("the store answered {outcome:?} to something else");
                return self.complete(key, Err(Error::OutcomeUnknown { why }));
            }
        };
        self.complete(key, Ok(got));
    }

    fn on_found(&mut self, key: CallKey, found: Found, now: Moment) {
        let Some(call) = self.calls.get(key) else { return };
        let got = match (found, &call.ask, &call.part) {
            (Found::Value(value), Ask::Read(Read::Get(_), _), _) => Got::Value(value),
            (Found::Rows { rows, more }, Ask::Read(Read::Scan(scan), _), Some(part)) => {
                let rest = match rows.last() {
                    Some((key, _)) if more => cut::beyond_row(&scan.range, key, scan.direction),
                    _ => cut::beyond(&scan.range, part, scan.direction),
                };
                Got::Rows { rows, rest }
            }
            _ => return self.fail(key, garbled("the result is of another kind"), now),
        };
        self.complete(key, Ok(got));
    }

    fn refused(
        &mut self,
        store: StoreId,
        region: RegionId,
        refusal: Refusal,
        now: Moment,
    ) -> Failure {
        match refusal {
            Refusal::EpochNotMatch(regions) => {
                self.learn(store, region, Trouble::EpochNotMatch(regions), now)
            }
            Refusal::KeyNotInRegion => {
                self.learn(store, region, Trouble::KeyNotInRegion(None), now)
            }
            Refusal::SessionUnknown | Refusal::RequestForgotten => Failure::Forgotten,
            Refusal::SessionFull => Failure::SessionFull,
            Refusal::Invalid => Failure::Rejected("the command broke a limit at the store".into()),
        }
    }

    /// Corrects the map by what a store said, and tells what that means for the requests.
    fn learn(
        &mut self,
        store: StoreId,
        region: RegionId,
        trouble: Trouble,
        now: Moment,
    ) -> Failure {
        match trouble {
            Trouble::NotLeader { leader, term } => {
                self.cache.distrust(region, store);
                let hint = leader.filter(|(leader, _)| *leader != store);
                if let Some((leader, address)) = &hint {
                    self.cache.learn_store(*leader, address);
                    self.cache.learn_leader(region, *leader, term);
                } else {
                    self.refresh.want(now);
                }
                Failure::NotLeader { hinted: hint.is_some() }
            }
            Trouble::EpochNotMatch(regions) => {
                Failure::RegionChanged { learned: self.learn_regions(store, regions, now) }
            }
            Trouble::KeyNotInRegion(current) => {
                let learned = self.learn_regions(store, current.into_iter().collect(), now);
                if !learned {
                    // What the map says about this region is wrong, and nobody said what is right.
                    self.cache.forget(region);
                }
                Failure::RegionChanged { learned }
            }
            Trouble::RegionNotFound => {
                self.cache.distrust(region, store);
                self.refresh.want(now);
                Failure::Unavailable(format!("{store} does not hold {region}"))
            }
            Trouble::Unavailable(why) => {
                self.cache.distrust(region, store);
                self.refresh.want(now);
                Failure::Unavailable(why)
            }
            Trouble::Busy { reason, retry_after_ms } => Failure::Busy { reason, retry_after_ms },
            Trouble::TooLarge { what, limit, actual } => {
                Failure::Rejected(format!("{what} of {actual}, at most {limit}"))
            }
            Trouble::Invalid(why) => Failure::Rejected(why),
            Trouble::SessionUnknown => Failure::Forgotten,
            Trouble::Unknown(why) => {
                // Leadership was lost: whoever follows is not known here.
                self.cache.distrust(region, store);
                self.refresh.want(now);
                Failure::Unknown(why)
            }
            Trouble::Garbled(why) => garbled(&why),
        }
    }

    /// True when some region was news. The store that tells is the best guess for their leader.
    fn learn_regions(&mut self, store: StoreId, regions: Vec<Region>, now: Moment) -> bool {
        let mut learned = false;
        for region in regions {
            learned |= self.cache.learn(region, Some(store));
        }
        if !learned {
            self.refresh.want(now);
        }
        learned
    }
}

/// What cannot be read tells nothing: it may well have happened.
fn garbled(why: &str) -> Failure {
    Failure::Unknown(format!("unreadable answer, {why}; is the store of a newer version?"))
}

fn belongs(outcome: &Outcome, command: &Command) -> bool {
    let conditional =
        matches!(command, Command::PutIfAbsent { .. } | Command::CompareAndPut { .. });
    match outcome {
        Outcome::Done => !conditional && !matches!(command, Command::DeleteRange { .. }),
        Outcome::Conditional { .. } => conditional,
        Outcome::Removed(_) | Outcome::Refused(_) => false,
    }
}
