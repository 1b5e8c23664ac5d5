//! What to do when a try failed: again at once, again later, or give up, and then with what news.
//!
//! Pure: failure, history, time and a random draw go in, a decision comes out. The rule that
//! matters: a write that may have happened is only ever sent again under the same request id, and
//! giving up on it says that its outcome is unknown.

use std::fmt;
use std::time::Duration;

use kontiki_types::Moment;

use crate::backoff::backoff;

/// Tries in a row without a pause in between, before redirections are taken for a circle.
pub const IMMEDIATE_MAX: u32 = 3;
/// Fresh request ids for one write, before a store is taken for one that forgets every session.
pub const AFRESH_MAX: u32 = 3;

/// Longest pause while nobody is known to lead. An election ends at some moment, and every caller
/// waits for that moment: to find it late costs more than to ask often, which is one small message
/// for all of them.
pub const ELECTION_PAUSE_MAX: Duration = Duration::from_millis(20);

/// Why a try failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The store does not lead; `hinted` when it said who does.
    NotLeader {
        /// It said who leads.
        hinted: bool,
    },
    /// The region is not as it was thought to be; `learned` when the map is better now.
    RegionChanged {
        /// The map is better now.
        learned: bool,
    },
    /// No region is known for the key.
    NoRoute,
    /// A queue is full.
    Busy {
        /// Which.
        reason: String,
        /// When to come back; 0: as the client likes.
        retry_after_ms: u32,
    },
    /// The store cannot serve now.
    Unavailable(String),
    /// The session's outcomes at the store are too many.
    SessionFull,
    /// The session, or this request of it, is not known at the store any more.
    Forgotten,
    /// A limit was broken or the request makes no sense: another try is useless.
    Rejected(String),
    /// No connection, and the request was never sent.
    NotSent,
    /// The connection broke after the request was sent.
    ConnectionLost,
    /// The store did not answer in time.
    NoAnswer,
    /// The store itself does not know the outcome.
    Unknown(String),
}

impl Failure {
    /// After this failure a write may have happened, or may still happen.
    pub fn is_uncertain(&self) -> bool {
        matches!(self, Self::ConnectionLost | Self::NoAnswer | Self::Unknown(_))
    }

    /// The leader is not where it was thought to be; an election may be under way.
    fn is_about_the_leader(&self) -> bool {
        matches!(self, Self::NotLeader { .. } | Self::NotSent | Self::ConnectionLost)
    }

    /// The way to another try is clear, so that no pause is needed.
    fn knows_a_way(&self) -> bool {
        match self {
            Self::NotLeader { hinted } => *hinted,
            Self::RegionChanged { learned } => *learned,
            // Another store is asked, or the same one over a new connection.
            // Where leadership was lost by a transfer, somebody leads already.
            Self::NotSent
            | Self::ConnectionLost
            | Self::NoAnswer
            | Self::Forgotten
            | Self::Unknown(_) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { hinted: true } => write!(f, "redirected to another leader"),
            Self::NotLeader { hinted: false } => write!(f, "no leader known"),
            Self::RegionChanged { .. } => write!(f, "region changed"),
            Self::NoRoute => write!(f, "no region known for the key"),
            Self::Busy { reason, .. } => write!(f, "store busy: {reason}"),
            Self::Unavailable(why) => write!(f, "store unavailable: {why}"),
            Self::SessionFull => write!(f, "too many outstanding writes of this client"),
            Self::Forgotten => write!(f, "client session expired at the store"),
            Self::Rejected(why) => write!(f, "rejected: {why}"),
            Self::NotSent => write!(f, "store not reachable"),
            Self::ConnectionLost => write!(f, "connection lost before the answer"),
            Self::NoAnswer => write!(f, "store did not answer"),
            Self::Unknown(why) => write!(f, "store does not know the outcome: {why}"),
        }
    }
}

/// The history of a call, its newest failure included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct History {
    /// Tries that failed, at least 1.
    pub failed_count: u32,
    /// Tries in a row that followed their predecessor at once.
    pub immediate_count: u32,
    /// Fresh request ids it was given. Counted apart: redirections that came before say nothing
    /// about sessions (found by seed 5550000047).
    pub afresh_count: u32,
    /// It is a write, and some try may have made it happen.
    pub may_have_happened: bool,
    /// When the caller stops waiting.
    pub deadline: Moment,
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Try again at once, under the same request id.
    Now,
    /// Try again at once, under a fresh request id: it surely has not happened.
    NowAfresh,
    /// Try again after a pause, under the same request id.
    After(Duration),
    /// Give up; nothing was changed.
    Fail,
    /// Give up; the write may have happened.
    FailUnknown,
}

/// Decides. `draw` is any random number; it spreads the pauses.
pub fn decide(failure: &Failure, history: History, now: Moment, draw: u64) -> Decision {
    let give_up = if history.may_have_happened { Decision::FailUnknown } else { Decision::Fail };
    match failure {
        Failure::Rejected(_) => return give_up,
        // Never execute again what may have happened: its outcome would be in the session that is
        // no longer known.
        Failure::Forgotten if history.may_have_happened => return give_up,
        _ => {}
    }
    if now >= history.deadline {
        return give_up;
    }
    if *failure == Failure::Forgotten {
        // Beyond the bound sessions vanish faster than they are opened.
        let again = history.afresh_count < AFRESH_MAX;
        return if again { Decision::NowAfresh } else { give_up };
    }
    if failure.knows_a_way() && history.immediate_count < IMMEDIATE_MAX {
        return Decision::Now;
    }
    let asked = match failure {
        Failure::Busy { retry_after_ms, .. } => Duration::from_millis((*retry_after_ms).into()),
        _ => Duration::ZERO,
    };
    let mut pause = backoff(history.failed_count, draw).max(asked);
    if failure.is_about_the_leader() {
        pause = pause.min(ELECTION_PAUSE_MAX);
    }
    if now + pause >= history.deadline { give_up } else { Decision::After(pause) }
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
