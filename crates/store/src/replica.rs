//! One region's replica on this store: the state machine that `multiraft` feeds.
//!
//! Owned by the apply worker, one call at a time. What other threads need is in its
//! [`RegionCell`]. Applying lives in `apply/`, snapshots in `snapshot/`; this file is the state
//! they share and the face towards `multiraft`.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use kontiki_codec::apply_state::Partial;
use kontiki_engine::Engine;
use kontiki_multiraft::{Committed, SnapshotSource, StateMachine, Token};
use kontiki_types::{Membership, PeerId, Position, Region, RegionId, SnapshotMeta};

use crate::session::Sessions;
use crate::session::load::Loaded;
use crate::session::persist::Records;
use crate::{Error, RegionCell, apply, limits, snapshot};

/// Where work goes that apply must not wait for: hashing the whole region.
pub trait Background: Send + Sync {
    /// Runs the job once, at any time, on any thread.
    fn spawn(&self, job: Box<dyn FnOnce() + Send>);
}

/// Runs every job at once, on the caller's thread: for simulation and tests.
#[derive(Clone, Copy, Default, Debug)]
pub struct Inline;

impl Background for Inline {
    fn spawn(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

/// How work is cut into pieces. None of it can be seen in rows or outcomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuning {
    /// Outcome records kept before they are folded; see [`limits::RECORDS_MAX`].
    pub records_max: usize,
    /// Rows a range delete removes at once; see [`limits::DELETE_CHUNK_ROWS`].
    pub delete_chunk_rows: usize,
    /// Bytes of a snapshot chunk; see `kontiki_types::limits::SNAPSHOT_CHUNK_BYTES`.
    pub snapshot_chunk_bytes: usize,
    /// Bytes of a snapshot checked before anything is destroyed; see
    /// [`limits::INSTALL_CHECK_BYTES`].
    pub install_check_bytes: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            records_max: limits::RECORDS_MAX,
            delete_chunk_rows: limits::DELETE_CHUNK_ROWS,
            snapshot_chunk_bytes: kontiki_types::limits::SNAPSHOT_CHUNK_BYTES,
            install_check_bytes: limits::INSTALL_CHECK_BYTES,
        }
    }
}

/// One region's replica.
///
/// # Invariants
/// - `region`, `applied`, `partial`, `sessions` and `records` are what [`crate::open`] would read
///   from the engine, except within a call.
/// - `cell` was told of every change after it reached the engine.
pub struct Replica {
    // How it works.
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) background: Arc<dyn Background>,
    pub(crate) tuning: Tuning,
    // What it is, as the engine has it.
    pub(crate) id: RegionId,
    pub(crate) region: Arc<Region>,
    /// The last entry that is applied whole.
    pub(crate) applied: Position,
    /// How far the entry after it is, when a crash came in the middle.
    pub(crate) partial: Option<Partial>,
    pub(crate) sessions: Sessions,
    pub(crate) records: Records,
    /// Who it is, if not the one the region was born with here.
    heir: Option<PeerId>,
    /// The old rows were destroyed and the new ones are not complete.
    pub(crate) incomplete: bool,
    // What others see of it.
    pub(crate) cell: Arc<RegionCell>,
}

impl Replica {
    /// A replica without data, on a store that was asked to hold the region: it owns no key and
    /// waits for its snapshot. Nothing of it is in the engine yet.
    pub fn awaiting_snapshot(
        id: RegionId,
        engine: Arc<dyn Engine>,
        background: Arc<dyn Background>,
        tuning: Tuning,
    ) -> Self {
        let nothing = Loaded {
            region: Some(blank(id)),
            state: kontiki_codec::apply_state::ApplyState::default(),
            sessions: Sessions::default(),
            records: Vec::new(),
            marker: None,
            heir: None,
        };
        Self::from_loaded(id, nothing, engine, background, tuning)
    }

    pub(crate) fn from_loaded(
        id: RegionId,
        loaded: Loaded,
        engine: Arc<dyn Engine>,
        background: Arc<dyn Background>,
        tuning: Tuning,
    ) -> Self {
        let region = Arc::new(loaded.region.unwrap_or_else(|| blank(id)));
        let cell = Arc::new(RegionCell::new(Arc::clone(&region)));
        cell.publish(loaded.state.position.index, loaded.state.time.now_ms);
        if loaded.marker.is_some() || loaded.state.partial.is_some() {
            cell.begin_replacing();
        }
        Self {
            engine,
            background,
            tuning,
            id,
            region,
            applied: loaded.state.position,
            partial: loaded.state.partial,
            sessions: loaded.sessions,
            records: Records::new(loaded.records),
            heir: loaded.heir,
            incomplete: loaded.marker.is_some(),
            cell,
        }
    }

    /// Which region.
    pub fn id(&self) -> RegionId {
        self.id
    }

    /// Who it is, by the newest [`crate::heir::appoint`]; else the peer on this store by the
    /// descriptor.
    pub fn heir(&self) -> Option<PeerId> {
        self.heir
    }

    /// The current descriptor.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The last entry that is applied whole: Raft continues with the next one.
    pub fn applied(&self) -> Position {
        self.applied
    }

    /// The membership as of [`Replica::applied`].
    pub fn membership(&self) -> Membership {
        Membership::new(self.region.peers.iter().copied())
    }

    /// What other threads may see of it.
    pub fn cell(&self) -> Arc<RegionCell> {
        Arc::clone(&self.cell)
    }

    /// Client sessions it remembers, for status.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }
}

impl StateMachine for Replica {
    fn apply(
        &mut self,
        entries: &[Committed],
        replies: &mut Vec<(Token, Bytes)>,
    ) -> Result<(), kontiki_multiraft::Error> {
        if self.incomplete {
            return Err(Error::Incomplete(self.id).into());
        }
        Ok(apply::apply(self, entries, replies)?)
    }

    fn snapshot(&mut self) -> Result<Box<dyn SnapshotSource>, kontiki_multiraft::Error> {
        Ok(Box::new(snapshot::build::Source::new(self)?))
    }

    fn check_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        chunks: &mut dyn Iterator<Item = Result<Bytes, kontiki_multiraft::Error>>,
    ) -> Result<(), kontiki_multiraft::Error> {
        snapshot::install::check(self, meta, chunks)
    }

    fn install(
        &mut self,
        meta: &SnapshotMeta,
        spool: u64,
        chunks: &mut dyn Iterator<Item = Result<Bytes, kontiki_multiraft::Error>>,
    ) -> Result<(), kontiki_multiraft::Error> {
        snapshot::install::install(self, meta, spool, chunks)
    }

    fn destroy(&mut self) -> Result<(), kontiki_multiraft::Error> {
        Ok(snapshot::install::clear(self)?)
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("region", &self.region)
            .field("applied", &self.applied)
            .field("partial", &self.partial)
            .field("sessions", &self.sessions.len())
            .field("incomplete", &self.incomplete)
            .finish_non_exhaustive()
    }
}

/// A descriptor that owns no key and knows no peer.
fn blank(id: RegionId) -> Region {
    Region {
        id,
        range: kontiki_types::KeyRange::new(Bytes::new(), Some(Bytes::new())),
        epoch: kontiki_types::Epoch::default(),
        peers: Vec::new(),
    }
}
