//! The data path's edge: the batched stream of `kontiki.v1.Kv`.
//!
//! Each batch becomes one proposal or one read of its region, whatever number of requests it
//! holds, and one answer. Decoding, size checks and the first check against the region's
//! descriptor happen here, on the stream's task; nothing here waits for consensus.

use std::pin::Pin;
use std::sync::Arc;

use kontiki_proto::v1;
use kontiki_proto::v1::error::Kind;
use kontiki_proto::v1::kv_server::Kv;
use prost::Message;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::answers::{AnswerStream, Answers, Pending};
use crate::node::Node;
use crate::service::{reads, writes};

/// See the module.
pub(crate) struct KvService {
    pub(crate) node: Arc<Node>,
}

#[tonic::async_trait]
impl Kv for KvService {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<v1::Responses, Status>> + Send>>;

    async fn stream(
        &self,
        request: Request<Streaming<v1::Requests>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let mut requests = request.into_inner();
        let answers = Answers::default();
        let node = Arc::clone(&self.node);
        let reader = answers.clone();
        tokio::task::spawn(async move {
            // A stream that breaks ends like one that closes: what is under way goes on, its
            // answers find nobody, and the client asks again under the same request ids.
            while let Ok(Some(message)) = requests.message().await {
                for batch in message.batches {
                    let pending = reader.admit(batch.id, batch.encoded_len()).await;
                    accept(&node, batch, pending);
                }
            }
            reader.end();
        });
        Ok(Response::new(Box::pin(AnswerStream { answers })))
    }
}

fn accept(node: &Arc<Node>, batch: v1::Batch, pending: Pending) {
    match batch.body {
        Some(v1::batch::Body::Writes(body)) => {
            writes::accept(node, batch.region_id, batch.epoch, body, pending);
        }
        Some(v1::batch::Body::Reads(body)) => {
            reads::accept(node, batch.region_id, batch.epoch, body, pending);
        }
        None => {
            let message = "a batch without writes or reads".to_owned();
            pending.refuse(Kind::Invalid(v1::Invalid { message }));
        }
    }
}
