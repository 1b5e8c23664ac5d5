//! The line to one store: connect when something waits, keep one stream, hand over what arrives,
//! reconnect.
//!
//! The request side of the stream is [`Outbox`]: HTTP/2 polls it when it can send, and it makes one
//! message of everything that waits at that moment. There is no queue between callers and it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use kontiki_proto::MESSAGE_BYTES_MAX;
use kontiki_proto::v1::kv_client::KvClient;
use kontiki_proto::v1::{Requests, Responses};
use kontiki_types::StoreId;
use tokio::sync::Notify;
use tokio_stream::Stream;
use tonic::Streaming;

use super::state::Shared;
use super::{endpoint, wire};
use crate::backoff::backoff;

/// Serves a store for as long as the client lives.
pub(super) async fn run(shared: Arc<Shared>, store: StoreId, notice: Arc<Notify>) {
    let mut failed_count = 0;
    loop {
        while !shared.lock().core.is_ready(store) {
            notice.notified().await;
        }
        match open(&shared, store).await {
            Ok((stream, inbound)) => {
                shared.with(|core, _| core.on_up(store));
                let end = receive(&shared, store, stream, inbound, &notice).await;
                tracing::debug!(%store, why = end.why, "stream ended");
                end_stream(&shared, store);
                shared.with(|core, now| core.on_broken(store, now));
                // A stream that never brought anything is no better than none.
                failed_count = if end.was_heard { 0 } else { failed_count + 1 };
            }
            Err(why) => {
                failed_count += 1;
                tracing::debug!(%store, %why, failed_count, "no stream");
                end_stream(&shared, store);
                shared.with(|core, now| core.on_down(store, now));
            }
        }
        if failed_count > 0 {
            let spread = shared.now().0;
            tokio::time::sleep(backoff(failed_count, spread)).await;
        }
    }
}

/// Opens a stream; its number tells it from earlier ones.
async fn open(shared: &Arc<Shared>, store: StoreId) -> Result<(u64, Streaming<Responses>), String> {
    let (stream, address) = {
        let mut state = shared.lock();
        let address = state.core.cache().address(store).map(str::to_owned);
        let line = state.lines.get_mut(&store).ok_or("no line")?;
        line.stream += 1;
        (line.stream, address.ok_or("no address")?)
    };
    let patience = shared.options.connect_timeout;
    let opening = async {
        let endpoint =
            endpoint::parse(&address, &shared.options).map_err(|error| error.to_string())?;
        let channel = endpoint.connect().await.map_err(|error| describe(&error))?;
        let outbox = Outbox { shared: shared.clone(), store, stream, has_yielded: false };
        let mut kv = KvClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let inbound = kv.stream(outbox).await.map_err(|status| status.to_string())?;
        Ok((stream, inbound.into_inner()))
    };
    match tokio::time::timeout(patience, opening).await {
        Ok(opened) => opened,
        Err(_) => Err(format!("no stream within {patience:?}")),
    }
}

/// The end of a stream.
struct End {
    why: String,
    /// It brought at least one message.
    was_heard: bool,
}

/// Hands over what arrives until the stream ends.
async fn receive(
    shared: &Arc<Shared>,
    store: StoreId,
    stream: u64,
    mut inbound: Streaming<Responses>,
    notice: &Notify,
) -> End {
    let mut was_heard = false;
    loop {
        let message = tokio::select! {
            message = inbound.message() => message,
            () = notice.notified() => {
                let current = shared.lock().lines.get(&store).map(|line| line.stream);
                if current == Some(stream) {
                    continue;
                }
                return End { why: "it went silent".into(), was_heard };
            }
        };
        match message {
            Ok(Some(responses)) => {
                was_heard = true;
                let answers = responses.answers.into_iter().map(wire::answer).collect();
                shared.with(|core, now| core.on_answers(store, answers, now));
            }
            Ok(None) => return End { why: "the store closed it".into(), was_heard },
            Err(status) => return End { why: status.to_string(), was_heard },
        }
    }
}

/// Makes the outbox of the stream end, wherever it lives.
fn end_stream(shared: &Arc<Shared>, store: StoreId) {
    let mut state = shared.lock();
    let Some(line) = state.lines.get_mut(&store) else { return };
    line.stream += 1;
    let waker = line.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The chain of causes of a transport error, which alone says only "transport error".
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What a store is sent, made at the moment it can be sent.
struct Outbox {
    shared: Arc<Shared>,
    store: StoreId,
    stream: u64,
    has_yielded: bool,
}

impl Stream for Outbox {
    type Item = Requests;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Requests>> {
        let this = &mut *self;
        loop {
            let mut state = this.shared.lock();
            let is_closed = state.is_closed;
            let is_ready = state.core.is_ready(this.store);
            let call_count = state.core.call_count();
            let line = state.lines.get_mut(&this.store);
            let Some(line) = line.filter(|line| line.stream == this.stream && !is_closed) else {
                return Poll::Ready(None);
            };
            if !is_ready {
                line.waker = Some(context.waker().clone());
                this.has_yielded = false;
                return Poll::Pending;
            }
            // Callers that were woken by one message are about to call again: let them run first,
            // once, so that they share the next message instead of getting one each.
            if !this.has_yielded && call_count > 1 {
                this.has_yielded = true;
                drop(state);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            this.has_yielded = false;
            let now = this.shared.now();
            let batches = state.core.take_batches(this.store, now);
            this.shared.act(state, now);
            if !batches.is_empty() {
                let batches = batches.into_iter().map(wire::batch).collect();
                return Poll::Ready(Some(Requests { batches }));
            }
        }
    }
}
