//! Frames to other stores over plain TCP: one connection per store and class.
//!
//! The way of a frame costs no task and no thread on the sender's side: whoever has something to
//! say (whoever takes the shard's turn, the log writer) writes to the socket itself, without
//! waiting. What the socket does not take at once waits in a bounded backlog, which a thread of the
//! lane sends on.
//! On the other side one thread per connection reads frames and hands them to the host.
//!
//! ```text
//!  shard, log writer ── Lane::send ──▶ socket ══▶ reader thread ── Inbound::frame ──▶ shard
//!                            └▶ backlog ── lane thread ──┘
//! ```
//!
//! What the words on the wire are stands in `kontiki_codec::hello`. A store that serves clients on
//! the same port looks at the first bytes of a connection and gives those of peers to
//! [`Acceptor::accept`]. Raft needs neither delivery nor order, so a broken connection is simply
//! opened again with back-off, and what was queued on it is dropped.

mod acceptor;
mod backlog;
mod inbound;
mod lane;
mod link;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kontiki_codec::hello::{Hello, Purpose};
use kontiki_types::{ClusterId, StoreId};

pub use acceptor::{Acceptor, Inbound, SnapshotSink};
pub use lane::OnLost;

use crate::transport::{Class, SnapshotPipe, Transport};
use lane::Lane;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the other side may take for its part of the greeting.
const GREETING_TIMEOUT: Duration = Duration::from_secs(2);
/// How long sent bytes may stay unacknowledged before the connection counts as broken: a machine
/// that vanished says nothing, and a lane to it would fill for minutes.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// Who this store is to the others.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its cluster; stores of another one are refused.
    pub cluster: ClusterId,
    /// Its id.
    pub store: StoreId,
    /// Differs with every start of the process.
    pub incarnation: u64,
    /// Where others call it; empty when they know that by other means.
    pub address: String,
}

impl Identity {
    fn hello(&self, to: StoreId, purpose: Purpose) -> Hello {
        let Self { cluster, store: from, incarnation, address } = self.clone();
        Hello { cluster, from, to, incarnation, purpose, address }
    }
}

/// The lanes to every other store. Dropped, it closes them.
pub struct Tcp {
    identity: Identity,
    stores: BTreeMap<StoreId, Peer>,
}

struct Peer {
    address: String,
    control: Lane,
    append: Lane,
}

impl Tcp {
    /// Start the lanes to these stores, given as `host:port`; this store itself is left out.
    /// `on_lost` is called from their threads.
    ///
    /// # Errors
    /// The machine has no more threads or descriptors.
    pub fn start(
        identity: Identity,
        stores: &BTreeMap<StoreId, String>,
        on_lost: &OnLost,
    ) -> std::io::Result<Self> {
        let mut peers = BTreeMap::new();
        for (&id, address) in stores.iter().filter(|(id, _)| **id != identity.store) {
            let lane = |purpose| {
                let hello = identity.hello(id, purpose);
                Lane::start(hello, address.clone(), Arc::clone(on_lost))
            };
            let (control, append) = (lane(Purpose::Control)?, lane(Purpose::Append)?);
            peers.insert(id, Peer { address: address.clone(), control, append });
        }
        Ok(Self { identity, stores: peers })
    }
}

impl Transport for Tcp {
    fn send(&self, to: StoreId, class: Class, frame: Bytes) -> bool {
        self.stores.get(&to).is_some_and(|peer| match class {
            Class::Control => peer.control.send(frame),
            Class::Append => peer.append.send(frame),
        })
    }

    fn sends_within_calls(&self) -> bool {
        true
    }

    fn open_snapshot(&self, to: StoreId, offer: Bytes) -> Result<Box<dyn SnapshotPipe>, String> {
        let peer = self.stores.get(&to).ok_or_else(|| format!("{to} is not in this cluster"))?;
        let hello = self.identity.hello(to, Purpose::Snapshot);
        Ok(Box::new(snapshot::Pipe::open(&peer.address, &hello, &offer)?))
    }
}

/// The first address of `host:port`.
fn resolve(address: &str) -> Result<std::net::SocketAddr, String> {
    let mut found = address.to_socket_addrs().map_err(|error| format!("{address}: {error}"))?;
    found.next().ok_or_else(|| format!("{address} has no address"))
}
