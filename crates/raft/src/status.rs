//! What a [`crate::Node`] tells about itself: its role and the progress of its followers.
//!
//! Plain values for status pages and golden scripts; nothing here is read back by the protocol.

use kontiki_types::{Index, Moment, PeerId};

/// Which part a peer plays at the moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RoleKind {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether it could win an election.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

impl RoleKind {
    /// In words, for status and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Follower => "follower",
            Self::PreCandidate => "pre-candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        }
    }
}

/// How a leader feeds a follower.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ProgressMode {
    /// Looks for the point where the logs agree, one append at a time.
    Probe,
    /// Streams entries as they come.
    Replicate,
    /// Waits for the follower to install a snapshot.
    Snapshot,
}

/// Messages sent to one follower, by kind.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SentCounts {
    /// Appends, empty ones too.
    pub appends: u64,
    /// Heartbeats of their own.
    pub heartbeats: u64,
    /// Snapshots asked for.
    pub snapshots: u64,
}

/// How far one follower is, as its leader knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerProgress {
    /// Who.
    pub peer: PeerId,
    /// How it is fed.
    pub mode: ProgressMode,
    /// Its log equals the leader's up to here, durably.
    pub matched: Index,
    /// The next entry it gets.
    pub next: Index,
    /// Appends under way to it.
    pub inflight_messages: usize,
    /// Bytes under way to it.
    pub inflight_bytes: usize,
    /// When it was last heard of in this term; when the term began, if never.
    pub heard: Moment,
    /// What was sent to it since this peer began to feed it.
    pub sent: SentCounts,
}
