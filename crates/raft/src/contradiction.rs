//! Messages that cannot be, if every replica keeps what it promised.
//!
//! A replica that lost its log and came back under its old number is told of entries that it never
//! saw; two groups that were begun under one name have a leader each. That is no bug in here but a
//! fault of whoever runs the stores, and must not take other groups along: the driver asks
//! [`crate::Node::contradiction`] before it hands a message over, and stops this replica when there
//! is one. [`crate::Node::step`] relies on that.

use kontiki_types::{Body, Index, Message, PeerId, Position, Term};

use crate::RoleKind;
use crate::roles::Role;
use crate::shared::Shared;

/// What a message says that cannot be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Contradiction {
    /// Two replicas lead one term.
    #[error("{leader} and {from} both lead {term}: two groups of one name")]
    TwoLeaders {
        /// The term.
        term: Term,
        /// Who leads as far as this replica knows; it may be itself.
        leader: PeerId,
        /// Who says that it leads.
        from: PeerId,
    },
    /// This replica acknowledged entries that it does not have.
    #[error("{from} knows that this replica held {commit}, its log ends at {last}: it was lost")]
    LogLost {
        /// The leader.
        from: PeerId,
        /// What this replica acknowledged, at least.
        commit: Index,
        /// The end of its log.
        last: Position,
    },
    /// The leader does not hold what this replica knows to be committed.
    #[error(
        "{ours} is committed, {from} holds {theirs} there: two groups of one name, or lost logs"
    )]
    CommittedDiffers {
        /// The leader.
        from: PeerId,
        /// What is committed.
        ours: Position,
        /// What the leader has at this index.
        theirs: Position,
    },
}

impl Contradiction {
    /// It says nothing about this replica, only about who sent it: from a stranger to the group it
    /// need not be listened to.
    pub fn is_talk(&self) -> bool {
        match self {
            Self::TwoLeaders { .. } | Self::CommittedDiffers { .. } => true,
            Self::LogLost { .. } => false,
        }
    }
}

/// What this message contradicts, if anything.
pub(crate) fn find(shared: &Shared, role: &Role, message: &Message) -> Option<Contradiction> {
    // An earlier replica of this group on this store may have been meant: see `arrival`.
    let is_meant = message.to == shared.config.id && message.from != shared.config.id;
    if !is_meant || message.term < shared.term() {
        return None;
    }
    let from = message.from;
    match &message.body {
        Body::Append { prev, entries, .. } => {
            let positions = entries.iter().map(|entry| entry.position);
            // Hardly ever more than the first: appends are of what is not committed here.
            let committed = |position: &Position| position.index <= shared.applying.commit();
            let mut told = std::iter::once(*prev).chain(positions).take_while(committed);
            let differs = told.find_map(|theirs| committed_differs(shared, from, theirs));
            differs.or_else(|| two_leaders(shared, role, message))
        }
        Body::Heartbeat { commit, .. } => {
            two_leaders(shared, role, message).or_else(|| log_lost(shared, from, *commit))
        }
        Body::Sleep { .. } | Body::Snapshot { .. } => two_leaders(shared, role, message),
        _ => None,
    }
}

fn two_leaders(shared: &Shared, role: &Role, message: &Message) -> Option<Contradiction> {
    let (term, from) = (message.term, message.from);
    if term != shared.term() {
        return None;
    }
    let leader = match role {
        Role::Leader(_) => Some(shared.config.id),
        Role::Follower(follower) => follower.leader(),
        Role::PreCandidate(_) | Role::Candidate(_) => None,
    };
    let leader = leader.filter(|leader| *leader != from || role.kind() == RoleKind::Leader)?;
    Some(Contradiction::TwoLeaders { term, leader, from })
}

/// A heartbeat says at most what this replica acknowledged.
fn log_lost(shared: &Shared, from: PeerId, commit: Index) -> Option<Contradiction> {
    let last = shared.log.last();
    (commit > last.index).then_some(Contradiction::LogLost { from, commit, last })
}

fn committed_differs(shared: &Shared, from: PeerId, theirs: Position) -> Option<Contradiction> {
    let term = shared.log.term(theirs.index)?;
    let ours = Position::new(term, theirs.index);
    (ours != theirs).then_some(Contradiction::CommittedDiffers { from, ours, theirs })
}
