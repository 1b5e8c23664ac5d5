//! One connection to one store: written by whoever has a frame, kept open by a thread.
//!
//! The thread sleeps while all goes well. It wakes when the socket was full and has room again,
//! when the other side closes, and when the lane ends; then it connects anew, with back-off.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use kontiki_codec::hello::Hello;
use kontiki_types::StoreId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::backlog::Backlog;
use super::link;

/// First wait before a broken connection is made again; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// See [`BACKOFF_MIN`]. Well below an election timeout: a store that comes back is heard at once.
const BACKOFF_MAX: Duration = Duration::from_millis(320);

/// Told when a connection to this store broke, and again when there is a new reason why none can be
/// made.
pub type OnLost = Arc<dyn Fn(StoreId) + Send + Sync>;

/// See the module.
pub(super) struct Lane {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    hello: Hello,
    address: String,
    state: Mutex<State>,
    /// A byte written here wakes the thread.
    bell: UnixStream,
}

enum State {
    /// No connection; frames are dropped.
    Down,
    Up(Link),
    /// The lane ends.
    Closed,
}

struct Link {
    socket: TcpStream,
    backlog: Backlog,
}

/// What the thread does next.
enum Next {
    Connect,
    End,
}

impl Lane {
    pub(super) fn start(hello: Hello, address: String, on_lost: OnLost) -> std::io::Result<Self> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        let name = format!("lane-{}", hello.to);
        let shared = Arc::new(Shared { hello, address, state: Mutex::new(State::Down), bell });
        let lane = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name(name).spawn(move || lane.keep_open(&ear, &on_lost))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Send a frame, or queue it; false when it was dropped.
    pub(super) fn send(&self, frame: Bytes) -> bool {
        let mut state = self.shared.lock();
        let State::Up(Link { socket, backlog }) = &mut *state else { return false };
        let waits = !backlog.is_empty();
        if !backlog.push(frame) {
            return false;
        }
        if waits {
            return true;
        }
        let result = backlog.write_to(&*socket);
        if result.is_ok() && backlog.is_empty() {
            return true;
        }
        if result.is_err() {
            *state = State::Down;
        }
        drop(state);
        self.shared.ring();
        result.is_ok()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        *self.shared.lock() = State::Closed;
        self.shared.ring();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(to = %self.shared.hello.to, "the thread of a lane panicked");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn ring(&self) {
        // A full bell rings already.
        let _ = (&self.bell).write(&[1]);
    }

    fn keep_open(&self, ear: &UnixStream, on_lost: &OnLost) {
        let (to, address) = (self.hello.to, &self.address);
        let mut backoff = BACKOFF_MIN;
        let mut said = String::new();
        loop {
            let reason = match link::call(address, &self.hello).and_then(|s| self.open(s)) {
                Ok(watched) => {
                    tracing::debug!(%to, %address, "peer connection up");
                    backoff = BACKOFF_MIN;
                    said.clear();
                    if matches!(self.tend(&watched, ear), Next::End) {
                        return;
                    }
                    "connection closed".to_owned()
                }
                Err(reason) => reason,
            };
            // A store that stays away is worth one line, not one per attempt.
            if reason != said {
                on_lost(to);
                tracing::info!(%to, %address, %reason, "peer connection down");
                said = reason;
            }
            if !self.rest(ear, backoff) {
                return;
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// From now on frames go here. Gives a second handle for the thread to watch.
    fn open(&self, socket: TcpStream) -> Result<TcpStream, String> {
        let watched = socket.set_nonblocking(true).and_then(|()| socket.try_clone());
        let watched = watched.map_err(|error| error.to_string())?;
        let mut state = self.lock();
        if !matches!(*state, State::Closed) {
            *state = State::Up(Link { socket, backlog: Backlog::default() });
        }
        Ok(watched)
    }

    /// Until the connection breaks or the lane ends.
    fn tend(&self, socket: &TcpStream, ear: &UnixStream) -> Next {
        let mut wants_room = false;
        loop {
            let events = if wants_room { PollFlags::OUT } else { PollFlags::empty() };
            // The other side says nothing after its welcome: whatever can be read is the end.
            let events = events | PollFlags::IN | PollFlags::RDHUP;
            let mut fds = [PollFd::new(socket, events), PollFd::new(ear, PollFlags::IN)];
            if poll(&mut fds, None).is_err() {
                continue;
            }
            let found = fds[0].revents();
            if !fds[1].revents().is_empty() {
                silence(ear);
            }
            let mut state = self.lock();
            match &mut *state {
                State::Closed => return Next::End,
                State::Down => return Next::Connect,
                State::Up(Link { socket, backlog }) => {
                    let over = found.difference(PollFlags::OUT) != PollFlags::empty();
                    if over || backlog.write_to(&*socket).is_err() {
                        *state = State::Down;
                        return Next::Connect;
                    }
                    wants_room = !backlog.is_empty();
                }
            }
        }
    }

    /// Wait before the next attempt; false when the lane ended meanwhile.
    fn rest(&self, ear: &UnixStream, pause: Duration) -> bool {
        if matches!(*self.lock(), State::Closed) {
            return false;
        }
        let timeout = Timespec::try_from(pause).expect("pauses are short");
        let mut fds = [PollFd::new(ear, PollFlags::IN)];
        // Interrupted: the next attempt comes a little early.
        let _ = poll(&mut fds, Some(&timeout));
        silence(ear);
        !matches!(*self.lock(), State::Closed)
    }
}

/// Take back what was rung.
fn silence(mut ear: &UnixStream) {
    let mut rung = [0; 64];
    while ear.read(&mut rung).is_ok_and(|count| count == rung.len()) {}
}
