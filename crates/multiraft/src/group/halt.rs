//! A replica that stops taking part while its process lives on, one that comes back, and one that
//! goes.
//!
//! Its state machine failed, or its owner shut it down. To its peers it looks like a crashed one:
//! it says nothing but what waited for the log, and what they say to it is dropped. Log and ballot
//! stay as they are, so that it can come back as if its process had restarted. A leader hands over
//! first, so that the others need not wait for an election timeout.

use kontiki_raft::{ChangeFailure, Config as RaftConfig, RoleKind, TransferOutcome};
use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{Message, Moment, SnapshotMeta};

use super::Group;
use crate::effect::{ApplyTask, Effects, Refused};

/// Whether a replica takes part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// It does.
    Full,
    /// It still leads, until another does or the transfer is given up.
    HandingOver,
    /// Halted with the end of the turn: what its node wants durable by then still gets there.
    Ending,
    /// It does not.
    Halted,
}

/// What a halted replica comes back with.
#[derive(Debug)]
pub struct Revival {
    /// Settings of the replica.
    pub raft: RaftConfig,
    /// Where its new state machine stands: at the start of the log, at an entry of it, or at a
    /// snapshot beyond it.
    pub at: SnapshotMeta,
}

/// A revival that waits until what is on its way to the log is durable.
pub(super) type Pending = Option<Box<Revival>>;

impl Group {
    pub(crate) fn is_halted(&self) -> bool {
        self.part == Part::Halted
    }

    /// Nothing more is asked of it.
    pub(crate) fn is_halting(&self) -> bool {
        self.part != Part::Full
    }

    /// Stop taking part; a leader hands over first, to the follower that is furthest.
    pub(crate) fn halt(&mut self, now: Moment) {
        if self.part != Part::Full {
            return;
        }
        let handing_over = self.node.transfer(None, now).is_ok();
        self.part = if handing_over { Part::HandingOver } else { Part::Ending };
    }

    /// Stop taking part with the end of this turn.
    pub(crate) fn halt_now(&mut self) {
        if !self.is_halted() {
            self.part = Part::Ending;
        }
    }

    /// What this message says cannot be, or was said before it: it must not be handed over. Then
    /// this replica stops, unless it is the talk of somebody who does not belong to the group.
    pub(super) fn is_contradicted(&mut self, message: &Message) -> bool {
        if self.contradiction.is_some() {
            return true;
        }
        let Some(what) = self.node.contradiction(message) else { return false };
        if !what.is_talk() || self.node.membership().contains(message.from) {
            self.contradiction = Some(Box::new(what));
            self.halt_now();
        }
        true
    }

    fn end(&mut self, effects: &mut Effects) {
        self.part = Part::Halted;
        let (group, what) = (self.id, self.contradiction.take());
        effects.apply.extend(what.map(|what| ApplyTask::Contradicted { group, what }));
        effects.halted.push(self.id);
        self.gated.clear();
        if mutants::is_on(Mutant::HaltedSilently) {
            self.proposals.clear();
            self.waiting.clear();
        }
        let proposals = std::mem::take(&mut self.proposals);
        effects.refused.extend(proposals.into_iter().map(|p| (p.token, Refused::Halted)));
        while let Some(entry) = self.waiting.pop_front() {
            // It may be committed already, by the others.
            self.refuse(entry, Refused::LeadershipLost, effects);
        }
        self.refuse_reads(Refused::Halted, effects);
        let unknown = Refused::ChangeFailed(ChangeFailure::Unknown);
        effects.refused.extend(self.members.take_asked().map(|token| (token, unknown)));
        self.give_up_transfers(effects);
        self.waiting_bytes = 0;
        self.discard_spool(effects);
    }

    /// The snapshot that waited for entries to be applied will not be installed.
    pub(super) fn discard_spool(&mut self, effects: &mut Effects) {
        let group = self.id;
        let waits = self.spool.take();
        effects.apply.extend(waits.map(|spool| ApplyTask::Discard { group, spool }));
    }

    /// Nobody will know how they ended.
    pub(super) fn give_up_transfers(&mut self, effects: &mut Effects) {
        let ended = self.transfers.drain(..);
        effects.transferred.extend(ended.map(|(_, token)| (token, TransferOutcome::TimedOut)));
    }

    /// A transfer of leadership ended, well or not.
    pub(super) fn handed_over(&mut self) {
        if self.part == Part::HandingOver {
            self.part = Part::Ending;
        }
    }

    /// End of the turn: a replica that was handing over and leads no more stops.
    pub(super) fn settle(&mut self, effects: &mut Effects) {
        let leads = self.node.role() == RoleKind::Leader;
        match self.part {
            Part::Ending => self.end(effects),
            Part::HandingOver if !leads => self.end(effects),
            Part::Full | Part::HandingOver | Part::Halted => {}
        }
    }

    /// Come back, at once or once nothing is on its way to the log.
    pub(crate) fn revive(&mut self, revival: Revival, now: Moment) {
        assert!(self.is_halted(), "{}: revived while it takes part", self.id);
        self.revival = Some(Box::new(revival));
        self.try_revive(now);
    }

    pub(super) fn try_revive(&mut self, now: Moment) {
        if !self.in_flight.is_empty() && !mutants::is_on(Mutant::RevivedEarly) {
            return;
        }
        let Some(revival) = self.revival.take() else { return };
        let node = self.node.successor(revival.raft, &revival.at, now);
        // What the shard knows of it stays: its sums would keep for ever what is not taken off.
        let (noted, counted, is_watched) = (self.noted, self.counted, self.is_watched);
        let new = Self::new(self.id, node, self.durability);
        *self = Self { noted, counted, is_watched, ..new };
    }

    /// The group goes away: whoever waits is told what is known.
    pub(crate) fn destroy(mut self, effects: &mut Effects) {
        for proposal in self.proposals.drain(..) {
            effects.refused.push((proposal.token, Refused::NoGroup));
        }
        let lost = self.waiting.drain(..).flat_map(|entry| entry.tokens);
        effects.refused.extend(lost.map(|token| (token, Refused::LeadershipLost)));
        self.refuse_reads(Refused::ReadFailed, effects);
        let unknown = Refused::ChangeFailed(ChangeFailure::Unknown);
        effects.refused.extend(self.members.take_asked().map(|token| (token, unknown)));
        self.give_up_transfers(effects);
        self.discard_spool(effects);
    }
}
