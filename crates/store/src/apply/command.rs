//! One command: known already, refused, or carried out.
//!
//! The order of the questions matters. First the session: a retry whose first try took effect
//! gets that outcome, even if the region changed since. Then epoch, form and range (check 2).
//! Only then is anything changed, and its outcome remembered.

use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{Command, Header, Outcome, Refusal, RequestId};

use crate::apply::{Applying, Place};
use crate::session::Known;
use crate::{Error, check};

impl Applying<'_> {
    /// Applies a command of a payload whose session has begun.
    ///
    /// # Errors
    /// The engine failed.
    pub(super) fn command(
        &mut self,
        header: &Header,
        request: RequestId,
        command: Command,
        place: Place,
        removed: u64,
    ) -> Result<Outcome, Error> {
        match self.replica.sessions.known(header.client, request) {
            Known::Fresh => {}
            Known::Answered(_) if mutants::is_on(Mutant::RetryRuns) => {
                return self.carry_out(command, place, removed);
            }
            Known::Answered(outcome) => return Ok(outcome),
            Known::Refused(refusal) => return Ok(Outcome::Refused(refusal)),
        }
        if let Err(refusal) = self.check(header, &command) {
            return Ok(Outcome::Refused(refusal));
        }
        let outcome = self.carry_out(command, place, removed)?;
        if self.fold {
            self.replica.sessions.mark_changed(header.client);
        } else {
            self.record.outcome(request, &outcome);
        }
        self.replica.sessions.remember(header.client, request, outcome.clone());
        Ok(outcome)
    }

    fn check(&self, header: &Header, command: &Command) -> Result<(), Refusal> {
        let region = &self.replica.region;
        if header.epoch != region.epoch {
            return Err(Refusal::EpochNotMatch(vec![kontiki_types::Region::clone(region)]));
        }
        check::command(command, region)
    }

    fn carry_out(
        &mut self,
        command: Command,
        place: Place,
        removed: u64,
    ) -> Result<Outcome, Error> {
        match command {
            Command::Put { key, value } => self.pending.put(key, &value),
            Command::Delete { key } => self.pending.delete(key),
            Command::Batch { changes } => {
                for (key, value) in changes {
                    match value {
                        Some(value) => self.pending.put(key, &value),
                        None => self.pending.delete(key),
                    }
                }
            }
            Command::DeleteRange { range } => {
                return self.delete_range(range, place, removed).map(Outcome::Removed);
            }
            Command::PutIfAbsent { key, value } => {
                let previous = self.value(&key)?;
                let applied = previous.is_none();
                if applied {
                    self.pending.put(key, &value);
                }
                return Ok(Outcome::Conditional { applied, previous });
            }
            Command::CompareAndPut { key, expect, update } => {
                let previous = self.value(&key)?;
                let applied = previous == expect || mutants::is_on(Mutant::SwapBlind);
                match update {
                    Some(value) if applied => self.pending.put(key, &value),
                    None if applied => self.pending.delete(key),
                    _ => {}
                }
                return Ok(Outcome::Conditional { applied, previous });
            }
            Command::HashState => self.hash_wanted = true,
        }
        Ok(Outcome::Done)
    }

    /// The value of a key as of this command.
    fn value(&mut self, key: &[u8]) -> Result<Option<bytes::Bytes>, Error> {
        let now_ms = self.replica.sessions.time().now_ms;
        self.pending.get(&*self.replica.engine, key, now_ms)
    }
}
