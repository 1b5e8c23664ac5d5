//! One port for everybody: the first bytes of a connection say whether a store calls, or a client.
//!
//! Stores begin with the magic of `kontiki_codec::hello` and get a thread of the host; everybody
//! else is handed to gRPC unread. A connection that says nothing is closed after a while.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kontiki_codec::hello::MAGIC;
use kontiki_host::tcp::Acceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

/// How long a connection may keep its first bytes to itself.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Most connections that have not said who they are.
const STRANGERS_MAX: usize = 1024;
/// Most connections that wait for gRPC to take them.
const GUESTS_MAX: usize = 64;
/// Between two looks at first bytes that arrive one by one.
const LOOK_PAUSE: Duration = Duration::from_millis(2);
/// After the machine refused a connection (out of descriptors), before the next is tried.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Connections for gRPC.
pub(crate) type Guests = ReceiverStream<io::Result<TcpStream>>;

/// Who calls.
enum Caller {
    Store,
    Guest,
}

/// Open the door; ends when the runtime or the receiver of the guests does.
pub(crate) fn open(listener: TcpListener, peers: Acceptor) -> Guests {
    let (guests, receiver) = mpsc::channel(GUESTS_MAX);
    tokio::task::spawn(async move {
        let room = Arc::new(Semaphore::new(STRANGERS_MAX));
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = guests.closed() => return,
            };
            match accepted {
                Ok((socket, _)) => {
                    let (peers, guests) = (peers.clone(), guests.clone());
                    tokio::task::spawn(async move {
                        if let Err(error) = receive(socket, &peers, &guests).await {
                            tracing::debug!(%error, "connection closed at the door");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            }
        }
    });
    ReceiverStream::new(receiver)
}

async fn receive(
    socket: TcpStream,
    peers: &Acceptor,
    guests: &mpsc::Sender<io::Result<TcpStream>>,
) -> io::Result<()> {
    let caller = tokio::time::timeout(SILENCE_MAX, look(&socket)).await?;
    match caller? {
        Caller::Store => {
            let socket = socket.into_std()?;
            socket.set_nonblocking(false)?;
            peers.accept(socket)
        }
        Caller::Guest => {
            socket.set_nodelay(true)?;
            guests.send(Ok(socket)).await.map_err(|_| io::ErrorKind::ConnectionAborted.into())
        }
    }
}

async fn look(socket: &TcpStream) -> io::Result<Caller> {
    let mut first = [0; MAGIC.len()];
    loop {
        let seen = socket.peek(&mut first).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first[..seen] != MAGIC[..seen] {
            return Ok(Caller::Guest);
        }
        if seen == MAGIC.len() {
            return Ok(Caller::Store);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}
