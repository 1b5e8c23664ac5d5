//! What goes wrong: the list of faults, and the nemesis that draws them.
//!
//! Reading order: this list, then `nemesis` (when and where they strike, and how they end).

mod nemesis;

pub use nemesis::{End, Nemesis};

/// A fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fault {
    /// A store and all others cannot hear each other; its clients still reach it.
    IsolateOne,
    /// The same for a store that leads.
    IsolateLeader,
    /// A store is cut off from stores and clients.
    CutOff,
    /// One store does not hear another one, which hears it.
    OneWay,
    /// A leader hears nobody, but all hear it.
    DeafLeader,
    /// A leader is heard by nobody, but hears all.
    MuteLeader,
    /// Two stores cannot hear each other; the third hears both.
    Bridge,
    /// A client cannot reach one store.
    ClientCut,
    /// A store loses power.
    CrashOne,
    /// A store that leads loses power.
    CrashLeader,
    /// Two stores lose power at once.
    CrashMajority,
    /// All stores lose power at once.
    CrashAll,
    /// A store stands still, and goes on as if nothing had happened.
    PauseOne,
    /// The same for a store that leads.
    PauseLeader,
    /// A disk becomes slow.
    SlowDisk,
    /// Every link loses half of its packets for a while.
    LossBurst,
    /// An operator moves leadership.
    Transfer,
    /// A wall clock jumps.
    WallStep,
    /// A client dies with its operations under way; another comes in its place.
    ClientCrash,
}

impl Fault {
    /// All faults.
    pub const ALL: &'static [Self] = &[
        Self::IsolateOne,
        Self::IsolateLeader,
        Self::CutOff,
        Self::OneWay,
        Self::DeafLeader,
        Self::MuteLeader,
        Self::Bridge,
        Self::ClientCut,
        Self::CrashOne,
        Self::CrashLeader,
        Self::CrashMajority,
        Self::CrashAll,
        Self::PauseOne,
        Self::PauseLeader,
        Self::SlowDisk,
        Self::LossBurst,
        Self::Transfer,
        Self::WallStep,
        Self::ClientCrash,
    ];
}
