//! What other stores say to this one: connections handed over by whoever listens, read by a thread
//! each.
//!
//! A connection must begin with a hello that fits: this cluster, this store, a known caller, a
//! version both speak. Anything else is answered with the reason and closed, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use bytes::Bytes;
use kontiki_codec::hello::{self, Hello, Purpose};
use kontiki_types::StoreId;
use kontiki_types::limits::MESSAGE_BYTES_MAX;

use super::{Identity, link};

/// Most connections of peers at once; more are closed unread.
const CONNECTIONS_MAX: usize = 1024;
/// Bytes read ahead; larger frames are read in place.
const READ_BYTES: usize = 64 * 1024;

/// Where what peers say goes. [`crate::NodeHost`] is one.
pub trait Inbound: Send + Sync + 'static {
    /// A store of this cluster wants to be heard; by default it is. Whoever is admitted is
    /// [`Inbound::lost`] once, unless it brings a snapshot.
    ///
    /// # Errors
    /// The reason why not, which it is told.
    fn admit(&self, _hello: &Hello) -> Result<(), String> {
        Ok(())
    }

    /// A frame arrived from this store.
    ///
    /// # Errors
    /// It is not one; the connection is closed.
    fn frame(&self, from: StoreId, frame: Bytes) -> Result<(), String>;

    /// A connection of this store ended; its frames were handed over before. By default that is no
    /// news.
    fn lost(&self, _hello: &Hello) {}

    /// A snapshot begins with this offer.
    ///
    /// # Errors
    /// The offer is not one, or the disk refuses.
    fn snapshot(&self, offer: Bytes) -> Result<Box<dyn SnapshotSink>, String>;
}

/// Takes in one snapshot. Dropped before its end, it leaves nothing.
pub trait SnapshotSink {
    /// Store a chunk.
    ///
    /// # Errors
    /// It is damaged, or the disk refuses.
    fn push(&mut self, chunk: Bytes) -> Result<(), String>;

    /// All chunks are here: make them durable and offer the snapshot to its group.
    ///
    /// # Errors
    /// The disk refuses.
    fn finish(self: Box<Self>) -> Result<(), String>;
}

/// See the module. Cheap to clone; [`Acceptor::stop`] ends it.
#[derive(Clone)]
pub struct Acceptor {
    inner: Arc<Inner>,
}

struct Inner {
    identity: Identity,
    /// All that are taken; none: whoever has a number that is not this store's own.
    peers: Option<BTreeSet<StoreId>>,
    inbound: Box<dyn Inbound>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: BTreeMap<u64, (TcpStream, JoinHandle<()>)>,
    stopped: bool,
}

impl Acceptor {
    /// Takes connections of these stores, this one left out, and hands on what they say.
    pub fn new(
        identity: Identity,
        stores: impl IntoIterator<Item = StoreId>,
        inbound: Box<dyn Inbound>,
    ) -> Self {
        let peers = stores.into_iter().filter(|&store| store != identity.store).collect();
        Self::with(identity, Some(peers), inbound)
    }

    /// Takes connections of all other stores of the cluster, whatever their numbers.
    pub fn of_any(identity: Identity, inbound: Box<dyn Inbound>) -> Self {
        Self::with(identity, None, inbound)
    }

    fn with(
        identity: Identity,
        peers: Option<BTreeSet<StoreId>>,
        inbound: Box<dyn Inbound>,
    ) -> Self {
        let open = Mutex::default();
        Self { inner: Arc::new(Inner { identity, peers, inbound, open }) }
    }

