//! A broken promise: which rule, and what was seen.
//!
//! The first one ends its run; the seed and the command that replays it are printed with it.

use std::any::Any;
use std::fmt;

/// The rules that runs are judged by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    /// At most one leader per term (Raft figure 3), and nobody has an entry of it that it lacks.
    ElectionSafety,
    /// A term begins with a candidate: nothing else makes one (thesis §9.6).
    TermHasCandidate,
    /// Nobody is helped to an election while the leader is heard of (thesis §4.2.3).
    LeaderStickiness,
    /// A peer votes once per term and its term never goes back, crashes included.
    VoteOnce,
    /// Equal positions hold equal entries after equal prefixes (Raft figure 3).
    LogMatching,
    /// A leader never replaces entries of its own log (Raft figure 3).
    LeaderAppendOnly,
    /// Whoever has the more up-to-date log holds what was committed by its terms (Raft §5.4.1).
    UpToDate,
    /// Every leader holds everything committed before its term (Raft figure 3).
    LeaderCompleteness,
    /// Two peers never commit or apply different entries at one index (Raft figure 3).
    StateMachineSafety,
    /// Some log of every quorum holds what is committed, as long as the group lives.
    QuorumLog,
    /// What is committed is durable on a quorum, by the disks and not by what nodes say, and stays
    /// so.
    CommitDurable,
    /// What a follower acknowledges is durable on its disk.
    AckDurable,
    /// A node acts by the membership that its log puts in effect (thesis §4.1).
    MembershipOfLog,
    /// A confirmed read sees everything committed before it was asked for (thesis §6.4).
    ReadIsFresh,
    /// What was synced is there after a crash, and the applied index never goes back further.
    RecoveryComplete,
    /// Replicas at one applied index hold equal rows.
    ReplicasEqual,
    /// The answers of each key fit one register (WGL).
    Linearizable,
    /// Acknowledged increments are counted, each once.
    ExactlyOnce,
    /// A read of a whole set holds what was added before it or seen by a read before it, and
    /// nothing that nobody had added.
    SetIsWhole,
    /// An answer is of the kind its request allows.
    AnswerForm,
    /// Without faults every operation ends and replicas converge, in bounded time.
    Liveness,
    /// Work per virtual second is bounded.
    Budget,
    /// The run did enough to prove something.
    Workload,
    /// No error that no fault explains.
    NoError,
    /// No assertion of the product fails.
    NoPanic,
}

impl Rule {
    /// True for rules judged from outside alone: what clients asked and were told.
    pub fn is_black_box(self) -> bool {
        matches!(
            self,
            Self::Linearizable
                | Self::ExactlyOnce
                | Self::SetIsWhole
                | Self::AnswerForm
                | Self::Liveness
                | Self::ReplicasEqual
                | Self::Workload
        )
    }
}

/// A broken promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// What was seen, with the values.
    pub what: String,
}

impl Violation {
    /// An assertion of the product failed.
    pub(crate) fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
        let what = words.unwrap_or("a panic without words").to_owned();
        Self { rule: Rule::NoPanic, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}
