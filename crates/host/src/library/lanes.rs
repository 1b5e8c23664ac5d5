//! Where other stores are, and the lanes to them.
//!
//! A store says itself where it is, whenever it calls ([`super::calls`]): that goes before all
//! else, so one that moved is found, and a wrong address in somebody's configuration does no
//! lasting harm.
//! Of stores that have not called there is hearsay: the options, the configurations of groups, what
//! operators and other stores say. What is known is kept in the data directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use kontiki_codec::admin;
use kontiki_types::{PeerId, StoreId};

use super::cli;
use super::host::write_durably;
use super::options::HostOptions;
use crate::node_host::NodeHost;
use crate::tcp::{Identity, OnLost, Tcp};
use crate::transport::{Class, SnapshotPipe, Transport};

/// How long another store may take to hear of addresses.
const TELL_TIMEOUT: Duration = Duration::from_secs(2);

/// Most stores that are known: each has threads and connections of its own.
const STORES_MAX: usize = 1024;

/// Who says where a store is, and so whose word it replaces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Source {
    /// Another store: only what is not known at all.
    Another,
    /// Options, configurations and operators: whatever the store has not said itself.
    User,
    /// The store itself.
    Itself,
}

/// The ways out, one for each store that is known.
pub(super) struct Lanes {
    identity: Identity,
    ways: RwLock<BTreeMap<StoreId, Way>>,
    /// Grows with everything that is news.
    version: AtomicU64,
    /// Written by one at a time, each with all that is known by then.
    book: Mutex<PathBuf>,
    /// Told when a connection breaks, once it is there.
    host: Arc<OnceLock<NodeHost>>,
}

struct Way {
    address: String,
    source: Source,
    tcp: Arc<Tcp>,
}

impl Way {
    /// This word is worth a new lane.
    fn gives_way(&self, source: Source, address: &str) -> bool {
        let outweighs = match source {
            Source::Another => false,
            Source::User | Source::Itself => source >= self.source,
        };
        outweighs && self.address != address
    }
}

impl Lanes {
    /// With what the data directory knows.
    pub(super) fn open(identity: Identity, options: &HostOptions) -> Self {
        let book = options.data_dir.join("addresses");
        // A line that is none is a store that is not known.
        let text = fs::read_to_string(&book).unwrap_or_default();
        let (version, book, host) = (AtomicU64::new(0), Mutex::new(book), Arc::default());
        let lanes = Self { identity, ways: RwLock::default(), version, book, host };
        let known = text.lines().filter_map(|line| {
            let (store, address) = line.split_once(' ')?;
            Some((StoreId(store.parse().ok()?), address.to_owned()))
        });
        lanes.learn(Source::Another, known);
        lanes
    }

    /// From now on this host is told of lanes that break.
    pub(super) fn serve(&self, host: NodeHost) {
        self.host.get_or_init(|| host);
    }

    /// These stores are there, somebody says.
    pub(super) fn learn(
        &self,
        source: Source,
        stores: impl IntoIterator<Item = (StoreId, String)>,
    ) {
        let mut is_news = false;
        // To drop a lane is to wait for its thread: not while everybody who sends waits.
        let mut replaced = Vec::new();
        let mut ways = self.ways.write().unwrap_or_else(PoisonError::into_inner);
        for (store, address) in stores {
            if store == self.identity.store || address.is_empty() {
                continue;
            }
            if let Some(way) = ways.get_mut(&store).filter(|way| !way.gives_way(source, &address)) {
                if way.address == address {
                    way.source = way.source.max(source);
                }
                continue;
            }
            if ways.len() >= STORES_MAX && !ways.contains_key(&store) {
                tracing::warn!(%store, %address, "more stores than may be known");
                continue;
            }
            if let Some(tcp) = self.lane(store, &address) {
                replaced.extend(ways.insert(store, Way { address, source, tcp }));
                is_news = true;
            }
        }
        drop(ways);
        drop(replaced);
        if is_news {
            self.version.fetch_add(1, Ordering::SeqCst);
            self.keep();
        }
    }

    fn keep(&self) {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = self.all().into_iter().map(|(store, at)| format!("{} {at}\n", store.0));
        if let Err(error) = write_durably(&book, lines.collect::<String>().as_bytes()) {
            tracing::warn!(%error, "addresses are not kept");
        }
    }

    fn lane(&self, store: StoreId, address: &str) -> Option<Arc<Tcp>> {
        let host = Arc::clone(&self.host);
        let on_lost: OnLost = Arc::new(move |store| {
            if let Some(host) = host.get() {
                host.unreachable(store);
            }
        });
        let one = BTreeMap::from([(store, address.to_owned())]);
        let started = Tcp::start(self.identity.clone(), &one, &on_lost);
        let reported = started.inspect_err(|error| {
            tracing::error!(%store, %error, "no lane to a store");
        });
        reported.ok().map(Arc::new)
    }

    /// How much was news until now.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Tell a store where all the others are, on a thread of its own. It may be lost: whoever calls
    /// again is told again.
    pub(super) fn tell(&self, store: StoreId) {
        let Some(address) = self.address(store) else { return };
        let Identity { cluster, store: own, address: home, .. } = self.identity.clone();
        let others = self.all().into_iter().chain([(own, home)]).filter(|(to, _)| *to != store);
        let known = others.map(|(store, address)| {
            let peer = PeerId(store.0);
            admin::Member { store, peer, address, is_learner: false }
        });
        let request = admin::Request::Learn(known.collect());
        let spawned = std::thread::Builder::new().name("addresses".to_owned()).spawn(move || {
            if let Err(error) = cli::tell(&address, cluster, &request, TELL_TIMEOUT) {
                tracing::debug!(%store, %error, "a store was not told of addresses");
            }
        });
        drop(spawned);
    }

    /// Where this store is, if known.
    pub(super) fn address(&self, store: StoreId) -> Option<String> {
        let ways = self.ways.read().unwrap_or_else(PoisonError::into_inner);
        ways.get(&store).map(|way| way.address.clone())
    }

    /// All that are known.
    fn all(&self) -> BTreeMap<StoreId, String> {
        let ways = self.ways.read().unwrap_or_else(PoisonError::into_inner);
        ways.iter().map(|(&store, way)| (store, way.address.clone())).collect()
    }

    fn way(&self, to: StoreId) -> Option<Arc<Tcp>> {
        let ways = self.ways.read().unwrap_or_else(PoisonError::into_inner);
        ways.get(&to).map(|way| Arc::clone(&way.tcp))
    }

    /// Close all of them.
    pub(super) fn close(&self) {
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
        ways.get(&to).is_some_and(|way| way.tcp.send(to, class, frame))
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
