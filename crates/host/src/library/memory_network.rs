//! A network within one process: for tests of state machines, and for trying things out.
//!
//! Frames are handed to the other host on the caller's thread. Links can be cut and healed, one way
//! or both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use kontiki_types::StoreId;

use crate::node_host::NodeHost;
use crate::snapshot_receiver::SnapshotReceiver;
use crate::transport::{Class, SnapshotPipe, Transport};

/// Hosts that reach each other. Cheap to clone.
#[derive(Clone, Default)]
pub struct MemoryNetwork {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    hosts: BTreeMap<StoreId, NodeHost>,
    cut: BTreeSet<(StoreId, StoreId)>,
}

impl MemoryNetwork {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing passes between this store and any other, either way.
    pub fn isolate(&self, store: StoreId) {
        let mut state = self.lock();
        for other in (1..=STORES_MAX).map(StoreId).filter(|other| *other != store) {
            state.cut.extend([(store, other), (other, store)]);
        }
    }

    /// Nothing passes from one store to another.
    pub fn cut(&self, from: StoreId, to: StoreId) {
        self.lock().cut.insert((from, to));
    }

    /// Everything passes again.
    pub fn heal(&self) {
        self.lock().cut.clear();
    }

    pub(crate) fn attach(&self, store: StoreId, host: NodeHost) {
        self.lock().hosts.insert(store, host);
    }

    pub(crate) fn detach(&self, store: StoreId) {
        self.lock().hosts.remove(&store);
    }

    /// The way out of one store.
    pub(crate) fn transport(&self, store: StoreId) -> Arc<dyn Transport> {
        Arc::new(Way { network: self.clone(), from: store })
    }

    fn reach(&self, from: StoreId, to: StoreId) -> Option<NodeHost> {
        let state = self.lock();
        if state.cut.contains(&(from, to)) { None } else { state.hosts.get(&to).cloned() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stores of such a network have small numbers.
const STORES_MAX: u64 = 64;

struct Way {
    network: MemoryNetwork,
    from: StoreId,
}

impl Transport for Way {
    fn send(&self, to: StoreId, _class: Class, frame: Bytes) -> bool {
        let Some(host) = self.network.reach(self.from, to) else { return false };
        host.receive(self.from, frame).is_ok()
    }

    fn open_snapshot(&self, to: StoreId, offer: Bytes) -> Result<Box<dyn SnapshotPipe>, String> {
        let host = self.network.reach(self.from, to).ok_or("nothing reaches it")?;
        let receiver = host.receive_snapshot(offer)?;
        Ok(Box::new(Pipe { network: self.network.clone(), from: self.from, to, receiver }))
    }
}

struct Pipe {
    network: MemoryNetwork,
    from: StoreId,
    to: StoreId,
    receiver: SnapshotReceiver,
}

impl Pipe {
    fn check(&self) -> Result<(), String> {
        let there = self.network.reach(self.from, self.to).is_some();
        if there { Ok(()) } else { Err("the link was cut".to_owned()) }
    }
}

impl SnapshotPipe for Pipe {
    fn push(&mut self, chunk: Bytes) -> Result<(), String> {
        self.check()?;
        self.receiver.push(&chunk)
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        self.check()?;
        self.receiver.finish()
    }
}