    /// Serve a connection, blocking, not yet read, on a thread of its own.
    ///
    /// # Errors
    /// There are too many connections already, or no more threads; it is closed.
    pub fn accept(&self, socket: TcpStream) -> io::Result<()> {
        let mut open = self.inner.lock();
        open.connections.retain(|_, (_, thread)| !thread.is_finished());
        if open.stopped || open.connections.len() >= CONNECTIONS_MAX {
            return Err(io::Error::other("too many connections of peers"));
        }
        let handle = socket.try_clone()?;
        let inner = Arc::clone(&self.inner);
        let thread = std::thread::Builder::new().name("peer".into()).spawn(move || {
            if let Err(error) = inner.serve(&socket) {
                tracing::debug!(%error, "peer connection ended");
            }
            // The registry still holds a handle: without this the other side would wait.
            let _ = socket.shutdown(Shutdown::Both);
        })?;
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, (handle, thread));
        Ok(())
    }

    /// Close all connections and wait for their threads.
    pub fn stop(&self) {
        let mut open = self.inner.lock();
        open.stopped = true;
        let connections = std::mem::take(&mut open.connections);
        drop(open);
        for (socket, thread) in connections.into_values() {
            // It may have ended by itself.
            let _ = socket.shutdown(Shutdown::Both);
            if thread.join().is_err() {
                tracing::error!("the thread of a peer connection panicked");
            }
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn serve(&self, socket: &TcpStream) -> io::Result<()> {
        link::prepare(socket)?;
        let mut reader = BufReader::with_capacity(READ_BYTES, socket);
        let greeted = self.greet(&mut reader);
        let refusal = greeted.as_ref().err().cloned().unwrap_or_default();
        let mut writer = socket;
        let told = link::send(&mut writer, refusal.as_bytes());
        let hello = greeted.map_err(io::Error::other)?;
        match hello.purpose {
            Purpose::Control | Purpose::Append => {
                let heard = told.and_then(|()| socket.set_read_timeout(None));
                let ended = heard.and_then(|()| self.take_frames(hello.from, &mut reader));
                self.inbound.lost(&hello);
                ended
            }
            Purpose::Snapshot => {
                told.and_then(|()| socket.set_read_timeout(None))?;
                let reason = self.take_snapshot(&mut reader).err().unwrap_or_default();
                link::send(&mut writer, reason.as_bytes())
            }
        }
    }

    /// Until the connection ends.
    fn take_frames(&self, from: StoreId, reader: &mut impl Read) -> io::Result<()> {
        loop {
            let frame = link::receive(reader, MESSAGE_BYTES_MAX)?;
            self.inbound.frame(from, frame.into()).map_err(io::Error::other)?;
        }
    }

    /// The reason when the hello does not fit.
    fn greet(&self, reader: &mut impl Read) -> Result<Hello, String> {
        let mut magic = [0; hello::MAGIC.len()];
        reader.read_exact(&mut magic).map_err(|error| error.to_string())?;
        if magic != hello::MAGIC {
            return Err("this is no connection of a store".into());
        }
        let bytes = link::receive(reader, hello::BYTES_MAX).map_err(|error| error.to_string())?;
        let checked = hello::from_bytes(bytes.into())
            .map_err(|error| format!("{error}: run the same release everywhere"))
            .and_then(|hello| self.check(&hello).map(|()| hello));
        if let Err(reason) = &checked {
            tracing::warn!(%reason, "peer refused");
        }
        checked
    }

    fn check(&self, hello: &Hello) -> Result<(), String> {
        let mine = &self.identity;
        if hello.cluster != mine.cluster {
            return Err(format!(
                "cluster {} is not {}: check --cluster-id and --initial-cluster of both stores",
                hello.cluster.0, mine.cluster.0
            ));
        }
        if hello.to != mine.store {
            return Err(format!(
                "this is store {}, not {}: check the addresses in --initial-cluster",
                mine.store.0, hello.to.0
            ));
        }
        let is_peer = match &self.peers {
            Some(peers) => peers.contains(&hello.from),
            None => hello.from != mine.store && hello.from != StoreId(0),
        };
        if !is_peer {
            return Err(format!("store {} is not a peer of this store", hello.from.0));
        }
        self.inbound.admit(hello)
    }

    fn take_snapshot(&self, reader: &mut impl Read) -> Result<(), String> {
        let mut next = || {
            let piece = link::receive(reader, MESSAGE_BYTES_MAX);
            piece.map(Bytes::from).map_err(|error| format!("the stream broke off: {error}"))
        };
        let mut sink = self.inbound.snapshot(next()?)?;
        loop {
            let chunk = next()?;
            if chunk.is_empty() {
                return sink.finish();
            }
            sink.push(chunk)?;
        }
    }
}
