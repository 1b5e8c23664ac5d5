//! What a test sees of what happened: lines, and marks that count it by a word.

use kontiki_types::{Index, PeerId, Position};

use super::Group;
use crate::{ChangeFailure, ChangeStage, Node, Notice, StoreOp, TransferOutcome};

impl Group {
    /// What happened since the last call.
    pub fn take_trace(&mut self) -> String {
        let lines = std::mem::take(&mut self.trace);
        lines.into_iter().map(|line| line + "\n").collect()
    }

    pub(super) fn line(&mut self, line: String) {
        if self.tracing {
            self.trace.push(line);
        }
    }

    pub(super) fn mark(&mut self, word: &'static str) {
        *self.marks.entry(word).or_default() += 1;
    }

    pub(super) fn mark_op(&mut self, id: PeerId, op: &StoreOp) {
        if let Some(stored) = &op.snapshot {
            self.mark(if stored.keep_tail { "restart, tail kept" } else { "restart" });
        }
        let first = op.entries.first().map(|entry| entry.position.index);
        let stored = self.replica_mut(id).disk.stored();
        if stored.entries.last().is_some_and(|last| first <= Some(last.position.index))
            && first.is_some()
        {
            self.mark("truncation");
        }
    }
}

/// The word that a mark counts it under.
pub(super) fn word(notice: &Notice) -> &'static str {
    match notice {
        Notice::SnapshotWanted { .. } => "snapshot wanted",
        Notice::SnapshotInstall(_) => "snapshot installed",
        Notice::LeaderStart { .. } => "leader elected",
        Notice::LeaderStop { .. } => "leader stepped down",
        Notice::LeaderChanged { .. } => "leader changed",
        Notice::MembershipAppended(_) => "membership appended",
        Notice::MembershipCommitted { membership, .. } if membership.is_joint() => {
            "joint membership committed"
        }
        Notice::MembershipCommitted { .. } => "membership committed",
        Notice::ChangeStage(ChangeStage::CatchingUp { .. }) => "newcomers catch up",
        Notice::ChangeStage(ChangeStage::Joint { .. }) => "change joint",
        Notice::ChangeStage(ChangeStage::Final { .. }) => "change final",
        Notice::ChangeEnded(Ok(_)) => "change done",
        Notice::ChangeEnded(Err(ChangeFailure::CatchUp { .. })) => "change gave up a newcomer",
        Notice::ChangeEnded(Err(ChangeFailure::WouldStall { .. })) => "change gave up: would stall",
        Notice::ChangeEnded(Err(ChangeFailure::LeadershipLost)) => "change never begun",
        Notice::ChangeEnded(Err(ChangeFailure::Unknown)) => "change of unknown outcome",
        Notice::Removed => "removed",
        Notice::TransferEnded { outcome: TransferOutcome::Done, .. } => "transfer done",
        Notice::TransferEnded { .. } => "transfer given up",
    }
}

/// What a line about a change compares.
pub(super) struct Status {
    role: String,
    last: Position,
    commit: Index,
}

impl Status {
    pub(super) fn of(node: &Node) -> Self {
        Self {
            role: format!("{} {}", node.role_name(), node.term()),
            last: node.last_position(),
            commit: node.commit(),
        }
    }

    pub(super) fn changes(&self, node: &Node) -> Vec<String> {
        let now = Self::of(node);
        let pairs = [
            ("", self.role.clone(), now.role),
            ("last ", self.last.to_string(), now.last.to_string()),
            ("commit ", self.commit.to_string(), now.commit.to_string()),
        ];
        let changed = pairs.into_iter().filter(|(_, before, after)| before != after);
        changed.map(|(what, before, after)| format!("{what}{before} → {after}")).collect()
    }
}
