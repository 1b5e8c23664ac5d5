//! What other stores say to this one: frames and snapshots, handed to the host unread.
//!
//! The first message of a stream must be a hello that fits: this cluster, this store, a known
//! caller with all its data, a version both speak. Anything else ends the stream with a reason and changes nothing.

use std::pin::Pin;
use std::sync::Arc;

use kontiki_host::NodeHost;
use kontiki_proto::v1;
use kontiki_proto::v1::peer_server::Peer;
use kontiki_types::StoreId;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::data_dir::Incarnation;
use crate::node::Node;
use crate::transport::PEER_VERSION;

/// Chunks of a snapshot that wait for the disk.
const CHUNKS_MAX: usize = 16;

/// See the module.
pub(crate) struct PeerService {
    pub(crate) node: Arc<Node>,
}

impl PeerService {
    fn check(&self, hello: &v1::Hello) -> Result<(), Status> {
        let refuse = |reason: String| {
            tracing::warn!(%reason, "peer refused");
            Err(Status::failed_precondition(reason))
        };
        let mine = self.node.identity;
        if hello.version != PEER_VERSION {
            return refuse(format!(
                "peer protocol version {} is not {PEER_VERSION}: run the same release everywhere",
                hello.version
            ));
        }
        if hello.cluster_id != mine.cluster.0 {
            return refuse(format!(
                "cluster {} is not {}: check --cluster-id and --initial-cluster of both stores",
                hello.cluster_id, mine.cluster.0
            ));
        }
        if hello.to_store_id != mine.store.0 {
            return refuse(format!(
                "this is store {}, not {}: check the addresses in --initial-cluster",
                mine.store.0, hello.to_store_id
            ));
        }
        if !self.node.stores.contains_key(&StoreId(hello.store_id))
            || hello.store_id == mine.store.0
        {
            return refuse(format!("store {} is not a peer of this store", hello.store_id));
        }
        let life = Incarnation::from_u64(hello.incarnation);
        self.node.known_stores.admit(StoreId(hello.store_id), life).or_else(refuse)
    }
}

#[tonic::async_trait]
impl Peer for PeerService {
    type FramesStream = Pin<Box<dyn Stream<Item = Result<v1::PeerAck, Status>> + Send>>;

    async fn frames(
        &self,
        request: Request<Streaming<v1::PeerFrame>>,
    ) -> Result<Response<Self::FramesStream>, Status> {
        let mut frames = request.into_inner();
        let first = frames.message().await?.and_then(|frame| frame.part);
        let Some(v1::peer_frame::Part::Hello(hello)) = first else {
            return Err(Status::invalid_argument("a peer stream must begin with a hello"));
        };
        self.check(&hello)?;
        let (acks, receiver) = mpsc::channel(1);
        let accepted = acks.try_send(Ok(v1::PeerAck::default()));
        debug_assert!(accepted.is_ok(), "no room for the first acknowledgement");
        let host = self.node.host.clone();
        tokio::task::spawn(async move {
            let from = StoreId(hello.store_id);
            if let Err(status) = take_frames(&mut frames, from, &host).await {
                tracing::debug!(%from, reason = status.message(), "stream ended");
                // The other side may be gone as well.
                let _ = acks.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<v1::SnapshotPart>>,
    ) -> Result<Response<v1::SnapshotDone>, Status> {
        let mut parts = request.into_inner();
        let first = parts.message().await?.and_then(|part| part.part);
        let Some(v1::snapshot_part::Part::Header(header)) = first else {
            return Err(Status::invalid_argument("a snapshot must begin with its header"));
        };
        let hello = header.hello.ok_or_else(|| Status::invalid_argument("header without hello"))?;
        self.check(&hello)?;

        // Files are written by a thread that may block; the channel bounds what waits for it.
        let (chunks, mut waiting) = mpsc::channel::<bytes::Bytes>(CHUNKS_MAX);
        let host = self.node.host.clone();
        let writer = tokio::task::spawn_blocking(move || {
            let mut receiver = host.receive_snapshot(header.message)?;
            let mut count = 0;
            let mut whole = false;
            while let Some(chunk) = waiting.blocking_recv() {
                // An empty chunk marks the end of the stream: without it the sender broke off.
                if chunk.is_empty() {
                    whole = true;
                    break;
                }
                receiver.push(&chunk)?;
                count += 1;
            }
            if !whole {
                return Err("the stream broke off".to_owned());
            }
            receiver.finish()?;
            Ok(count)
        });
        while let Some(part) = parts.message().await? {
            let Some(v1::snapshot_part::Part::Chunk(chunk)) = part.part else {
                return Err(Status::invalid_argument("a second header"));
            };
            let last = chunk.is_empty();
            // The writer stops early when the disk refuses; its reason is told below.
            if chunks.send(chunk).await.is_err() || last {
                break;
            }
        }
        drop(chunks);
        match writer.await {
            Ok(Ok(chunk_count)) => Ok(Response::new(v1::SnapshotDone { chunk_count })),
            Ok(Err(reason)) => Err(Status::aborted(reason)),
            Err(_) => Err(Status::internal("the writer of the snapshot panicked")),
        }
    }
}

async fn take_frames(
    frames: &mut Streaming<v1::PeerFrame>,
    from: StoreId,
    host: &NodeHost,
) -> Result<(), Status> {
    while let Some(frame) = frames.message().await? {
        let Some(v1::peer_frame::Part::Frame(frame)) = frame.part else {
            return Err(Status::invalid_argument("a second hello"));
        };
        host.receive(from, frame).map_err(|error| Status::data_loss(error.to_string()))?;
    }
    Ok(())
}
