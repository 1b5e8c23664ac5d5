//! Groups whose rows live in memory and are durable by snapshots of their own, as a library user's
//! state machine is.
//!
//! Each has an engine for itself that is gone with the power; a start, and whoever comes back from
//! a rest (`revival`), begins with what was saved last (`saves`) and applies the log from there.
//! The other groups of the store share its engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use kontiki_codec::store_ident::StoreIdent;
use kontiki_engine::{Engine, SimDisk as EngineDisk};
use kontiki_multiraft::{Committed, Durability, Error, SnapshotSource, StateMachine, Token};
use kontiki_store::{Background, Descriptors, Inline, Replica, Tuning, bootstrap, open};
use kontiki_types::{Index, RegionId, SnapshotMeta};

use crate::cluster::peer_of;
use crate::env::Env;
use crate::marks::Mark;

use super::Machine;
use super::boot::{CLUSTER, tuning};
use super::fuse::FusedEngine;
use super::saves::Saving;

/// Where the rows of a store are.
pub(super) struct Rows {
    /// The engine of the store.
    pub(super) store: Arc<FusedEngine>,
    /// The groups that have one of their own.
    pub(super) memories: BTreeMap<RegionId, Memory>,
}

/// A group whose rows are in memory.
pub(super) struct Memory {
    engine: Arc<FusedEngine>,
    wishes: Arc<Wishes>,
    /// Up to where the last save began or ended.
    pub(super) saved: Index,
    pub(super) saving: Option<Saving>,
}

/// What passes between a state machine and its driver.
#[derive(Default)]
struct Wishes {
    /// The log needs the room of what is applied.
    is_crowded: AtomicBool,
    /// The next entries are not applied.
    fails_to_apply: AtomicBool,
    /// The next snapshot is not loaded.
    fails_to_load: AtomicBool,
}

/// A state machine in memory.
struct InMemory {
    replica: Replica,
    wishes: Arc<Wishes>,
}

impl Rows {
    pub(super) fn new(store: FusedEngine) -> Self {
        Self { store: Arc::new(store), memories: BTreeMap::new() }
    }

    /// The engine that holds the rows of a group.
    pub(super) fn of(&self, group: RegionId) -> &Arc<FusedEngine> {
        self.memories.get(&group).map_or(&self.store, |memory| &memory.engine)
    }

    /// What makes a group durable.
    pub(super) fn durability(&self, group: RegionId) -> Durability {
        if self.memories.contains_key(&group) { Durability::Snapshots } else { Durability::Engine }
    }

    /// A replica that awaits its first snapshot.
    pub(super) fn blank(
        &mut self,
        group: RegionId,
        descriptors: &Descriptors,
        env: &Env,
    ) -> Replica {
        if env.options.is_in_memory(group) {
            self.memories.insert(group, Memory::new(Index(0)));
        }
        let engine = Arc::clone(self.of(group)) as Arc<dyn Engine>;
        let replica = blank(group, engine, tuning(&env.options.store));
        descriptors.insert(replica.cell());
        replica
    }

    /// What the apply worker gets.
    pub(super) fn machine(&self, replica: Replica) -> Box<dyn StateMachine> {
        match self.memories.get(&replica.id()) {
            Some(memory) => Box::new(InMemory { replica, wishes: Arc::clone(&memory.wishes) }),
            None => Box::new(replica),
        }
    }
}

impl Memory {
    fn new(saved: Index) -> Self {
        let engine = Arc::new(FusedEngine::new(EngineDisk::new().open()));
        Self { engine, wishes: Arc::default(), saved, saving: None }
    }

    /// The log needed the room since this was asked last.
    pub(super) fn take_crowded(&self) -> bool {
        self.wishes.is_crowded.swap(false, Ordering::Relaxed)
    }

    /// The state machine fails, soon or with the next snapshot.
    pub(super) fn fail(&self, loading: bool) {
        let wishes = &self.wishes;
        let wish = if loading { &wishes.fails_to_load } else { &wishes.fails_to_apply };
        wish.store(true, Ordering::Relaxed);
    }

    /// It does not.
    pub(super) fn heal(&self) {
        self.wishes.fails_to_apply.store(false, Ordering::Relaxed);
        self.wishes.fails_to_load.store(false, Ordering::Relaxed);
    }
}

