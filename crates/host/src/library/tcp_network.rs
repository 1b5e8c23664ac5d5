//! The library's network: one listener for peers and operators, lanes to every store that is known.
//!
//! Stores become known by the options, by the configurations of groups, and by what operators and
//! other stores say; what is known is kept in the data directory. Who calls is told by the first
//! byte of a connection: peers go to [`Acceptor`], operators to [`super::cli`].

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;

use bytes::Bytes;
use kontiki_codec::{admin, hello};
use kontiki_types::StoreId;

use super::error::Error;
use super::host::write_durably;
use super::options::HostOptions;
use crate::node_host::NodeHost;
use crate::tcp::{Acceptor, Identity, OnLost, Tcp};
use crate::transport::{Class, SnapshotPipe, Transport};

/// Stores of a library cluster have numbers up to this.
const STORES_MAX: u64 = 4096;

/// The ways out, one for each store that is known.
pub(super) struct Lanes {
    identity: Identity,
    ways: RwLock<BTreeMap<StoreId, (String, Arc<Tcp>)>>,
    book: PathBuf,
    /// Told when a connection breaks, once it is there.
    host: Arc<OnceLock<NodeHost>>,
}

impl Lanes {
    fn open(identity: Identity, options: &HostOptions) -> Self {
        let book = options.data_dir.join("addresses");
        let lanes = Self { identity, ways: RwLock::default(), book, host: Arc::default() };
        // A line that is none is a store that is not known.
        let text = fs::read_to_string(&lanes.book).unwrap_or_default();
        let known = text.lines().filter_map(|line| {
            let (store, address) = line.split_once(' ')?;
            Some((StoreId(store.parse().ok()?), address.to_owned()))
        });
        lanes.learn(known);
        lanes
    }

    /// These stores are there. True when any of it is news.
    pub(super) fn learn(&self, stores: impl IntoIterator<Item = (StoreId, String)>) -> bool {
        let mut news = false;
        let host = Arc::clone(&self.host);
        let on_lost: OnLost = Arc::new(move |store| {
            if let Some(host) = host.get() {
                host.unreachable(store);
            }
        });
        // To drop a lane is to wait for its thread: not while everybody who sends waits.
        let mut replaced = Vec::new();
        let mut ways = self.ways.write().unwrap_or_else(PoisonError::into_inner);
        for (store, address) in stores {
            let known = ways.get(&store).is_some_and(|(at, _)| *at == address);
            if known || store == self.identity.store || address.is_empty() {
                continue;
            }
            let one = BTreeMap::from([(store, address.clone())]);
            match Tcp::start(self.identity, &one, &on_lost) {
                Ok(tcp) => {
                    replaced.extend(ways.insert(store, (address, Arc::new(tcp))));
                    news = true;
                }
                Err(error) => tracing::error!(%store, %error, "no lane to a store"),
            }
        }
        let lines: Vec<String> =
            ways.iter().map(|(store, (address, _))| format!("{} {address}", store.0)).collect();
        drop(ways);
        drop(replaced);
        if news && let Err(error) = write_durably(&self.book, lines.join("\n").as_bytes()) {
            tracing::warn!(%error, "addresses are not kept");
        }
        news
    }

    /// Where this store is, if known.
    pub(super) fn address(&self, store: StoreId) -> Option<String> {
        let ways = self.ways.read().unwrap_or_else(PoisonError::into_inner);
        ways.get(&store).map(|(address, _)| address.clone())
    }

    /// All that are known.
    pub(super) fn all(&self) -> BTreeMap<StoreId, String> {
        let ways = self.ways.read().unwrap_or_else(PoisonError::into_inner);
        ways.iter().map(|(&store, (address, _))| (store, address.clone())).collect()
    }

    fn way(&self, to: StoreId) -> Option<Arc<Tcp>> {
        let ways = self.ways.read().unwrap_or_else(PoisonError::into_inner);
        ways.get(&to).map(|(_, tcp)| Arc::clone(tcp))
    }

    fn close(&self) {
        let ways = std::mem::take(&mut *self.ways.write().unwrap_or_else(PoisonError::into_inner));
        // Outside the lock, as in `learn`.
        drop(ways);
    }
}

impl Transport for Lanes {
    fn send(&self, to: StoreId, class: Class, frame: Bytes) -> bool {
        // Under the lock, which costs no wait: whoever held the last handle of a lane that was
        // replaced meanwhile would wait for its thread.
        let ways = self.ways.read().unwrap_or_else(PoisonError::into_inner);
        ways.get(&to).is_some_and(|(_, tcp)| tcp.send(to, class, frame))
    }

    fn sends_within_calls(&self) -> bool {
        true
    }

    fn open_snapshot(&self, to: StoreId, offer: Bytes) -> Result<Box<dyn SnapshotPipe>, String> {
        self.way(to)
            .ok_or_else(|| format!("the address of {to} is not known"))?
            .open_snapshot(to, offer)
    }
}

/// Serves operators; blocks while the connection lasts.
pub(super) type ServeOperator = Box<dyn Fn(TcpStream) + Send + Sync>;

/// Listener and lanes of a host. Cheap to clone.
#[derive(Clone)]
pub(super) struct TcpNetwork(Arc<Inner>);

struct Inner {
    identity: Identity,
    listener: TcpListener,
    advertise: String,
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
        let identity = Identity { cluster: options.cluster, store: options.store, incarnation };
        let lanes = Arc::new(Lanes::open(identity, options));
        lanes.learn(stores.clone());
        let (ended, serving) = (AtomicBool::new(false), Mutex::default());
        let advertise = advertise.cloned().unwrap_or_else(|| at.to_string());
        Ok(Self(Arc::new(Inner { identity, listener, advertise, lanes, ended, serving })))
    }

    pub(super) fn lanes(&self) -> &Arc<Lanes> {
        &self.0.lanes
    }

    /// Where others reach this store.
    pub(super) fn address(&self) -> &str {
        &self.0.advertise
    }

    /// Take connections from now on.
    pub(super) fn serve(&self, host: NodeHost, operator: ServeOperator) -> std::io::Result<()> {
        self.0.lanes.host.get_or_init(|| host.clone());
        let peers = (1..=STORES_MAX).map(StoreId);
        let acceptor = Acceptor::new(self.0.identity, peers, Box::new(host));
        let (inner, peers, operator) = (Arc::clone(&self.0), acceptor.clone(), Arc::new(operator));
        let listener = self.0.listener.try_clone()?;
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
            if let Ok(address) = self.0.listener.local_addr() {
                drop(TcpStream::connect(address));
            }
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
