//! Mistakes made on purpose, one at a time, so that the checkers are seen to catch them.
//!
//! A checker that never caught anything proves nothing. Each mistake has a hook of one line beside
//! the mechanism it breaks. Only a build with the feature `mutants` can make one; in every other
//! build [`is_on`] is a constant and the compiler removes the question. The one that is on is kept
//! per thread, so runs on other threads stay sound: the only state of this kind below the quiet
//! line, and no product sets it. `cargo run --release -p kontiki-sim --features mutants -- mutants`
//! tells how soon each is caught.

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A mistake in the product.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Mutant {
            $($(#[$doc])* $name,)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

mutants! {
    // Elections.
    /// A vote goes to whoever asks first, however old its log (Raft §5.4.1).
    VoteForOlderLog,
    /// A vote leaves before it is durable (jraft#1245).
    VoteBeforeSync,
    /// The target of a transfer asks for votes by a log that is not durable (design/0007).
    TransferBeforeLog,
    /// And counts its own vote before that is durable.
    TransferBeforeVote,
    /// A restart forgets who got the vote of the current term.
    VoteForgotten,
    /// Term and vote never reach the log.
    HardStateLost,
    /// A pre-vote moves the term of whoever hears it (thesis §9.6).
    PreVoteRaisesTerm,
    /// The grant of a pre-vote counts as a vote.
    PreVoteCounts,
    /// One vote less than a majority elects.
    ElectByMinority,
    /// A (pre-)vote is given although the leader is alive (thesis §4.2.3): fatal to leases.
    VoteBesideLeader,

    // Replication and commit.
    /// Entries of an older term are committed by counting (Raft figure 8).
    CommitOldTerm,
    /// One copy less than a majority commits.
    CommitByMinority,
    /// The leader counts its own copy before it is durable.
    CommitUnsynced,
    /// The leader takes what it sent for what the follower holds.
    MatchedAtSend,
    /// An acknowledgement leaves before the sync.
    AckBeforeSync,
    /// A heartbeat tells the commit index to followers that do not hold it.
    HeartbeatCommits,
    /// An acknowledgement of an earlier session counts: of a replica that was removed and added
    /// again (nine of seventeen cores surveyed).
    SessionIgnored,
    /// A follower takes entries for committed that nobody compared with the leader's (copycat#265).
    CommitUnverified,
    /// An append from before a snapshot is not cut off in front.
    TruncateBelowSnapshot,
    /// A follower appends without comparing the entry before.
    AppendUnmatched,
    /// A delayed append cuts what came after it (akka-raft#66).
    AppendCuts,
    /// Entries are applied as soon as they are durable.
    ApplyUncommitted,

    // Membership.
    /// Under a joint membership the new half decides alone (Raft §6).
    JointByHalf,
    /// A membership stays in effect although its entry is cut off.
    ConfigKept,

    // Reads.
    /// A new leader confirms reads before it has committed an entry of its own (etcd#7331).
    ReadBeforeNoop,
    /// The echo of a read round confirms the next one too.
    ReadRoundOff,
    /// A leader confirms reads alone.
    ReadAlone,
    /// A lease does not end.
    LeaseEndless,
    /// A lease goes on after the order to another to campaign (tikv#8034).
    LeaseOutlivesTransfer,
    /// All questions of a follower's reads have one number (etcd#20418).
    ReadNumberReused,
    /// A read is served before its index is applied.
    ReadBeforeApply,

    // Replicas that halt and come back.
    /// A replica comes back while the log still writes what the one before it wanted.
    RevivedEarly,
    /// A replica comes back as if its new state machine stood where the old one did.
    RevivedAhead,
    /// A halted replica restarts its log for an install that ended late.
    InstalledAtRest,
    /// A replica that halts tells nobody who waits for it.
    HaltedSilently,
    /// A snapshot that a group made of itself does not count.
    SaveUnnoticed,

    // Snapshots and compaction.
    /// An installed snapshot keeps a log that contradicts it (hashicorp#697).
    SnapshotKeepsTail,
    /// The log is cut below what is applied but not durable in the engine.
    CompactUnsynced,
    /// The install of a snapshot is not synced.
    InstallNotSynced,
    /// An install does not note that it began.
    InstallUnmarked,
    /// An install leaves the old rows where they are.
    InstallKeepsRows,
    /// A snapshot lacks the sessions.
    SnapshotLacksSessions,

    // Commands.
    /// A retry takes effect again.
    RetryRuns,
    /// A late duplicate of a request that the client has forgotten takes effect again.
    ForgottenRuns,
    /// A clock that jumps ahead ages all sessions.
    SessionsByWall,
    /// A restart forgets the sessions.
    SessionsNotLoaded,
    /// The applied index is written before the rows.
    AppliedBeforeRows,
    /// A swap always swaps.
    SwapBlind,

    // The log.
    /// Recovery takes damage below what was durable for a torn tail.
    LogTornAnywhere,
    /// Recovery leaves the frames behind a torn one where they are.
    LogKeepsTorn,
    /// The log goes on after a failed sync.
    LogSyncErrorForgotten,
    /// Segments are freed before the note of it is durable.
    LogFreesEarly,
    /// A segment is put into use before the previous one is synced.
    LogRotatesUnsynced,
}

#[cfg(feature = "mutants")]
thread_local! {
    static ON: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Makes this mistake, or none, on the calling thread from now on.
#[cfg(feature = "mutants")]
pub fn set(mutant: Option<Mutant>) {
    ON.set(mutant);
}

/// Whether this mistake is to be made.
#[cfg(feature = "mutants")]
pub fn is_on(mutant: Mutant) -> bool {
    ON.get() == Some(mutant)
}

/// Never.
#[cfg(not(feature = "mutants"))]
pub const fn is_on(_: Mutant) -> bool {
    false
}
