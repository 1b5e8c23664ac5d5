//! The library's network: one listener for peers and operators, lanes to every store that is known
//! ([`super::lanes`]).
//!
//! Who calls is told by the first byte of a connection: peers go to [`Acceptor`], operators to
//! [`super::cli`].

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use kontiki_codec::{admin, hello};
use kontiki_types::StoreId;

use super::calls::Calls;
use super::error::Error;
use super::lanes::{Lanes, Source};
use super::options::HostOptions;
use crate::node_host::NodeHost;
use crate::tcp::{Acceptor, Identity};

/// Serves operators; blocks while the connection lasts.
pub(super) type ServeOperator = Box<dyn Fn(TcpStream) + Send + Sync>;

/// Listener and lanes of a host. Cheap to clone.
#[derive(Clone)]
pub(super) struct TcpNetwork(Arc<Inner>);

struct Inner {
    identity: Identity,
    /// Until it serves: then the thread that listens has it, and nobody after that, so that callers
    /// of a store that ended are refused and do not wait.
    listener: Mutex<Option<TcpListener>>,
    at: SocketAddr,
    lanes: Arc<Lanes>,
    ended: AtomicBool,
    serving: Mutex<Option<(Acceptor, JoinHandle<()>)>>,
}

impl TcpNetwork {
    /// Listen, and start the lanes to the stores that are known.
    pub(super) fn open(
        options: &HostOptions,
        incarnation: u64,
        (listen, advertise): (&str, Option<&String>),
        stores: &BTreeMap<StoreId, String>,
    ) -> Result<Self, Error> {
        let network = |error: std::io::Error| Error::Network(format!("{listen}: {error}"));
        let listener = TcpListener::bind(listen).map_err(network)?;
        let at = listener.local_addr().map_err(network)?;
        if advertise.is_none() && at.ip().is_unspecified() {
            let why = format!("{at} is no address to be reached at: tell one to advertise");
            return Err(Error::Invalid(why));
        }
        let address = advertise.cloned().unwrap_or_else(|| at.to_string());
        if address.len() > hello::ADDRESS_BYTES_MAX {
            return Err(Error::Invalid(format!("{address} is too long for an address")));
        }
        let (cluster, store) = (options.cluster, options.store);
        let identity = Identity { cluster, store, incarnation, address };
        let lanes = Arc::new(Lanes::open(identity.clone(), options));
        lanes.learn(Source::User, stores.clone());
        let (listener, serving) = (Mutex::new(Some(listener)), Mutex::default());
        let ended = AtomicBool::new(false);
        Ok(Self(Arc::new(Inner { identity, listener, at, lanes, ended, serving })))
    }

    pub(super) fn lanes(&self) -> &Arc<Lanes> {
        &self.0.lanes
    }

    /// Where others reach this store.
    pub(super) fn address(&self) -> &str {
        &self.0.identity.address
    }

    /// Take connections from now on.
    pub(super) fn serve(&self, host: NodeHost, operator: ServeOperator) -> std::io::Result<()> {
        self.0.lanes.serve(host.clone());
        let calls = Calls::new(host, Arc::clone(&self.0.lanes));
        let acceptor = Acceptor::of_any(self.0.identity.clone(), Box::new(calls));
        let (inner, peers, operator) = (Arc::clone(&self.0), acceptor.clone(), Arc::new(operator));
        let listener = self.0.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(listener) = listener else { return Ok(()) };
        let thread = std::thread::Builder::new().name("listen".to_owned()).spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                if inner.ended.load(Ordering::SeqCst) {
                    return;
                }
                let (peers, operator) = (peers.clone(), Arc::clone(&operator));
                let greet = move || greet(socket, &peers, &operator);
                let spawned = std::thread::Builder::new().name("greet".to_owned()).spawn(greet);
                if let Err(error) = spawned {
                    tracing::warn!(%error, "a connection was not taken");
                }
            }
        })?;
        *self.serving() = Some((acceptor, thread));
        Ok(())
    }

    /// Close everything and wait for the threads.
    pub(super) fn stop(&self) {
        self.0.ended.store(true, Ordering::SeqCst);
        let serving = self.serving().take();
        if let Some((acceptor, thread)) = serving {
            // Wakes the listener, which sees that it has ended.
            drop(TcpStream::connect(self.0.at));
            if thread.join().is_err() {
                tracing::error!("the listener panicked");
            }
            acceptor.stop();
        }
        self.0.lanes.close();
    }

    fn serving(&self) -> MutexGuard<'_, Option<(Acceptor, JoinHandle<()>)>> {
        self.0.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Look at the first byte and hand the connection on.
fn greet(socket: TcpStream, peers: &Acceptor, operator: &Arc<ServeOperator>) {
    let patience = std::time::Duration::from_secs(2);
    if socket.set_read_timeout(Some(patience)).is_err() {
        return;
    }
    let mut first = [0];
    match socket.peek(&mut first) {
        Ok(1) if Some(&first[0]) == hello::MAGIC.first() => {
            if let Err(error) = peers.accept(socket) {
                tracing::warn!(%error, "a peer was not taken");
            }
        }
        Ok(1) if Some(&first[0]) == admin::MAGIC.first() => operator(socket),
        _ => tracing::debug!("a connection that is neither a store's nor an operator's"),
    }
}