fn fail(wish: &AtomicBool) -> Result<(), Error> {
    if wish.swap(false, Ordering::Relaxed) {
        return Err(Error::Failed("injected fault".to_owned()));
    }
    Ok(())
}

impl StateMachine for InMemory {
    /// One that fails does so in the middle.
    fn apply(
        &mut self,
        entries: &[Committed],
        replies: &mut Vec<(Token, Bytes)>,
    ) -> Result<(), Error> {
        if let Err(error) = fail(&self.wishes.fails_to_apply) {
            self.replica.apply(&entries[..entries.len() / 2], replies)?;
            return Err(error);
        }
        self.replica.apply(entries, replies)
    }

    fn snapshot(&mut self) -> Result<Box<dyn SnapshotSource>, Error> {
        self.replica.snapshot()
    }

    fn check_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        chunks: &mut dyn Iterator<Item = Result<Bytes, Error>>,
    ) -> Result<(), Error> {
        self.replica.check_snapshot(meta, chunks)
    }

    fn install(
        &mut self,
        meta: &SnapshotMeta,
        spool: u64,
        chunks: &mut dyn Iterator<Item = Result<Bytes, Error>>,
    ) -> Result<(), Error> {
        if let Err(error) = fail(&self.wishes.fails_to_load) {
            let half = self.replica.install(meta, spool, &mut chunks.take(1));
            assert!(half.is_err(), "{:?} is more than its head", meta.position);
            return Err(error);
        }
        self.replica.install(meta, spool, chunks)
    }

    fn save_soon(&mut self) {
        self.wishes.is_crowded.store(true, Ordering::Relaxed);
    }
}

impl Machine {
    /// A start: the groups in memory, as they were saved.
    pub(super) fn load_all(
        &self,
        rows: &mut Rows,
        replicas: &mut Vec<Replica>,
        descriptors: &Descriptors,
        env: &mut Env,
    ) -> Result<(), Error> {
        for group in self.notes.groups() {
            let may_begin = self.saves.contains_key(&group) || self.is_born_here(group);
            if !may_begin || !env.options.is_in_memory(group) {
                // It may never have come to be.
                continue;
            }
            let chunks = self.read_saved(group)?;
            let (replica, memory) = self.load(group, chunks, env)?;
            rows.memories.insert(group, memory);
            descriptors.insert(replica.cell());
            replicas.push(replica);
        }
        Ok(())
    }

    fn is_born_here(&self, group: RegionId) -> bool {
        self.notes.peer(group) == Some(peer_of(group, self.id))
    }

    /// What was saved of a group in memory, if anything was.
    pub(super) fn read_saved(&self, group: RegionId) -> Result<Vec<Bytes>, Error> {
        self.saves.get(&group).map_or(Ok(Vec::new()), |saved| self.spools.read(saved.spool))
    }

    /// A group in memory, as it was saved last in these chunks; else as it began.
    pub(super) fn load(
        &self,
        group: RegionId,
        chunks: Vec<Bytes>,
        env: &mut Env,
    ) -> Result<(Replica, Memory), Error> {
        let saved = self.saves.get(&group);
        let memory = Memory::new(saved.map_or(Index(0), |saved| saved.meta.position.index));
        let engine = Arc::clone(&memory.engine) as Arc<dyn Engine>;
        let tuning = tuning(&env.options.store);
        if let Some(saved) = saved {
            let mut replica = blank(group, engine, tuning);
            replica.install(&saved.meta, saved.spool, &mut chunks.into_iter().map(Ok))?;
            env.marks.hit(Mark::SavedLoaded);
            return Ok((replica, memory));
        }
        if !self.is_born_here(group) {
            return Ok((blank(group, engine, tuning), memory));
        }
        let ident = StoreIdent { cluster: CLUSTER, store: self.id };
        bootstrap::bootstrap(&*engine, ident, &[env.cluster.region(group).clone()])?;
        let background: Arc<dyn Background> = Arc::new(Inline);
        let mut opened = open::open(&engine, ident, &background, tuning)?;
        Ok((opened.replicas.pop().expect("just made"), memory))
    }
}

fn blank(group: RegionId, engine: Arc<dyn Engine>, tuning: Tuning) -> Replica {
    Replica::awaiting_snapshot(group, engine, Arc::new(Inline), tuning)
}
