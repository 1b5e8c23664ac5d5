//! One stream of frames to one store: a bounded queue, a task that keeps the stream open.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use kontiki_proto::v1::peer_client::PeerClient;
use kontiki_proto::{MESSAGE_BYTES_MAX, v1};
use kontiki_types::StoreId;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

/// Most frames that wait on a lane.
const FRAMES_MAX: usize = 4096;
/// Most bytes that wait on a lane; beyond it frames are dropped and the store counts as away.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// First wait before a broken stream is opened again; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// See [`BACKOFF_MIN`]. Well below an election timeout: a store that comes back is heard at once.
const BACKOFF_MAX: Duration = Duration::from_millis(320);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Told when a stream to this store has ended, and again when there is a new reason why it cannot be
/// opened.
pub(crate) type OnLost = Arc<dyn Fn(StoreId) + Send + Sync>;

/// See the module.
pub(crate) struct Lane {
    /// Set while the stream is open.
    queue: Mutex<Option<Queue>>,
}

/// What waits on one stream. The count lives and dies with the stream: frames of a broken one
/// must not be subtracted from the next.
struct Queue {
    frames: mpsc::Sender<Bytes>,
    bytes: Arc<AtomicUsize>,
}

impl Lane {
    pub(crate) fn start(
        hello: v1::Hello,
        address: String,
        on_lost: OnLost,
        runtime: &Handle,
    ) -> Arc<Self> {
        let lane = Arc::new(Self { queue: Mutex::new(None) });
        let task = Arc::clone(&lane);
        runtime.spawn(async move { task.keep_open(hello, &address, &on_lost).await });
        lane
    }

    /// Queue a frame; false when it was dropped.
    pub(crate) fn send(&self, frame: Bytes) -> bool {
        let length = frame.len();
        let queue = self.lock();
        let Some(queue) = queue.as_ref() else { return false };
        // Counted before it can be taken out, so that the count never falls below zero.
        if queue.bytes.fetch_add(length, Ordering::Relaxed) + length <= BYTES_MAX
            && queue.frames.try_send(frame).is_ok()
        {
            return true;
        }
        queue.bytes.fetch_sub(length, Ordering::Relaxed);
        false
    }

    async fn keep_open(self: Arc<Self>, hello: v1::Hello, address: &str, on_lost: &OnLost) {
        let mut backoff = BACKOFF_MIN;
        let mut said = String::new();
        loop {
            let opened = std::time::Instant::now();
            let reason = match Self::run(&self, hello, address).await {
                Ok(()) => "closed by the other side".to_owned(),
                Err(status) => status.message().to_owned(),
            };
            // With the sender and the stream's receiver goes what was queued.
            let was_open = self.lock().take().is_some();
            if opened.elapsed() > BACKOFF_MAX {
                backoff = BACKOFF_MIN;
            }
            // A store that stays away is worth one line, not one per attempt.
            if was_open || reason != said {
                on_lost(StoreId(hello.to_store_id));
                tracing::info!(to = hello.to_store_id, %address, %reason, "peer stream down");
                said = reason;
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn run(lane: &Arc<Self>, hello: v1::Hello, address: &str) -> Result<(), tonic::Status> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| tonic::Status::invalid_argument(error.to_string()))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(Duration::from_secs(1))
            .keep_alive_timeout(Duration::from_secs(2))
            .initial_stream_window_size(16 * 1024 * 1024)
            .initial_connection_window_size(16 * 1024 * 1024)
            .tcp_nodelay(true);
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| tonic::Status::unavailable(source_of(&error)))?;
        let mut client = PeerClient::new(channel).max_encoding_message_size(MESSAGE_BYTES_MAX);

        let (sender, receiver) = mpsc::channel(FRAMES_MAX);
        let bytes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&bytes);
        let frames = ReceiverStream::new(receiver).map(move |frame: Bytes| {
            counted.fetch_sub(frame.len(), Ordering::Relaxed);
            v1::PeerFrame { part: Some(v1::peer_frame::Part::Frame(frame)) }
        });
        let hello = v1::PeerFrame { part: Some(v1::peer_frame::Part::Hello(hello)) };
        let mut acks = client.frames(tokio_stream::once(hello).chain(frames)).await?.into_inner();
        // The first acknowledgement says that the hello was accepted.
        if acks.message().await?.is_none() {
            return Ok(());
        }
        tracing::debug!(%address, "peer stream up");
        *lane.lock() = Some(Queue { frames: sender, bytes });
        while acks.message().await?.is_some() {}
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Queue>> {
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The innermost cause: "connection refused" rather than "transport error".
pub(crate) fn source_of(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
