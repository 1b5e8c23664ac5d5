//! Two stores on loopback: what is sent arrives, what does not fit is refused by name, and a lane
//! finds its way back.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kontiki_codec::hello::{self, Hello, Purpose};
use kontiki_types::{ClusterId, StoreId};

use super::{Acceptor, Identity, Inbound, OnLost, SnapshotSink, Tcp, link};
use crate::transport::{Class, Transport};

const PATIENCE: Duration = Duration::from_secs(20);

fn identity(cluster: u64, store: u64) -> Identity {
    let (cluster, store) = (ClusterId(cluster), StoreId(store));
    Identity { cluster, store, incarnation: 1, address: String::new() }
}

/// What arrived.
struct Ear(SyncSender<String>);

impl Inbound for Ear {
    fn frame(&self, from: StoreId, frame: Bytes) -> Result<(), String> {
        assert_eq!(from, StoreId(1));
        if frame.as_ref() == b"bad" {
            return Err("not a frame".into());
        }
        let text = if frame.len() > 100 { frame.len().to_string() } else { text(&frame) };
        self.0.send(text).map_err(|error| error.to_string())
    }

    fn snapshot(&self, offer: Bytes) -> Result<Box<dyn SnapshotSink>, String> {
        if offer.as_ref() == b"refuse" {
            return Err("no room for it".into());
        }
        Ok(Box::new(Sink(self.0.clone(), text(&offer))))
    }
}

/// Hears of the end as well.
struct LastWord(SyncSender<String>);

impl Inbound for LastWord {
    fn frame(&self, _from: StoreId, frame: Bytes) -> Result<(), String> {
        self.0.send(text(&frame)).map_err(|error| error.to_string())
    }

    fn lost(&self, hello: &Hello) {
        self.0.send(format!("{} is lost", hello.from)).expect("somebody listens");
    }

    fn snapshot(&self, _offer: Bytes) -> Result<Box<dyn SnapshotSink>, String> {
        Err("none is expected".into())
    }
}

struct Sink(SyncSender<String>, String);

impl SnapshotSink for Sink {
    fn push(&mut self, chunk: Bytes) -> Result<(), String> {
        self.1 += &text(&chunk);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        self.0.send(self.1).map_err(|error| error.to_string())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A store that listens and hands every connection to its acceptor.
struct Store {
    acceptor: Acceptor,
    address: String,
    heard: Receiver<String>,
    listening: JoinHandle<()>,
}

impl Store {
    fn start(identity: Identity, port: u16) -> Self {
        Self::with_ear(identity, port, |heard| Box::new(Ear(heard)))
    }

    fn with_ear(
        identity: Identity,
        port: u16,
        ear: impl FnOnce(SyncSender<String>) -> Box<dyn Inbound>,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, heard) = sync_channel(64);
        let acceptor = Acceptor::new(identity, [1, 2, 3].map(StoreId), ear(sender));
        let taking = acceptor.clone();
        let listening = std::thread::Builder::new()
            .spawn(move || {
                while let Ok((socket, _)) = listener.accept() {
                    if taking.accept(socket).is_err() {
                        return;
                    }
                }
            })
            .unwrap();
        Self { acceptor, address, heard, listening }
    }

    fn hear(&self) -> String {
        self.heard.recv_timeout(PATIENCE).unwrap()
    }

    /// Ends it, the listener too.
    fn stop(self) -> u16 {
        self.acceptor.stop();
        let port = self.address.rsplit_once(':').unwrap().1.parse().unwrap();
        // One more caller, who is turned away: then the thread ends, and the port is free.
        drop(TcpStream::connect(&self.address));
        self.listening.join().unwrap();
        port
    }
}

fn transport_to(store: &Store) -> Tcp {
    transport_that_tells(store, &(Arc::new(|_| {}) as OnLost))
}

fn transport_that_tells(store: &Store, on_lost: &OnLost) -> Tcp {
    let stores = BTreeMap::from([
        (StoreId(1), "127.0.0.1:1".to_owned()),
        (StoreId(2), store.address.clone()),
    ]);
    Tcp::start(identity(7, 1), &stores, on_lost).unwrap()
}

/// Until the lane takes it.
fn send(tcp: &Tcp, class: Class, frame: &Bytes) {
    let began = Instant::now();
    while !tcp.send(StoreId(2), class, frame.clone()) {
        assert!(began.elapsed() < PATIENCE, "the lane never opened");
        std::thread::yield_now();
    }
}

#[test]
fn frames_of_all_sizes_arrive_in_order() {
    let store = Store::start(identity(7, 2), 0);
    let tcp = transport_to(&store);
    let sizes = [1_usize, 300, 70_000, 9_000_000, 101, 20_000_000, 500];
    for size in sizes {
        send(&tcp, Class::Append, &vec![7; size].into());
    }
    let heard: Vec<String> = sizes.iter().map(|_| store.hear()).collect();
    assert_eq!(heard[1..], sizes[1..].iter().map(usize::to_string).collect::<Vec<_>>());
    send(&tcp, Class::Control, &"beat".into());
    assert_eq!(store.hear(), "beat");
    drop(tcp);
    store.stop();
}

#[test]
fn a_lane_finds_a_store_that_comes_back() {
    let store = Store::start(identity(7, 2), 0);
    let lost = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lost);
    let on_lost: OnLost = Arc::new(move |store| {
        count.fetch_add(usize::from(store == StoreId(2)), Ordering::SeqCst);
    });
    let tcp = transport_that_tells(&store, &on_lost);
    send(&tcp, Class::Control, &"one".into());
    assert_eq!(store.hear(), "one");
    assert_eq!(lost.load(Ordering::SeqCst), 0, "nothing is lost yet");
    let port = store.stop();
    let began = Instant::now();
    while tcp.send(StoreId(2), Class::Control, "lost".into()) {
        assert!(began.elapsed() < PATIENCE, "the lane did not notice");
        std::thread::yield_now();
    }
    let store = Store::start(identity(7, 2), port);
    send(&tcp, Class::Control, &"two".into());
    assert_eq!(store.hear(), "two");
    assert!(lost.load(Ordering::SeqCst) > 0, "nobody was told");
}

