//! Why a peer changed its role or its leader: what a user of callbacks acts upon.
//!
//! Made by whoever asks for the change ([`super::Transition`]), told in [`crate::Notice`].

use std::fmt;

/// Why a peer leads no more, or follows no more or somebody else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// It leads since a moment ago.
    Elected,
    /// It stands for election.
    Stands,
    /// It asks whether an election could be won, for no leader is heard.
    AsksForVotes,
    /// Its pre-vote was lost.
    PreVoteLost,
    /// Its election was lost.
    ElectionLost,
    /// A leader spoke: of this term, or of a newer one.
    LeaderSpoke,
    /// The leader is silent for longer than an election timeout.
    LeaderSilent,
    /// Another began an election in a newer term.
    ElectionBegan,
    /// A pre-vote was refused by a peer in a newer term.
    PreVoteRefused,
    /// Any other word of a newer term.
    NewerTerm,
    /// It led, and handed over.
    HandedOver,
    /// It led, and a quorum is silent for longer than an election timeout.
    QuorumSilent,
    /// It was asked to step down.
    SteppedDown,
    /// It shall not lead, by its priority.
    NeverLeads,
    /// Its vote was taken away.
    VoteGone,
    /// It was removed from the group.
    Removed,
    /// Its membership was reset by force.
    PeersReset,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elected => "it was elected",
            Self::Stands => "it stands for election",
            Self::AsksForVotes => "no leader is heard",
            Self::PreVoteLost => "the pre-vote was lost",
            Self::ElectionLost => "the election was lost",
            Self::LeaderSpoke => "the leader spoke",
            Self::LeaderSilent => "the leader is silent",
            Self::ElectionBegan => "an election began",
            Self::PreVoteRefused => "a pre-vote was refused",
            Self::NewerTerm => "a newer term was seen",
            Self::HandedOver => "it handed over",
            Self::QuorumSilent => "a quorum is silent",
            Self::SteppedDown => "asked to step down",
            Self::NeverLeads => "it shall not lead",
            Self::VoteGone => "its vote is gone",
            Self::Removed => "it was removed",
            Self::PeersReset => "its peers were reset",
        })
    }
}
