//! Reads that wait: until it is known who leads, and, confirmed, until this replica holds all that
//! they must see.
//!
//! Part of [`super::Group`]. The latter takes no time where all goes well. What is committed here
//! is on its way to the state machine, however slow that is. But a replica that gets nowhere (it
//! was added and given up, or only hears of its leader) may wait for entries for ever; its callers
//! do not: after a while they are told to ask another.

use std::collections::BTreeMap;
use std::time::Duration;

use kontiki_raft::Batch;
use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{Index, Moment, ReadMode, RegionId};

use super::Group;
use crate::Token;
use crate::effect::{ApplyTask, Effects, Refused};

/// So many election timeouts a confirmed read waits for entries that are not here.
const PATIENCE_TIMEOUTS: u32 = 5;

/// Most reads that wait until it is known who leads; as many as a node confirms at a time.
const HELD_MAX: usize = 65_536;

/// See the module.
#[derive(Default)]
pub(super) struct Reads {
    /// Asked while leadership changes hands.
    held: Vec<(Token, ReadMode)>,
    /// By the index that must be handed to the applier first; each with when it was confirmed.
    waiting: BTreeMap<Index, Vec<(Token, Moment)>>,
    /// Given up, and to be told.
    failed: Vec<Token>,
}

impl Group {
    /// How long a confirmed read waits for what is not here.
    pub(super) fn read_patience(&self) -> Duration {
        self.node.election_timeout() * PATIENCE_TIMEOUTS
    }

    /// It is known who leads: ask what was held back.
    pub(super) fn ask_held_reads(&mut self, now: Moment, effects: &mut Effects) {
        for (token, mode) in std::mem::take(&mut self.reads.held) {
            self.on_read(token, mode, now, effects);
        }
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

    /// Nobody is to wait for a read any more, confirmed or not.
    pub(super) fn refuse_reads(&mut self, why: Refused, effects: &mut Effects) {
        let unconfirmed = self.node.give_up_reads().into_iter().map(|id| Token(id.0));
        let all = unconfirmed.chain(self.reads.take());
        effects.refused.extend(all.map(|token| (token, why)));
    }
}

impl Reads {
    /// Keep this one until it is known who leads. False when too many wait for that already.
    pub(super) fn hold(&mut self, token: Token, mode: ReadMode) -> bool {
        let has_room = self.held.len() < HELD_MAX;
        if has_room {
            self.held.push((token, mode));
        }
        has_room
    }

    /// Some wait until it is known who leads.
    pub(super) fn are_held(&self) -> bool {
        !self.held.is_empty()
    }

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
        self.held.len() + self.waiting.values().map(Vec::len).sum::<usize>()
    }

    /// When to give up the first of those that wait for more than is committed here; of each index
    /// the oldest counts, and an index is seldom asked for later than a greater one.
    pub(super) fn next_deadline(&self, commit: Index, patience: Duration) -> Option<Moment> {
        let (_, first) = self.waiting.range(commit.next()..).next()?;
        first.first().map(|(_, since)| *since + patience)
    }

    /// Those that waited for so long for what is not here wait no more.
    pub(super) fn give_up(&mut self, now: Moment, commit: Index, patience: Duration) {
        for (_, reads) in self.waiting.range_mut(commit.next()..) {
            let old = reads.partition_point(|(_, since)| *since + patience <= now);
            self.failed.extend(reads.drain(..old).map(|(token, _)| token));
            if !reads.is_empty() {
                break;
            }
        }
        self.waiting.retain(|_, reads| !reads.is_empty());
    }

    /// Nobody is to wait any more.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Token> {
        let Self { held, waiting, failed } = std::mem::take(self);
        let waiting = waiting.into_values().flatten().map(|(token, _)| token);
        held.into_iter().map(|(token, _)| token).chain(waiting).chain(failed)
    }
}
