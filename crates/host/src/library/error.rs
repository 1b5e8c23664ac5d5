//! What the library answers when something was not done, or when nobody knows.
//!
//! One enum for all of it, cheap to clone because one cause may end many tasks. Each variant says
//! what the caller may do next; [`Error::code`] is JRaft's number for the same thing, for those who
//! know that system.

use std::io::{self, ErrorKind};

use kontiki_log::Error as LogError;
use kontiki_multiraft::{Refused, RestoreError};
use kontiki_raft::{ChangeError, ChangeFailure, Contradiction};
use kontiki_types::{Index, PeerId, Position, StoreId, Term};

use crate::node_host::StartError;

/// Why something was not done.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another replica leads, or none is known. Nothing was proposed: ask the leader.
    #[error("not the leader{}", hint(*leader))]
    NotLeader {
        /// Who leads, or is about to, if known.
        leader: Option<(PeerId, StoreId)>,
    },
    /// Too much is under way. Nothing was proposed: try again a little later.
    #[error("busy: too much is under way")]
    Busy,
    /// The leader is handing over. Nothing was proposed: try again, elsewhere.
    #[error("the leader is handing over")]
    Transferring,
    /// The leader is not in the term the task expects. Nothing was proposed.
    #[error("the leader is in term {current}, not in the expected one")]
    TermMismatch {
        /// The current one.
        current: Term,
    },
    /// Leadership was lost while the task was under way, or the state machine of this node failed
    /// while it applied the batch of the task: it may take effect or not, or has already.
    #[error("nobody knows here whether it takes effect: look before you try again")]
    OutcomeUnknown,
    /// A read could not be confirmed; it is safe to try again.
    #[error("the read could not be confirmed: try again")]
    ReadNotConfirmed,
    /// No node of this group on this host.
    #[error("no such group on this store")]
    NoGroup,
    /// The host has a node of this group already.
    #[error("the group has a node on this store already")]
    Exists,
    /// The state machine failed: the node is in its error state until it is recovered. Nothing was
    /// proposed.
    #[error("the node is in its error state: {reason}")]
    StateMachine {
        /// What the state machine said, or the message of its panic.
        reason: String,
    },
    /// What a leader says contradicts what the replica here knows: its log was lost and it came
    /// back under its old number, or two groups were begun under one name. To recover it helps
    /// nothing: destroy it ([`super::Host::destroy_node`]), and let another join under a number of
    /// its own.
    #[error("the node is in its error state: {0}")]
    Contradiction(Contradiction),
    /// The host stopped because it can no longer keep its promises: a failed write or sync of the
    /// log. Shut it down and start it again, on a disk that works.
    #[error("the host has failed: {cause}")]
    Host {
        /// The first cause.
        cause: String,
    },
    /// The call would wait for threads of a host, and was made on one: in a callback, a completion
    /// or another piece of user code that a host runs. Nothing was done: call from a thread of your
    /// own, and do not wait for it there.
    #[error("not on a thread of a host: call it from a thread of your own, not from a callback")]
    OnHostThread,
    /// The node or the host was shut down.
    #[error("shut down")]
    ShutDown,
    /// The task is larger than a task may be.
    #[error("a task of {bytes} bytes, {max} are the most")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A transfer of leadership began and came to nothing; the old leader leads on, or nobody does.
    #[error("transfer: {0}")]
    Transfer(String),
    /// A peer that is no member, or cannot do what is asked.
    #[error("bad peer: {0}")]
    BadPeer(String),
    /// A change of membership that cannot be made.
    #[error("membership: {0}")]
    Membership(String),
    /// Another change of membership, or a transfer, is under way, or a peer would be needed that is
    /// silent or needs a snapshot first. Nothing was changed: try again when that has ended.
    #[error("membership: {0}")]
    MembershipBusy(String),
    /// A new peer did not catch up in time; the membership is as it was.
    #[error("{peer} did not catch up: nothing was changed")]
    NotCaughtUp {
        /// Which one.
        peer: PeerId,
    },
    /// A snapshot could not be saved or loaded.
    #[error("snapshot: {0}")]
    Snapshot(String),
    /// The log of the replica contradicts its snapshots, or is damaged.
    #[error("restore: {0}")]
    Restore(String),
    /// Nothing is applied at that index yet.
    #[error("the log is applied up to {applied}: ask for an index not beyond")]
    LogIndexOutOfBounds {
        /// The last entry applied.
        applied: Index,
    },
    /// The log does not reach back so far: a snapshot took its place.
    #[error("the log begins at {first}: what is older is in a snapshot")]
    LogCompacted {
        /// The first entry it may still have.
        first: Index,
    },
    /// No answer in time; what was asked may still happen.
    #[error("timed out")]
    TimedOut,
    /// The other store cannot be reached or does not speak our language.
    #[error("network: {0}")]
    Network(String),
    /// The store refuses administration over the network.
    #[error("this store takes no administration over the network (disable_cli)")]
    CliDisabled,
    /// What another store answered to an operator.
    #[error("{message}")]
    Remote {
        /// Its number for the reason, as [`Error::code`] gives it.
        code: i32,
        /// Its words.
        message: String,
    },
    /// A value that is no such thing: an address, a configuration, an option.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The disk or the operating system refused something.
    #[error("{0}")]
    Io(String),
}

