//! Coverage marks: rare states a sweep should reach, counted.
//!
//! A sweep that never sees a torn tail or a leader that wakes up after a pause proves nothing about
//! them, however many seeds it runs. Every mark is declared here, so that the ones never reached
//! can be listed by name.

use std::fmt;

macro_rules! marks {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A rare state.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Mark {
            $($(#[$doc])* $name,)*
        }

        impl Mark {
            /// All marks, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// In words.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

marks! {
    /// A peer became leader.
    LeaderElected = "leader elected",
    /// A leader lost its place with callers waiting.
    LeaderLostWithCallers = "leader change with pending proposals",
    /// A second leader of a lower term was still acting as one.
    TwoLeaders = "two stores think they lead, in different terms",
    /// A leader was stopped by a pause and woke up after another had been elected.
    OldLeaderWoke = "old leader woke up after a pause",
    /// A leader said good night.
    FellAsleep = "group fell asleep",
    /// A replica that slept was woken: a store it relied on is silent.
    WokenByWatch = "sleeper woken by the watch over stores",
    /// By a message.
    WokenByMessage = "sleeper woken by a message",
    /// By a write.
    WokenByWrite = "sleeper woken by a proposal",
    /// By a read.
    WokenByRead = "sleeper woken by a read",
    /// The store of a leader that slept lost power.
    SleepingLeaderLost = "leader of a sleeping group lost power",
    /// Nobody asked, and yet a group whose leader died in its sleep got another.
    SleepersLed = "sleepers elected a leader unasked",
    /// Better ones did not stand in time.
    LesserElected = "leader elected that is wanted less than another",
    /// The one that is wanted most took over from one that is wanted less.
    LesserMadeWay = "leader wanted less gave way to one wanted more",
    /// A candidate had to campaign again.
    SplitElection = "term without a leader",
    /// A transfer of leadership was asked for and done.
    TransferDone = "leadership transferred",
    /// A change of membership was carried out.
    MembershipChanged = "membership changed",
    /// A replica came to a store while the group was at work.
    ReplicaCreated = "replica created",
    /// A replica that was removed went.
    ReplicaDestroyed = "replica destroyed",
    /// A replica came to a store that had destroyed an earlier one of the group.
    ReplicaReturned = "replica back on a store that had one before",
    /// A replica that nobody had told of its removal gave way to a newer one.
    ReplicaReplaced = "forgotten replica replaced by a newer one",
    /// A start found a replica that was to be destroyed, and finished that.
    DestroyResumed = "destruction of a replica finished after a crash",
    /// A start found a replica that awaits its first snapshot.
    BlankAtStart = "replica without data at start",
    /// A change of membership failed: the group would have had to wait for a member.
    ChangeWouldStall = "change of membership failed: the group would wait",
    /// A change of membership failed: a newcomer did not catch up, or leadership was lost.
    ChangeFailed = "change of membership failed on its way",
    /// A leader left the group that it led.
    LeaderLeft = "leader left its group",
    /// Two memberships decided together.
    JointMembership = "turn under a joint membership",
    /// A follower replaced entries that never committed.
    TailReplaced = "follower replaced an uncommitted tail",
    /// A log writer acknowledged a tail, in an older term, that the same sync replaced.
    AcknowledgedAndCut = "tail acknowledged by a sync that replaced it too",
    /// A log was compacted.
    LogCompacted = "log compacted",
    /// Entries that had left memory were read back from the log.
    EntriesFetched = "entries read back from the log",
    /// A snapshot was streamed and taken.
    SnapshotStreamed = "snapshot streamed whole",
    /// A snapshot waited for its turn until nobody wanted it any more, or not in that term.
    SnapshotPassedOver = "snapshot not sent: not wanted any more",
    /// A snapshot stream was given up.
    SnapshotGivenUp = "snapshot stream given up",
    /// A snapshot was installed.
    SnapshotInstalled = "snapshot installed",
    /// A damaged chunk of a snapshot was refused.
    ChunkDamaged = "damaged snapshot chunk refused",
    /// A crash in the middle of an install.
    InstallCrashed = "crash in the middle of an install",
    /// An install that a crash cut off was run again at start.
    InstallResumed = "pending install run again after a crash",
    /// The engine was ahead of the log at start.
    EngineAheadOfLog = "engine ahead of the log at start",
    /// The engine was behind the log at start.
    EngineBehindLog = "entries applied again after a crash",
    /// The power went in the middle of the work of a disk.
    FuseBlown = "power lost between two operations of a disk",
    /// Entries could not be read back from the log.
    FetchUnreadable = "entries not read back: a read of the log failed",
    /// What a segment still held could not be read to be rewritten.
    LeftoversUnreadable = "leftovers not rewritten: a read of the log failed",
    /// A snapshot that had arrived could not be read.
    SpoolUnreadable = "snapshot that arrived not installed: a read of it failed",
    /// A disk error ended a process.
    StoppedByDisk = "store stopped by a disk error",
    /// A log was damaged on the medium.
    DiskRotted = "log damaged on the medium",
    /// A store found its log damaged and refused to start.
    DamageRefused = "damaged log refused at start",
    /// A replica whose log is damaged was kept out.
    Quarantined = "damaged replica kept out",
    /// A leader called the heir of a replica that was kept out.
    HeirBorn = "heir of a damaged replica born",
    /// A store was damaged after another one that had been, and was whole again.
    RottedAfterCure = "second store damaged after the first was refilled",
    /// A replica that is kept out gave way to a newer one.
    KeptOutReplaced = "damaged replica removed and replaced by another",
    /// More disks were damaged than a group bears.
    MajorityDamaged = "most disks damaged (only with --lying-disks)",
    /// A link held back what it carried.
    LinkClogged = "link clogged",
    /// A crash lost writes that were not synced.
    UnsyncedLost = "unsynced log writes lost in a crash",
    /// A torn tail was cut at recovery.
    TornTail = "torn tail recovered",
    /// The engine lost batches in a crash.
    EngineLostBatches = "engine batches lost in a crash",
    /// A log segment was made ready apart from the writer.
    SegmentPrepared = "log segment prepared",
    /// A log segment was freed.
    SegmentRetired = "log segment freed",
    /// Leftovers were rewritten to free a log segment.
    LeftoversRewritten = "leftovers of a log segment rewritten",
    /// Groups were told to give up what they keep in a full log.
    LogCrowded = "log crowded by what groups keep in it",
    /// A store crashed while its log sync was under way.
    CrashInSync = "crash during a log sync",
    /// All stores were down at once.
    AllDown = "all stores down at once",
    /// A store crashed again right after its restart.
    CrashInRecovery = "crash right after a restart",
    /// Several log tasks went into one frame.
    GroupCommit = "several log tasks in one sync",
    /// A message waited for the log.
    GatedMessage = "message sent by the log writer after its sync",
    /// A write was tried again and answered from the session.
    RetryAnswered = "retry answered from the session",
    /// A write was refused because its session is unknown.
    SessionUnknown = "session unknown",
    /// A late duplicate of an answered write was refused.
    RequestForgotten = "late request refused as forgotten",
    /// A client gave up an operation.
    ClientGaveUp = "operation ended unknown",
    /// The client library could not find out what became of a write.
    LibraryUnknown = "client library ended a write as unknown",
    /// A stream of the client library broke.
    ConnectionReset = "client connection reset",
    /// A client crashed and came back as another.
    ClientCrashed = "client crashed",
    /// A whole set was read that holds something.
    SetRead = "set read as a whole",
    /// A read was confirmed on a follower.
    FollowerRead = "read confirmed on a follower",
    /// A read could not be confirmed.
    ReadFailed = "read not confirmed",
    /// A read was refused at a follower that lacks too much.
    ReaderTooFar = "read refused by a follower far behind",
    /// A read met rows that were being replaced.
    ReadDuringReplacement = "read refused while rows are replaced",
    /// A caller was told that the store is busy.
    Busy = "busy",
    /// A caller was told that leadership was lost under its write.
    LeadershipLost = "leadership lost under a proposal",
    /// A swap failed because another client was quicker.
    SwapLost = "compare-and-put lost a race",
    /// Several payloads merged into one entry.
    PayloadsMerged = "payloads merged into one entry",
    /// A frame was damaged on its way and refused.
    FrameDamaged = "damaged frame refused",
    /// A packet was duplicated.
    PacketDuplicated = "packet duplicated",
    /// A packet was held back for a long time.
    PacketHeld = "packet delivered late",
    /// A snapshot arrived that nobody wanted any more.
    SnapshotUnwanted = "snapshot arrived too late",
    /// A replica was shut down while it installed a snapshot.
    ShutDownInInstall = "replica shut down while it installed a snapshot",
    /// A group in memory saved itself.
    Saved = "state in memory saved",
    /// It did because the log needed the room.
    SaveForced = "state in memory saved for the log",
    /// The power went while it did.
    SaveCutOff = "power lost while state was being saved",
    /// A snapshot from elsewhere came while an older state was being saved.
    SaveOvertaken = "save overtaken by a snapshot",
    /// A replica began with what it had saved.
    SavedLoaded = "replica began with a saved state",
    /// A state machine failed on entries.
    MachineFailed = "state machine failed",
    /// A state machine failed to load a snapshot.
    LoadFailed = "state machine failed to load a snapshot",
    /// A replica was shut down by its owner.
    ShutDown = "replica shut down",
    /// A replica that had halted came back.
    Revived = "halted replica came back",
    /// A halted replica had to wait for the log before it came back.
    RevivedLater = "halted replica waited for its log",
    /// A wall clock jumped.
    WallJumped = "wall clock stepped",
    /// The phase after the faults had to elect a leader.
    ElectedAfterHeal = "leader elected after the heal",
}

/// How often each mark was reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Marks {
    counts: Vec<u64>,
}

impl Default for Marks {
    fn default() -> Self {
        Self { counts: vec![0; Mark::ALL.len()] }
    }
}

impl Marks {
    /// Counts a mark.
    pub fn hit(&mut self, mark: Mark) {
        self.counts[mark as usize] += 1;
    }

    /// Adds what another run reached.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }

    /// How often this mark was reached.
    pub fn count(&self, mark: Mark) -> u64 {
        self.counts[mark as usize]
    }

    /// The marks never reached.
    pub fn missing(&self) -> impl Iterator<Item = Mark> + '_ {
        Mark::ALL.iter().copied().filter(|&mark| self.count(mark) == 0)
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &mark in Mark::ALL {
            writeln!(f, "{:>10}  {}", self.count(mark), mark.text())?;
        }
        Ok(())
    }
}
