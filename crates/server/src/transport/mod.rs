//! Frames to other stores over gRPC: one long stream per store and class.
//!
//! [`Outbound`] implements the host's [`Transport`]: fire and forget, bounded in bytes per store
//! and class, never blocking. Each class has a connection of its own, so that entries and snapshots
//! cannot delay heartbeats. A broken stream is opened again with back-off; what was queued is
//! dropped, Raft repeats it. What arrives is taken in by [`crate::service`].

mod lane;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kontiki_host::{Class, SnapshotPipe, Transport};
use kontiki_proto::v1;
use kontiki_types::{ClusterId, StoreId};
use tokio::runtime::Handle;

use crate::data_dir::Incarnation;
use lane::Lane;
pub(crate) use lane::OnLost;

/// Version of the frames and of the handshake; a store of another version is refused by name.
pub(crate) const PEER_VERSION: u32 = 1;

/// Who this store is to the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) cluster: ClusterId,
    pub(crate) store: StoreId,
    /// Which life of which data directory this is.
    pub(crate) incarnation: Incarnation,
}

impl Identity {
    pub(crate) fn hello(self, to: StoreId, purpose: v1::Purpose) -> v1::Hello {
        v1::Hello {
            cluster_id: self.cluster.0,
            store_id: self.store.0,
            incarnation: self.incarnation.to_u64(),
            version: PEER_VERSION,
            purpose: purpose.into(),
            to_store_id: to.0,
        }
    }
}

/// The lanes to every other store.
pub(crate) struct Outbound {
    identity: Identity,
    runtime: Handle,
    stores: BTreeMap<StoreId, Peer>,
}

struct Peer {
    address: String,
    control: Arc<Lane>,
    append: Arc<Lane>,
}

impl Outbound {
    /// Start the lanes to these stores; this store itself is left out.
    pub(crate) fn start(
        identity: Identity,
        stores: &BTreeMap<StoreId, String>,
        on_lost: &OnLost,
        runtime: &Handle,
    ) -> Self {
        let others = stores.iter().filter(|(id, _)| **id != identity.store);
        let peer = |(&id, address): (&StoreId, &String)| {
            let lane = |purpose| {
                let hello = identity.hello(id, purpose);
                Lane::start(hello, address.clone(), Arc::clone(on_lost), runtime)
            };
            let control = lane(v1::Purpose::Control);
            let append = lane(v1::Purpose::Append);
            (id, Peer { address: address.clone(), control, append })
        };
        Self { identity, runtime: runtime.clone(), stores: others.map(peer).collect() }
    }
}

impl Transport for Outbound {
    fn send(&self, to: StoreId, class: Class, frame: Bytes) -> bool {
        self.stores.get(&to).is_some_and(|peer| match class {
            Class::Control => peer.control.send(frame),
            Class::Append => peer.append.send(frame),
        })
    }

    fn open_snapshot(&self, to: StoreId, offer: Bytes) -> Result<Box<dyn SnapshotPipe>, String> {
        let peer = self.stores.get(&to).ok_or_else(|| format!("{to} is not in this cluster"))?;
        let hello = self.identity.hello(to, v1::Purpose::Snapshot);
        Ok(Box::new(snapshot::Pipe::open(&peer.address, hello, offer, &self.runtime)))
    }
}