#[test]
fn the_end_of_a_store_is_told_after_its_last_frame() {
    let store = Store::with_ear(identity(7, 2), 0, |heard| Box::new(LastWord(heard)));
    let tcp = transport_to(&store);
    for n in 0..9 {
        send(&tcp, Class::Append, &n.to_string().into());
    }
    drop(tcp);
    while store.hear() != "8" {}
    assert_eq!(store.hear(), "s1 is lost");
    store.stop();
}

#[test]
fn a_frame_that_is_none_ends_the_connection_and_the_lane_opens_another() {
    let store = Store::start(identity(7, 2), 0);
    let tcp = transport_to(&store);
    send(&tcp, Class::Control, &"bad".into());
    // The next frames may still fall into the connection that ends.
    let began = Instant::now();
    let heard = loop {
        send(&tcp, Class::Control, &"good".into());
        if let Ok(heard) = store.heard.recv_timeout(Duration::from_millis(10)) {
            break heard;
        }
        assert!(began.elapsed() < PATIENCE, "nothing arrives any more");
    };
    assert_eq!(heard, "good");
}

#[test]
fn snapshots_arrive_whole_or_with_the_reason_why_not() {
    let store = Store::start(identity(7, 2), 0);
    let tcp = transport_to(&store);
    let mut pipe = tcp.open_snapshot(StoreId(2), "offer ".into()).unwrap();
    pipe.push("a".into()).unwrap();
    pipe.push("b".into()).unwrap();
    pipe.finish().unwrap();
    assert_eq!(store.hear(), "offer ab");

    let mut pipe = tcp.open_snapshot(StoreId(2), "broken".into()).unwrap();
    pipe.push("a".into()).unwrap();
    drop(pipe);
    let refused = tcp.open_snapshot(StoreId(2), "refuse".into()).unwrap().finish();
    assert_eq!(refused.unwrap_err(), "no room for it");
    assert!(store.heard.try_recv().is_err(), "a broken snapshot was finished");
    assert!(tcp.open_snapshot(StoreId(9), "x".into()).is_err());
}

#[test]
fn strangers_are_refused_by_name() {
    let store = Store::start(identity(7, 2), 0);
    let call = |cluster, from, to| {
        let (from, to) = (StoreId(from), StoreId(to));
        let cluster = ClusterId(cluster);
        let (purpose, address) = (Purpose::Control, String::new());
        let hello = Hello { cluster, from, to, incarnation: 1, purpose, address };
        link::call(&store.address, &hello).map(drop).unwrap_err()
    };
    assert!(call(8, 1, 2).starts_with("cluster 8 is not 7"));
    assert!(call(7, 1, 3).starts_with("this is store 2, not 3"));
    assert!(call(7, 9, 2).starts_with("store 9 is not a peer"));
    assert!(call(7, 2, 2).starts_with("store 2 is not a peer"));
}

#[test]
fn garbage_is_answered_and_closed() {
    let store = Store::start(identity(7, 2), 0);
    let answer = |bytes: &[u8]| {
        let mut socket = TcpStream::connect(&store.address).unwrap();
        socket.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A reset is an end as well.
        let _ = socket.read_to_end(&mut answer);
        text(answer.get(4..).unwrap_or_default())
    };
    let mut huge = hello::MAGIC.to_vec();
    huge.extend(u32::MAX.to_le_bytes());
    let most = format!("at most {}", hello::BYTES_MAX);
    assert!(answer(&huge).contains(&most), "{}", answer(&huge));
    let mut newer = hello::MAGIC.to_vec();
    newer.extend([1, 0, 0, 0, hello::VERSION + 1]);
    assert!(answer(&newer).contains("run the same release"), "{}", answer(&newer));
    assert!(answer(b"GET / HTTP/1.1\r\n\r\n").contains("no connection of a store"));
}
