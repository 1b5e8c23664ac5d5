//! Mistakes made on purpose, in the simulated environment and never in the product.
//!
//! A checker that has never caught anything proves nothing. Each mutant is a mistake a driver, a
//! disk or a client could make; the tests show how soon it is noticed.

/// A mistake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mutant {
    /// The driver never writes hard states: a vote is forgotten in a crash.
    VoteNotLogged,
    /// The driver sends gated messages before the sync.
    AckBeforeSync,
    /// The disk says that a log sync is done and does not do it.
    SyncLies,
    /// The client takes a new request id for each try of a write.
    RetryAsNew,
    /// The store answers reads at once, from what it has applied, without asking the group.
    ReadUnconfirmed,
    /// Replies go out when an entry is handed to the apply worker of the old leader's own log,
    /// before it is committed: the store answers writes as soon as its own log holds them.
    ReplyBeforeCommit,
    /// After a restart the engine's applied position is taken to be a little lower than it is, so
    /// entries are applied twice.
    ApplyTwice,
    /// The apply worker drops the last payload of an entry now and then, on one store.
    ApplySkips,
    /// The engine is never synced before the log is compacted.
    CompactUnsynced,
    /// Damaged frames are not refused: their checksum is made good again after the damage.
    DamagePasses,
}

impl Mutant {
    /// All mutants.
    pub const ALL: &'static [Self] = &[
        Self::VoteNotLogged,
        Self::AckBeforeSync,
        Self::SyncLies,
        Self::RetryAsNew,
        Self::ReadUnconfirmed,
        Self::ReplyBeforeCommit,
        Self::ApplyTwice,
        Self::ApplySkips,
        Self::CompactUnsynced,
        Self::DamagePasses,
    ];

    /// The mutant of this name, as `Debug` prints it.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mutant| format!("{mutant:?}") == name)
    }
}
