//! One snapshot on its way to another store: a stream of its own, on a connection of its own.
//!
//! Driven by the host's snapshot thread, which may block; the stream itself runs on the runtime.

use bytes::Bytes;
use kontiki_host::SnapshotPipe;
use kontiki_proto::v1::peer_client::PeerClient;
use kontiki_proto::{MESSAGE_BYTES_MAX, v1};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use super::lane::source_of;

/// Chunks under way; with chunks of a quarter MiB this bounds the memory of a transfer.
const CHUNKS_MAX: usize = 16;

/// See the module.
pub(crate) struct Pipe {
    chunks: mpsc::Sender<v1::SnapshotPart>,
    done: oneshot::Receiver<Result<(), String>>,
}

impl Pipe {
    pub(crate) fn open(address: &str, hello: v1::Hello, offer: Bytes, runtime: &Handle) -> Self {
        let (chunks, receiver) = mpsc::channel(CHUNKS_MAX);
        let (report, done) = oneshot::channel();
        let header =
            v1::SnapshotHeader { hello: Some(hello), region_id: 0, message: offer, chunk_count: 0 };
        let first = v1::SnapshotPart { part: Some(v1::snapshot_part::Part::Header(header)) };
        // The channel is empty: there is room for the first part.
        let queued = chunks.try_send(first);
        debug_assert!(queued.is_ok(), "no room for the header of a snapshot");
        let uri = format!("http://{address}");
        runtime.spawn(async move {
            // Whoever dropped the pipe does not want to know.
            let _ = report.send(transfer(uri, receiver).await);
        });
        Self { chunks, done }
    }
}

async fn transfer(uri: String, parts: mpsc::Receiver<v1::SnapshotPart>) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(uri).map_err(|error| error.to_string())?;
    let channel = endpoint.connect().await.map_err(|error| source_of(&error))?;
    let mut client = PeerClient::new(channel).max_encoding_message_size(MESSAGE_BYTES_MAX);
    let result = client.snapshot(ReceiverStream::new(parts)).await;
    result.map(|_| ()).map_err(|status| status.message().to_owned())
}

impl SnapshotPipe for Pipe {
    fn push(&mut self, chunk: Bytes) -> Result<(), String> {
        let part = v1::SnapshotPart { part: Some(v1::snapshot_part::Part::Chunk(chunk)) };
        self.chunks.blocking_send(part).map_err(|_| "the stream broke".to_owned())
    }

    fn finish(mut self: Box<Self>) -> Result<(), String> {
        // An empty chunk says that this is all: a stream that merely ends has broken off. When it
        // cannot be sent, the transfer has its reason.
        let _ = self.push(Bytes::new());
        drop(self.chunks);
        self.done.blocking_recv().unwrap_or_else(|_| Err("the runtime has stopped".to_owned()))
    }
}
