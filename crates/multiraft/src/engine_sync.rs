//! When the engine that all groups share is made durable, so that their logs may be compacted.
//!
//! After so many applied bytes; or after fewer, once nothing was applied for a while. A store that
//! rests then has nothing to apply again at its next start, and its readers find short tables in
//! memory. The least number of bytes keeps a slow trickle of writes from making a table each.

use std::time::Duration;

use kontiki_types::Moment;

/// How much is applied between two syncs.
#[derive(Clone, Debug)]
pub struct EngineSyncConfig {
    /// At so many applied bytes a sync is due. Default 64 MiB.
    pub every_bytes: usize,
    /// At so many it is due once nothing was applied for [`EngineSyncConfig::rest`]. Default 1 MiB.
    pub resting_bytes: usize,
    /// Default 500 ms.
    pub rest: Duration,
}

impl Default for EngineSyncConfig {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self { every_bytes: 64 * MIB, resting_bytes: MIB, rest: Duration::from_millis(500) }
    }
}

impl EngineSyncConfig {
    /// For groups that are durable by snapshots of their own: there is no engine to sync.
    pub fn never() -> Self {
        Self { every_bytes: usize::MAX, resting_bytes: usize::MAX, rest: Duration::ZERO }
    }
}

/// What the shard knows of the engine; see the module.
#[derive(Default, Debug)]
pub(crate) struct EngineSync {
    /// Applied since the last sync was asked for: what a start applies again counts too, or a
    /// store that dies often would have ever more to apply.
    bytes: usize,
    /// When something was applied last.
    applied_at: Moment,
    is_under_way: bool,
    /// The log needs the room, however little was applied.
    is_wanted: bool,
}

impl EngineSync {
    pub(crate) fn on_applied(&mut self, bytes: usize, now: Moment) {
        self.bytes += bytes;
        self.applied_at = now;
    }

    /// The log needs the room of what is applied and not durable in the engine.
    pub(crate) fn hurry(&mut self) {
        self.is_wanted = true;
    }

    pub(crate) fn on_synced(&mut self) {
        self.is_under_way = false;
    }

    /// When to look again, if nothing is applied until then.
    pub(crate) fn next_deadline(&self, config: &EngineSyncConfig) -> Option<Moment> {
        let waits = self.bytes >= config.resting_bytes && !self.is_under_way;
        waits.then(|| self.applied_at + config.rest)
    }

    /// Whether to ask for a sync now; if so, it is under way.
    pub(crate) fn begin(&mut self, config: &EngineSyncConfig, now: Moment) -> bool {
        let rests = self.next_deadline(config).is_some_and(|at| at <= now);
        let is_due = rests || self.is_wanted || self.bytes >= config.every_bytes;
        if !is_due || self.is_under_way {
            return false;
        }
        self.bytes = 0;
        self.is_wanted = false;
        self.is_under_way = true;
        true
    }
}
