//! The bounds of a shard. Set once, by whoever starts the host.

use std::time::Duration;

use crate::engine_sync::EngineSyncConfig;

/// Bounds of a shard.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Most bytes of a group proposed or handed to the applier, and not yet applied; beyond it
    /// proposals are refused as busy, so a slow engine slows its callers and nothing grows. Default
    /// 64 MiB.
    pub unapplied_bytes_max: usize,
    /// And of all groups together: beyond it a group may have no more than an equal share under
    /// way. A thousand groups must not let in a thousand times what one may, and one that is stuck
    /// must not keep the others out. Never more than is kept in memory for it, sixteen times
    /// `cache_bytes_all`. Default 64 MiB.
    pub unapplied_bytes_all: usize,
    /// When to ask for an engine sync, and so for log compaction.
    pub engine_sync: EngineSyncConfig,
    /// So many bytes of a group's log stay when the rest is compacted: a follower that was away for
    /// a moment then needs no snapshot. Where the log is crowded nothing stays but what live
    /// followers need, as long as it is less than this. Default 16 MiB.
    pub retain_bytes: usize,
    /// And of all groups' logs together, each an equal share: a thousand groups must not keep a
    /// thousand times what one may. Default 64 MiB.
    pub retain_bytes_all: usize,
    /// A group's log beyond this is compacted even if a live follower, or one that a snapshot is on
    /// its way to, still needs it; that follower then gets a snapshot. Default 256 MiB.
    pub retain_bytes_max: usize,
    /// Most bytes of entries that all groups together keep in memory when they are durable; older
    /// ones are read back from the log. What is about to be sent or applied stays beyond it, up to
    /// sixteen times as much. Default 4 MiB: with what is not at hand, writes are slower.
    pub cache_bytes_all: usize,
    /// Tell callers of [`crate::Event::Propose`] when their entry is committed, by
    /// [`crate::Effects::committed`]. Default: not.
    pub tell_committed: bool,
    /// A store that sleeping groups rely on and that is silent for so long is taken to be dead.
    /// Default 2 s.
    pub store_timeout: Duration,
    /// The groups that slept beside it are woken evenly over so long. Default 5 s.
    pub wake_spread: Duration,
}

impl Default for ShardConfig {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            unapplied_bytes_max: 64 * MIB,
            unapplied_bytes_all: 64 * MIB,
            engine_sync: EngineSyncConfig::default(),
            retain_bytes: 16 * MIB,
            retain_bytes_all: 64 * MIB,
            retain_bytes_max: 256 * MIB,
            cache_bytes_all: 4 * MIB,
            tell_committed: false,
            store_timeout: Duration::from_secs(2),
            wake_spread: Duration::from_secs(5),
        }
    }
}
