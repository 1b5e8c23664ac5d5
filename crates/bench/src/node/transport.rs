//! How nodes reach each other: as stores do, over the host's own TCP. Only who listens where is
//! said here, and that nobody sends snapshots.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Context;
use kontiki_host::NodeHost;
use kontiki_host::tcp::{Acceptor, Identity, OnLost, Tcp};
use kontiki_types::{ClusterId, StoreId};

/// Lanes to every node but this one.
pub(super) fn start(own: StoreId, nodes: &[String]) -> anyhow::Result<Tcp> {
    let stores: BTreeMap<_, _> = (1..).map(StoreId).zip(nodes.iter().cloned()).collect();
    // A node that dies ends the measurement.
    let on_lost: OnLost = Arc::new(|_| ());
    Ok(Tcp::start(identity(own), &stores, &on_lost)?)
}

/// Takes frames of the other nodes in.
pub(super) fn listen(own: StoreId, nodes: &[String], host: &NodeHost) -> anyhow::Result<()> {
    let address = &nodes[usize::try_from(own.0 - 1)?];
    let listener = TcpListener::bind(address).context("listen for other nodes")?;
    let stores = (1..=nodes.len() as u64).map(StoreId);
    let acceptor = Acceptor::new(identity(own), stores, Box::new(host.clone()));
    std::thread::Builder::new().name("accept".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            // One that is not taken is closed, and the other side tries again.
            let _ = acceptor.accept(stream);
        }
    })?;
    Ok(())
}

fn identity(store: StoreId) -> Identity {
    let incarnation = u64::from(std::process::id());
    Identity { cluster: ClusterId(1), store, incarnation, address: String::new() }
}
