//! What goes wrong: the list of faults, and the nemesis that draws them.
//!
//! Reading order: this list, then `nemesis` (when and where they strike, and how they end).

mod nemesis;
mod operator;

pub(crate) use nemesis::before_calm;
pub use nemesis::{End, Nemesis, Strike};

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
    /// Two stores cannot hear each other; the others hear both.
    Bridge,
    /// A client cannot reach one store.
    ClientCut,
    /// A store loses power.
    CrashOne,
    /// A store that leads loses power.
    CrashLeader,
    /// Most stores lose power at once.
    CrashMajority,
    /// All stores lose power at once.
    CrashAll,
    /// A store stands still, and goes on as if nothing had happened.
    PauseOne,
    /// The same for a store that leads.
    PauseLeader,
    /// A disk becomes slow.
    SlowDisk,
    /// A write of a log fails.
    FailWrite,
    /// A sync of a log fails.
    FailSync,
    /// A store cannot read its log: while it runs, or at first when it restarts.
    FailRead,
    /// An engine fails.
    FailEngine,
    /// A disk has no more room.
    FullDisk,
    /// A log is damaged on the medium.
    RotDisk,
    /// A write of a log lands elsewhere.
    MisdirectWrite,
    /// A link carries nothing for a while, and then all of it.
    Clog,
    /// All links of a store do, each as long as it likes.
    Swizzle,
    /// Every link loses half of its packets for a while.
    LossBurst,
    /// An operator moves leadership.
    Transfer,
    /// An operator takes votes away and gives them back.
    ChangeRoles,
    /// An operator adds, removes and replaces replicas.
    ChangeMembers,
    /// A wall clock jumps.
    WallStep,
    /// A client dies with its operations under way; another comes in its place.
    ClientCrash,
    /// A state machine in memory fails.
    FailMachine,
    /// The owner of a replica in memory shuts it down, and brings it back.
    ShutDown,
}

impl Fault {
    /// A store may be gone for good after it.
    pub fn damages(self) -> bool {
        matches!(self, Self::RotDisk | Self::MisdirectWrite)
    }

    /// Votes or replicas move.
    pub fn changes_members(self) -> bool {
        matches!(self, Self::ChangeRoles | Self::ChangeMembers)
    }

    /// It strikes groups in memory only.
    pub fn is_of_machines(self) -> bool {
        matches!(self, Self::FailMachine | Self::ShutDown)
    }

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
        Self::FailWrite,
        Self::FailSync,
        Self::FailRead,
        Self::FailEngine,
        Self::FullDisk,
        Self::RotDisk,
        Self::MisdirectWrite,
        Self::Clog,
        Self::Swizzle,
        Self::LossBurst,
        Self::Transfer,
        Self::ChangeRoles,
        Self::ChangeMembers,
        Self::WallStep,
        Self::ClientCrash,
        Self::FailMachine,
        Self::ShutDown,
    ];
}
