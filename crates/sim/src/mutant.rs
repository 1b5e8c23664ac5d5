//! Mistakes made on purpose: those in the product, and those of its surroundings.
//!
//! A checker that has never caught anything proves nothing. The mistakes of the product have their
//! hooks in its own crates ([`kontiki_types::mutants`]) and need a build with the feature
//! `mutants`; those of drivers, disks and clients are made here and need nothing. `hunt` tells how
//! soon each is noticed; the table is in `docs/internals/simulation.md`.

use std::fmt;

pub use kontiki_types::mutants::Mutant as Inside;

/// A mistake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutant {
    /// In the product.
    Inside(Inside),
    /// Around it.
    Outside(Outside),
}

/// A mistake a driver, a disk or a client could make.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outside {
    /// The driver writes hard states one task too late: a vote is forgotten in a crash.
    HardStateLate,
    /// The driver sends gated messages before the sync.
    GatedSentEarly,
    /// The disk says that a log sync is done and does not do it.
    SyncLies,
    /// The driver goes on after a failed sync as if it had gone well.
    SyncErrorIgnored,
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
    /// The engine says that it is synced and is not, before the log is compacted.
    EngineSyncLies,
    /// A replica that forgot what it promised begins anew under its old id.
    HeirIsOld,
    /// The id of an heir is not written down: after a restart it goes by the old one.
    HeirForgotten,
    /// Damaged frames are not refused: their checksum is made good again after the damage.
    DamagePasses,
    /// A snapshot counts as durable as soon as it is written.
    SaveReportedEarly,
    /// The driver does not know a replica any more after a restart, and clears what is left of it.
    ReplicaForgotten,
}

impl Outside {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::HardStateLate,
        Self::GatedSentEarly,
        Self::SyncLies,
        Self::SyncErrorIgnored,
        Self::RetryAsNew,
        Self::ReadUnconfirmed,
        Self::ReplyBeforeCommit,
        Self::ApplyTwice,
        Self::ApplySkips,
        Self::EngineSyncLies,
        Self::HeirIsOld,
        Self::HeirForgotten,
        Self::DamagePasses,
        Self::SaveReportedEarly,
        Self::ReplicaForgotten,
    ];
}

impl Mutant {
    /// All mutants: of the product first, in the order of their list.
    pub fn all() -> impl Iterator<Item = Self> {
        let inside = Inside::ALL.iter().copied().map(Self::Inside);
        inside.chain(Outside::ALL.iter().copied().map(Self::Outside))
    }

    /// The mutant of this name, as `Debug` prints it.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|mutant| format!("{mutant:?}") == name)
    }

    /// Whether this build can make the mistake.
    pub fn is_possible(self) -> bool {
        cfg!(feature = "mutants") || matches!(self, Self::Outside(_))
    }
}

impl fmt::Debug for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inside(mutant) => mutant.fmt(f),
            Self::Outside(mutant) => mutant.fmt(f),
        }
    }
}

/// Makes the mistakes of the product that this mutant stands for, on this thread, while it lives.
pub(crate) struct Switched;

impl Switched {
    /// Switches it on.
    pub(crate) fn on(mutant: Option<Mutant>) -> Self {
        set(match mutant {
            Some(Mutant::Inside(mutant)) => Some(mutant),
            Some(Mutant::Outside(_)) | None => None,
        });
        Self
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        set(None);
    }
}

#[cfg(feature = "mutants")]
fn set(mutant: Option<Inside>) {
    kontiki_types::mutants::set(mutant);
}

#[cfg(not(feature = "mutants"))]
fn set(mutant: Option<Inside>) {
    assert_eq!(mutant, None, "this build has no mutants of the product: --features mutants");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_mutant_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Mutant::all().map(|mutant| format!("{mutant:?}")).collect();
        assert_eq!(names.len(), Mutant::all().count());
        for mutant in Mutant::all() {
            assert_eq!(Mutant::named(&format!("{mutant:?}")), Some(mutant));
        }
    }
}
