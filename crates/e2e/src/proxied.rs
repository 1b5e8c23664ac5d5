//! Three stores whose ways to each other go through this process, which can hold them back.
//!
//! A store that was paused finds, when it wakes, all that the others said meanwhile: what it would
//! do before it heard them can only be seen when their words are held back, and those of clients
//! are not.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::command::{binary, wait_for};

/// What a connection between stores begins with.
const PEER_MAGIC: &[u8] = b"kontiki\n";
/// Bytes passed on at once.
const PIECE_BYTES: usize = 16 * 1024;
/// How long a store may take to come up, or a client to reach it.
const UP: Duration = Duration::from_secs(30);

/// A store behind its gate.
pub struct Gated {
    child: Child,
    gate: Arc<Gate>,
    /// Where everybody reaches it.
    pub address: String,
}

/// What passes to a store.
#[derive(Default)]
struct Gate {
    is_held: Mutex<bool>,
    changed: Condvar,
    guest_bytes: AtomicU64,
}

/// Three stores that serve, in order of id.
///
/// # Panics
/// When they do not start.
pub fn three(dir: &Path) -> Vec<Gated> {
    let local = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let doors: Vec<_> = (0..3).map(local).collect();
    let address = |door: &TcpListener| door.local_addr().expect("it is bound");
    let cluster = (1..).zip(&doors).map(|(id, door): (u64, _)| format!("{id}={}", address(door)));
    let cluster = cluster.collect::<Vec<_>>().join(",");
    let store = |(id, door): (u64, TcpListener)| {
        // Free again at once: the store takes it.
        let own = address(&local(0));
        let child = Command::new(binary())
            .args(["serve", "--store-id", &id.to_string(), "--listen", &own.to_string()])
            .args(["--initial-cluster", &cluster, "--parent-pid", &std::process::id().to_string()])
            .arg("--data-dir")
            .arg(dir.join(format!("store-{id}")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a store starts");
        let (gate, address) = (Arc::new(Gate::default()), address(&door).to_string());
        let passing = Arc::clone(&gate);
        spawn("door", move || keep(&door, own, &passing));
        Gated { child, gate, address }
    };
    (1..).zip(doors).map(store).collect()
}

impl Gated {
    /// `SIGSTOP` or `SIGCONT`.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a pid is not zero");
        kill_process(pid, signal).expect("the process is there");
    }

    /// From now on what other stores say to this one waits here, or passes again.
    pub fn hold(&self, is_held: bool) {
        *self.gate.is_held.lock().unwrap_or_else(PoisonError::into_inner) = is_held;
        self.gate.changed.notify_all();
    }

    /// Run this, and wait until clients have said more to the store than before.
    ///
    /// # Panics
    /// When they do not in time.
    pub fn after_asking<T>(&self, ask: impl FnOnce() -> T) -> T {
        let before = self.gate.guest_bytes.load(Ordering::SeqCst);
        let asked = ask();
        wait_for("a client to reach the store", UP, || {
            (self.gate.guest_bytes.load(Ordering::SeqCst) > before).then_some(())
        });
        asked
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A thread that ends with its connection, or with the test.
fn spawn(name: &str, body: impl FnOnce() + Send + 'static) {
    let started = thread::Builder::new().name(name.to_owned()).spawn(body);
    started.expect("a thread starts");
}

/// Passes on what comes to the door, until the test ends.
fn keep(door: &TcpListener, own: SocketAddr, gate: &Arc<Gate>) {
    for caller in door.incoming().map_while(Result::ok) {
        let gate = Arc::clone(gate);
        spawn("in", move || {
            // A store that does not listen yet: the caller tries again.
            let Ok(store) = TcpStream::connect(own) else { return };
            let back = (store.try_clone(), caller.try_clone());
            let (Ok(from), Ok(to)) = back else { return };
            spawn("out", move || pass(from, to, |_| ()));
            let mut is_peer = None;
            pass(caller, store, |piece| {
                if *is_peer.get_or_insert_with(|| piece.starts_with(PEER_MAGIC)) {
                    gate.wait();
                } else {
                    gate.guest_bytes.fetch_add(piece.len() as u64, Ordering::SeqCst);
                }
            });
        });
    }
}

impl Gate {
    fn wait(&self) {
        let held = self.is_held.lock().unwrap_or_else(PoisonError::into_inner);
        let passes = self.changed.wait_while(held, |is_held| *is_held);
        drop(passes.unwrap_or_else(PoisonError::into_inner));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut before: impl FnMut(&[u8])) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        before(&piece[..length]);
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