impl Error {
    /// JRaft's `RaftError` for the same thing.
    pub fn code(&self) -> i32 {
        match self {
            Self::NotLeader { .. } | Self::TermMismatch { .. } => 1008, // EPERM
            Self::Busy | Self::Transferring | Self::MembershipBusy(_) => 1009, // EBUSY
            Self::OutcomeUnknown => 10_011,                             // ENEWLEADER
            Self::ReadNotConfirmed => 1002,                             // EAGAIN
            Self::NoGroup | Self::Restore(_) | Self::LogCompacted { .. } => 1012, // ENOENT
            Self::Exists => 1013,                                       // EEXISTS
            Self::StateMachine { .. } => 10_002,                        // ESTATEMACHINE
            Self::Contradiction(_) => 10_012,                           // ELEADERCONFLICT
            Self::Host { .. } | Self::Snapshot(_) | Self::Io(_) => 1014, // EIO
            Self::ShutDown => 10_006,                                   // ENODESHUTDOWN
            Self::TooLarge { .. }
            | Self::BadPeer(_)
            | Self::Invalid(_)
            | Self::Membership(_)
            | Self::LogIndexOutOfBounds { .. } => 1015, // EINVAL
            Self::NotCaughtUp { .. } => 10_003,                         // ECATCHUP
            Self::TimedOut | Self::Transfer(_) => 1010,                 // ETIMEDOUT
            Self::Network(_) => 1006,                                   // EHOSTDOWN
            Self::Remote { code, .. } => *code,
            Self::CliDisabled | Self::OnHostThread => 1016, // EACCES
        }
    }

    /// Of the directory with a group's snapshots: something in it is damaged or gone, or the disk
    /// refuses, which says nothing of what is in it.
    pub(super) fn of_snapshots(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidData | ErrorKind::NotFound | ErrorKind::UnexpectedEof => {
                Self::Snapshot(error.to_string())
            }
            _ => Self::Io(error.to_string()),
        }
    }

    /// True when the same request may be made again at once or a little later, here or at the
    /// leader, without any risk of taking effect twice.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::NotLeader { .. }
                | Self::Busy
                | Self::Transferring
                | Self::MembershipBusy(_)
                | Self::ReadNotConfirmed
        )
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoGroup => Self::NoGroup,
            Refused::Halted => Self::ShutDown,
            Refused::Quarantined => Self::Restore("the log of the replica is damaged".to_owned()),
            Refused::NotLeader { leader } => Self::NotLeader { leader },
            Refused::Busy => Self::Busy,
            Refused::Transferring => Self::Transferring,
            Refused::TermMismatch { current } => Self::TermMismatch { current },
            Refused::ReadFailed => Self::ReadNotConfirmed,
            Refused::Change(error) => match error {
                ChangeError::NotLeader { .. } => Self::NotLeader { leader: None },
                ChangeError::NotReady | ChangeError::InProgress | ChangeError::Transferring => {
                    Self::MembershipBusy(error.to_string())
                }
                _ => Self::Membership(error.to_string()),
            },
            Refused::ChangeFailed(ChangeFailure::CatchUp { peer }) => Self::NotCaughtUp { peer },
            Refused::ChangeFailed(why @ ChangeFailure::WouldStall { .. }) => {
                Self::MembershipBusy(why.to_string())
            }
            Refused::ChangeFailed(ChangeFailure::LeadershipLost) => {
                Self::NotLeader { leader: None }
            }
            Refused::LeadershipLost | Refused::ChangeFailed(_) => Self::OutcomeUnknown,
            Refused::Reset(error) => Self::Membership(error.to_string()),
            Refused::BadTarget(why) => Self::BadPeer(why.to_string()),
        }
    }
}

