//! What the log and the state machines gave back at a start becomes groups, replica by replica.
//!
//! One that may have forgotten a promise is kept out, and a new one under another id is to succeed
//! it (`docs/design/0005-quarantine.md`): what is wrong with one replica stops no other.

use std::collections::BTreeSet;
use std::time::Duration;

use kontiki_log::{Record, Recovered};
use kontiki_multiraft::{
    Durability, Error as MachineError, GroupSpec, Quarantined, RestoreError, Shard, StateMachine,
    membership_codec, restore,
};
use kontiki_raft::Config as RaftConfig;
use kontiki_types::{Moment, PeerId, Position, RegionId, StoreId};

use super::{HostedGroup, Options, StartError};
use crate::spool::Spools;

/// How a replica is succeeded.
pub struct Succession {
    /// This store.
    pub store: StoreId,
    /// It is an heir itself: its id came from an earlier `appoint`.
    pub is_heir: bool,
    /// Draws an id never used before, and makes it durable as that of the replica here, and with
    /// it everything the state machine holds.
    pub appoint: Box<dyn FnOnce() -> Result<PeerId, String> + Send>,
}

/// A start on its way.
pub(super) struct Recovery {
    pub(super) shard: Shard,
    /// To be logged before anything is said.
    pub(super) records: Vec<Record>,
    pub(super) quarantined: BTreeSet<RegionId>,
    seed: u64,
    election_timeout: Duration,
    heartbeat_interval: Duration,
}

impl Recovery {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            shard: Shard::new(options.shard.clone()),
            records: Vec::new(),
            quarantined: BTreeSet::new(),
            seed: options.seed,
            election_timeout: options.election_timeout,
            heartbeat_interval: options.heartbeat_interval,
        }
    }

    /// One replica; its state machine comes back.
    pub(super) fn bring_up(
        &mut self,
        mut hosted: HostedGroup,
        recovered: &mut Recovered,
        spools: &Spools,
        now: Moment,
    ) -> Result<(RegionId, Box<dyn StateMachine>), StartError> {
        let group = hosted.group;
        let installed = resume_install(&mut hosted, spools)?;
        let found = recovered.take(group);
        let is_heir = hosted.succession.as_ref().is_some_and(|succession| succession.is_heir);
        let restored = match installed {
            Err(why) => Err(RestoreError::Quarantined { group, why }),
            // Not even at zero: only who was born with the group may begin it.
            Ok(()) if is_heir && found.is_none() => {
                Err(RestoreError::LogMissing { group, applied: hosted.applied })
            }
            Ok(()) => restore(group, found, hosted.applied, &hosted.membership),
        };
        match restored {
            Ok((restored, mut needed)) => {
                self.records.append(&mut needed);
                let raft = self.raft_config(group, hosted.peer);
                let durability = Durability::Engine;
                self.shard.add_group(GroupSpec { group, raft, restored, durability }, now);
                if let Some(Succession { store, is_heir: true, .. }) = hosted.succession {
                    self.shard.let_succeed(group, store);
                }
            }
            Err(error) => return self.keep_out(hosted, error),
        }
        Ok((group, hosted.machine))
    }

    fn keep_out(
        &mut self,
        hosted: HostedGroup,
        error: RestoreError,
    ) -> Result<(RegionId, Box<dyn StateMachine>), StartError> {
        let HostedGroup { group, applied, membership, machine, succession, .. } = hosted;
        let Some(Succession { store, appoint, .. }) = succession else { return Err(error.into()) };
        let heir = appoint().map_err(|why| StartError::Io(std::io::Error::other(why)))?;
        let why = error.to_string();
        tracing::error!(%group, %why, %heir, "this replica takes no part until it is succeeded");
        let heir = self.raft_config(group, heir);
        let replica = Quarantined { group, store, applied, membership, heir, why };
        self.shard.add_quarantined(replica);
        self.quarantined.insert(group);
        Ok((group, machine))
    }

    fn raft_config(&self, group: RegionId, peer: PeerId) -> RaftConfig {
        let mut raft = RaftConfig::new(peer, self.seed ^ group.0, membership_codec());
        raft.election_timeout = self.election_timeout;
        raft.heartbeat_interval = self.heartbeat_interval;
        raft
    }
}

/// Run an interrupted install again. Answers why it cannot be ended, if what is wrong is the
/// snapshot: then the replica holds nothing.
fn resume_install(
    hosted: &mut HostedGroup,
    spools: &Spools,
) -> Result<Result<(), String>, StartError> {
    let Some((meta, spool)) = hosted.pending_install.take() else { return Ok(Ok(())) };
    match hosted.machine.install(&meta, spool, &mut spools.read(spool)) {
        Ok(()) => {
            hosted.applied = meta.position;
            hosted.membership = meta.membership;
            Ok(Ok(()))
        }
        Err(MachineError::Snapshot(why)) if hosted.succession.is_some() => {
            hosted.applied = Position::ZERO;
            Ok(Err(format!("an interrupted snapshot cannot be installed: {why}")))
        }
        Err(error) => Err(error.into()),
    }
}
