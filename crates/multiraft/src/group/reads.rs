//! Reads that are confirmed and wait until this replica holds all that they must see.
//!
//! Part of [`super::Group`]. That takes no time where all goes well. A replica that gets nowhere
//! (it was added and given up, or only hears of its leader) may wait for ever, its callers do not:
//! after a while they are told to ask another.

use std::collections::BTreeMap;
use std::time::Duration;

use kontiki_raft::Batch;
use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{Index, Moment, RegionId};

use super::Group;
use crate::Token;
use crate::effect::{ApplyTask, Effects, Refused};

/// So many election timeouts a confirmed read waits for the log. By then a replica that is alive
/// has caught up, and a client has asked another.
const PATIENCE_TIMEOUTS: u32 = 5;

/// See the module.
#[derive(Default)]
pub(super) struct Reads {
    /// By the index that must be handed to the applier first; each with when it was confirmed.
    waiting: BTreeMap<Index, Vec<(Token, Moment)>>,
    /// Given up, and to be told.
    failed: Vec<Token>,
}

impl Group {
    /// How long a confirmed read waits.
    pub(super) fn read_patience(&self) -> Duration {
        self.node.election_timeout() * PATIENCE_TIMEOUTS
    }

    /// What the node has confirmed, or could not.
    pub(super) fn drain_reads(&mut self, batch: &mut Batch, now: Moment, effects: &mut Effects) {
        for ready in batch.reads.drain(..) {
            self.reads.waiting.entry(ready.index).or_default().push((Token(ready.id.0), now));
        }
        let failed = batch.reads_failed.drain(..).map(|id| Token(id.0));
        let failed = failed.chain(self.reads.failed.drain(..));
        effects.refused.extend(failed.map(|token| (token, Refused::ReadFailed)));
    }
}

impl Reads {
    /// There are reads to hand over, or callers to be told.
    pub(super) fn has_output(&self, dispatched: Index) -> bool {
        let first = self.waiting.first_key_value();
        !self.failed.is_empty() || first.is_some_and(|(index, _)| *index <= dispatched)
    }

    /// Hand over those that come after everything they must see.
    pub(super) fn release(&mut self, group: RegionId, dispatched: Index, effects: &mut Effects) {
        while let Some(first) = self.waiting.first_entry() {
            if *first.key() > dispatched && !mutants::is_on(Mutant::ReadBeforeApply) {
                return;
            }
            let tasks =
                first.remove().into_iter().map(|(token, _)| ApplyTask::Read { group, token });
            effects.apply.extend(tasks);
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }

    /// When the one that waits for least was confirmed: seldom later than any other.
    pub(super) fn oldest(&self) -> Option<Moment> {
        self.waiting.first_key_value().and_then(|(_, first)| first.first()).map(|(_, since)| *since)
    }

    /// Those that waited for so long wait no more.
    pub(super) fn give_up(&mut self, now: Moment, patience: Duration) {
        while self.oldest().is_some_and(|since| since + patience <= now)
            && let Some((_, reads)) = self.waiting.pop_first()
        {
            self.failed.extend(reads.into_iter().map(|(token, _)| token));
        }
    }

    /// Nobody is to wait any more.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Token> {
        let Self { waiting, failed } = std::mem::take(self);
        waiting.into_values().flatten().map(|(token, _)| token).chain(failed)
    }
}
