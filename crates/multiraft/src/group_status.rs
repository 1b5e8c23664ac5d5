//! How one replica stands: plain values for status pages and tests.

use kontiki_types::{Index, PeerId, Position, RegionId, StoreId, Term};

/// How one replica stands, for status and tests.
#[derive(Clone, Debug)]
pub struct GroupStatus {
    /// Which group.
    pub group: RegionId,
    /// Which replica.
    pub peer: PeerId,
    /// `leader`, `follower`, …
    pub role: &'static str,
    /// Its term.
    pub term: Term,
    /// Who leads, if known.
    pub leader: Option<(PeerId, StoreId)>,
    /// First entry of the log.
    pub first: Index,
    /// Last entry of the log.
    pub last: Position,
    /// Known to be committed.
    pub commit: Index,
    /// Applied to the state machine.
    pub applied: Index,
    /// Applied, and durable in the engine.
    pub durable_applied: Index,
    /// Bytes of the log.
    pub log_bytes: usize,
    /// Bytes of those whose data is in memory.
    pub cached_bytes: usize,
    /// Why it takes no part, or no full one yet, if so.
    pub quarantine: Option<String>,
}
