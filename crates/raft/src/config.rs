//! What a [`crate::Node`] is told at birth.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kontiki_types::{Entry, HardState, Index, Membership, PeerId, SnapshotMeta, limits};

use crate::limits::{ELECTION_TIMEOUT_MAX, ELECTION_TIMEOUT_MIN, HEARTBEAT_INTERVAL_MIN};
use crate::{Options, Priority};

/// How a membership becomes the data of a [`kontiki_types::EntryKind::Config`] entry and back.
/// Passed in because this crate knows no bytes: in production it is `kontiki_codec::membership`.
#[derive(Clone, Copy, Debug)]
pub struct MembershipCodec {
    /// Membership to entry data.
    pub encode: fn(&Membership) -> Bytes,
    /// Entry data to membership; nothing when the bytes are not one. Peer frames and the log are
    /// checksummed, so that is a bug and the node panics.
    pub decode: fn(Bytes) -> Option<Membership>,
}

/// Settings of one peer; they may differ between peers without harm to safety.
#[derive(Clone, Debug)]
pub struct Config {
    /// This peer.
    pub id: PeerId,
    /// Shortest time without a leader before campaigning; the actual one is drawn between this and
    /// twice this. Default 1 s, JRaft's and etcd's.
    pub election_timeout: Duration,
    /// Time between heartbeats of a leader. Default a tenth of the election timeout.
    pub heartbeat_interval: Duration,
    /// How long an idle follower may not know what is committed: the next append tells it anyway,
    /// and writers would otherwise pay for one more message per write and follower, and for two
    /// more threads that wake up. Longer than a write takes where many groups share a busy machine.
    /// A follower that reads is told at once. Default 100 ms, as between heartbeats.
    pub commit_notice_delay: Duration,
    /// Seed of the election jitter and of the numbers of forwarded reads: give each peer, and each
    /// start of it, its own, or an answer to the life before could be taken for one to this life.
    pub seed: u64,
    /// The bytes of configuration entries.
    pub membership_codec: MembershipCodec,
    /// What a user may have reasons to change.
    pub options: Options,
    /// Most bytes of entries kept in memory when they are durable; older ones are fetched again
    /// when a follower or the state machine needs them. What is about to be sent or handed out
    /// stays beyond it, up to [`Options::uncommitted_bytes_max`]. Default 8 MiB, one entry of the
    /// largest kind. `usize::MAX`: all, for a driver that serves no [`crate::Fetch`].
    pub cache_bytes_max: usize,
    /// How much each peer is wanted as leader, this one included; a peer that is not named is
    /// [`Priority::OFF`]. Give every peer the same.
    pub priorities: BTreeMap<PeerId, Priority>,
    /// Least by which a peer lowers its target with each election timeout without a leader.
    /// Default 10, JRaft's.
    pub priority_gap: i32,
    /// Fall asleep after so many election timeouts in which nothing happened, and be silent until
    /// something does; then the driver must watch over the peers of sleepers
    /// ([`crate::Node::sleeps_beside`]). Default: never.
    pub hibernate_after: Option<u32>,
    /// Most reads waiting for confirmation; more are refused as busy. Default 65,536.
    pub reads_max: usize,
}

impl Config {
    /// The defaults for this peer.
    pub fn new(id: PeerId, seed: u64, membership_codec: MembershipCodec) -> Self {
        Self {
            id,
            membership_codec,
            options: Options::default(),
            election_timeout: Duration::from_secs(1),
            heartbeat_interval: Duration::from_millis(100),
            commit_notice_delay: Duration::from_millis(100),
            seed,
            cache_bytes_max: limits::ENTRY_BYTES_MAX,
            priorities: BTreeMap::new(),
            priority_gap: 10,
            hibernate_after: None,
            reads_max: 65_536,
        }
    }

    /// Another election timeout, and in proportion another heartbeat interval. Held within the
    /// bounds of both: without them a leader would do nothing but beat, or its peers would ask for
    /// elections faster than one can be held.
    pub fn set_election_timeout(&mut self, timeout: Duration) {
        let timeout = timeout.clamp(ELECTION_TIMEOUT_MIN, ELECTION_TIMEOUT_MAX);
        let beats = timeout.as_secs_f64() / self.election_timeout.as_secs_f64();
        // Nothing that can be told is left of it when the timeout before was zero.
        let beat = Duration::try_from_secs_f64(self.heartbeat_interval.as_secs_f64() * beats);
        self.heartbeat_interval = beat.unwrap_or(timeout).clamp(HEARTBEAT_INTERVAL_MIN, timeout);
        self.election_timeout = timeout;
    }

    /// How long a lease lasts: what a follower on the fastest clock waits, measured by the slowest.
    pub(crate) fn lease(&self) -> Duration {
        const MILLION: u32 = 1_000_000;
        let drift = self.options.clock_drift_ppm_max.min(MILLION);
        let lasts = self.election_timeout * (MILLION - drift) / (MILLION + drift);
        lasts.saturating_sub(self.options.lease_slack)
    }
}

/// What the disk gave back.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Term, vote, commit hint.
    pub hard_state: HardState,
    /// Where the log begins, with the membership as of there; for a new group the bootstrap
    /// membership at position zero. An empty membership: a replica that awaits its first snapshot.
    pub snapshot: SnapshotMeta,
    /// Consecutive entries after `snapshot.position`.
    pub entries: Vec<Entry>,
    /// The state machine holds everything up to here; at least `snapshot.position.index`.
    pub applied: Index,
    /// The newest snapshot the state machine was installed from, if any. When the log does not
    /// know of it (a crash between install and log record, openraft#559), the node repairs the
    /// log with its first store operation.
    pub installed: Option<SnapshotMeta>,
}
