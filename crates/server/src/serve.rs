//! Listening: one port for clients, operators and other stores.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kontiki_host::tcp::Acceptor;
use kontiki_proto::MESSAGE_BYTES_MAX;
use kontiki_proto::v1::admin_server::AdminServer;
use kontiki_proto::v1::kv_server::KvServer;
use tokio::net::TcpSocket;
use tokio::runtime::Handle;
use tonic::transport::Server;

use crate::config::Config;
use crate::error::Error;
use crate::front_door::{self, Guests};
use crate::node::Node;
use crate::peers::Peers;
use crate::service::admin::AdminService;
use crate::service::kv::KvService;

/// Bytes a stream may send ahead of its reader; a batch of large values fits.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// The same for all streams of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// Most streams of one connection at once; a client needs one.
const STREAMS_MAX: u32 = 256;
/// How often a silent connection is asked whether it lives, and how long it may take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(10));
/// Connections that may wait to be taken.
const BACKLOG: u32 = 1024;
/// How long open streams may take to end once the store stops.
const DRAIN: Duration = Duration::from_millis(500);

/// Run a store until `shutdown` completes, or until it can no longer keep its promises.
///
/// # Errors
/// See [`Error`]: it did not start, or stopped for a reason other than `shutdown`.
pub async fn run(
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let cannot = |source| Error::Listen { address: config.listen.to_string(), source };
    let socket = reserve(config.listen).map_err(cannot)?;
    let runtime = Handle::current();
    let starting = config.clone();
    let starting = runtime.spawn_blocking(move || Node::start(&starting));
    tokio::pin!(shutdown);
    let node = tokio::select! {
        node = starting => node.map_err(|error| Error::Fatal(error.to_string()))??,
        // Nothing was said to anyone, and what is on disk is safe at every moment.
        () = &mut shutdown => return Ok(()),
    };
    let listener = socket.listen(BACKLOG).map_err(cannot)?;
    tracing::info!(
        store = %config.store, cluster = %config.cluster, address = %config.listen,
        version = env!("CARGO_PKG_VERSION"), "serving"
    );

    let mut fatal = node.fatal.clone();
    let cause = async move {
        match fatal.wait_for(Option::is_some).await {
            Ok(cause) => cause.clone().unwrap_or_default(),
            // The host is gone without a cause: the shutdown below has ended it.
            Err(_) => std::future::pending().await,
        }
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let peers = Acceptor::new(
        node.identity.clone(),
        node.stores.keys().copied(),
        Box::new(Peers(Arc::clone(&node))),
    );
    let guests = front_door::open(listener, peers.clone());
    let serving = serve(Arc::clone(&node), guests, async move { drop(stopped.await) });
    let mut serving = runtime.spawn(serving);
    let result = tokio::select! {
        () = &mut shutdown => Ok(()),
        cause = cause => Err(Error::Fatal(cause)),
        ended = &mut serving => match ended {
            Ok(result) => result.map_err(Error::from),
            Err(error) => Err(Error::Fatal(error.to_string())),
        },
    };
    tracing::info!("stopping");
    drop(stop);
    // Clients hold their streams open for ever: give them a moment, then go.
    let _ = tokio::time::timeout(DRAIN, &mut serving).await;
    serving.abort();
    let stopping = runtime.spawn_blocking(move || {
        peers.stop();
        node.stop();
    });
    stopping.await.map_err(|error| Error::Fatal(error.to_string()))?;
    result
}

/// Takes the port, so that a store whose port is in use touches nothing, and does not listen yet:
/// whoever tries to reach a store that still recovers is refused at once and asks another one,
/// instead of waiting in a queue that nobody serves.
fn reserve(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of an earlier life must not keep the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn serve(
    node: Arc<Node>,
    guests: Guests,
    stopped: impl Future<Output = ()> + Send,
) -> Result<(), tonic::transport::Error> {
    let kv = KvServer::new(KvService { node: Arc::clone(&node) })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .add_service(kv)
        .add_service(AdminServer::new(AdminService { node }))
        .serve_with_incoming_shutdown(guests, stopped)
        .await
}
