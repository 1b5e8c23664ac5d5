//! What other stores say to this one goes to the host, once it is known that they lost nothing.
//!
//! The host's acceptor has checked cluster, addressee and version before; here it is decided
//! whether the caller is the store it was (`known_stores`).

use std::sync::Arc;

use bytes::Bytes;
use kontiki_codec::hello::Hello;
use kontiki_host::tcp::{Inbound, SnapshotSink};
use kontiki_types::StoreId;

use crate::data_dir::Incarnation;
use crate::node::Node;

/// See the module.
pub(crate) struct Peers(pub(crate) Arc<Node>);

impl Inbound for Peers {
    fn admit(&self, hello: &Hello) -> Result<(), String> {
        self.0.known_stores.admit(hello.from, Incarnation::from_u64(hello.incarnation))
    }

    fn frame(&self, from: StoreId, frame: Bytes) -> Result<(), String> {
        self.0.host.frame(from, frame)
    }

    fn lost(&self, hello: &Hello) {
        self.0.host.lost(hello);
    }

    fn snapshot(&self, offer: Bytes) -> Result<Box<dyn SnapshotSink>, String> {
        self.0.host.snapshot(offer)
    }
}