/// What the world refused is tried again when the world is mended; only what is told of the log
/// itself is a reason to give it up.
impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        let text = error.to_string();
        match error {
            StartError::Io(_) | StartError::Log(LogError::Io { .. } | LogError::Poisoned) => {
                Self::Io(text)
            }
            StartError::Log(LogError::Version { .. } | LogError::Config { .. }) => {
                Self::Invalid(text)
            }
            _ => Self::Restore(text),
        }
    }
}

/// In a library group snapshots are what its words call the engine.
impl From<RestoreError> for Error {
    fn from(error: RestoreError) -> Self {
        Self::Restore(match error {
            RestoreError::LogMissing { group, applied } => format!(
                "{group}: there is a snapshot up to {applied}, and the log knows nothing of the \
                 group: bring the log directory back, or destroy the node"
            ),
            RestoreError::EngineBehind { group, applied: Position::ZERO, start } => format!(
                "{group}: the log begins after {start}, and there is no snapshot: bring the \
                 directory of its snapshots back, or destroy the node"
            ),
            RestoreError::EngineBehind { group, applied, start } => format!(
                "{group}: the log begins after {start}, and the newest snapshot goes up to \
                 {applied} only: bring the one after it back, or destroy the node"
            ),
            other => other.to_string(),
        })
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

fn hint(leader: Option<(PeerId, StoreId)>) -> String {
    leader.map_or_else(|| ", and none is known".to_owned(), |(_, store)| format!(": ask {store}"))
}

#[cfg(test)]
mod tests {
    use kontiki_types::RegionId;

    use super::*;

    #[test]
    fn messages_tell_what_to_do_and_codes_are_jrafts() {
        let elsewhere = Error::NotLeader { leader: Some((PeerId(2), StoreId(2))) };
        assert_eq!(elsewhere.to_string(), "not the leader: ask s2");
        assert_eq!((elsewhere.code(), elsewhere.is_retryable()), (1008, true));
        let unknown = Error::from(Refused::LeadershipLost);
        assert_eq!((unknown.code(), unknown.is_retryable()), (10_011, false));
        let later = Error::from(Refused::Change(ChangeError::InProgress));
        assert_eq!((later.code(), later.is_retryable()), (1009, true), "{later}");
    }

    #[test]
    fn what_the_log_and_the_snapshots_make_of_each_other_is_told_in_their_words() {
        let (group, applied) = (RegionId(7), Position { term: Term(2), index: Index(5) });
        let start = Position { term: Term(2), index: Index(9) };
        let missing = RestoreError::LogMissing { group, applied };
        let behind = RestoreError::EngineBehind { group, applied, start };
        let none = RestoreError::EngineBehind { group, applied: Position::ZERO, start };
        let damaged = RestoreError::Quarantined { group, why: "a hole".to_owned() };
        let texts = [missing, behind, none, damaged].map(|error| Error::from(error).to_string());
        assert!(texts.iter().all(|text| text.starts_with("restore: r7: ")), "{texts:#?}");
        assert!(!texts.iter().any(|text| text.contains("engine") || text.contains("0@0")));
        assert!(texts[2].contains("there is no snapshot"), "{texts:#?}");
    }

    #[test]
    fn a_disk_that_refuses_a_snapshot_is_told_from_one_that_damaged_it() {
        let of = |kind: ErrorKind| Error::of_snapshots(&io::Error::from(kind));
        for damage in [ErrorKind::InvalidData, ErrorKind::NotFound, ErrorKind::UnexpectedEof] {
            assert!(matches!(of(damage), Error::Snapshot(_)), "{damage}");
        }
        for refusal in [ErrorKind::PermissionDenied, ErrorKind::StorageFull, ErrorKind::Other] {
            assert!(matches!(of(refusal), Error::Io(_)), "{refusal}");
        }
    }
}
