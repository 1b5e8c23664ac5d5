//! The way back of one client stream: answers gather while the stream is busy and leave as one
//! message, and what is under way on the stream is bounded.
//!
//! Whoever completes a batch (the apply worker, most of the time) pays a lock and, only if the
//! stream sleeps, a wake-up. No task or channel per request.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use kontiki_proto::v1;
use tokio::sync::Notify;
use tokio_stream::Stream;
use tonic::Status;

/// Most bytes of requests of one stream that are under way; beyond it the stream is not read on,
/// so the client feels back-pressure and nothing grows.
const STREAM_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most batches of one stream under way.
const STREAM_BATCHES_MAX: usize = 1024;
/// Most bytes of answers put into one message, roughly; the rest follows in the next.
const MESSAGE_BYTES_TARGET: usize = 4 * 1024 * 1024;

/// Where answers of one stream go. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Answers {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    batches: AtomicUsize,
    bytes: AtomicUsize,
    room: Notify,
}

#[derive(Default)]
struct State {
    waiting: Vec<v1::Answer>,
    waker: Option<Waker>,
    /// The client sends no more; the stream ends when everything is answered.
    ended: bool,
}

/// A batch under way; its answer releases the room it takes.
pub(crate) struct Pending {
    answers: Answers,
    id: u64,
    bytes: usize,
    answered: bool,
}

impl Answers {
    /// Wait until the stream may have more under way, then count this batch.
    pub(crate) async fn admit(&self, id: u64, bytes: usize) -> Pending {
        loop {
            let room = self.inner.room.notified();
            if self.inner.batches.load(Ordering::Acquire) < STREAM_BATCHES_MAX
                && self.inner.bytes.load(Ordering::Acquire) < STREAM_BYTES_MAX
            {
                break;
            }
            room.await;
        }
        self.inner.batches.fetch_add(1, Ordering::AcqRel);
        self.inner.bytes.fetch_add(bytes, Ordering::AcqRel);
        Pending { answers: self.clone(), id, bytes, answered: false }
    }

    /// The client sends no more.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        wake(state);
    }

    fn push(&self, answer: v1::Answer, bytes: usize) {
        self.inner.bytes.fetch_sub(bytes, Ordering::AcqRel);
        // One reader admits at a time, and it looks again after every wake-up.
        self.inner.room.notify_one();
        let mut state = self.lock();
        state.waiting.push(answer);
        self.inner.batches.fetch_sub(1, Ordering::AcqRel);
        wake(state);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    if let Some(waker) = state.waker.take() {
        drop(state);
        waker.wake();
    }
}

impl Pending {
    /// Answer the batch.
    pub(crate) fn answer(mut self, body: v1::answer::Body) {
        self.answered = true;
        self.answers.push(v1::Answer { id: self.id, body: Some(body) }, self.bytes);
    }

    /// Refuse the batch, or say that its outcome is unknown.
    pub(crate) fn refuse(self, kind: v1::error::Kind) {
        self.answer(v1::answer::Body::Error(v1::Error { kind: Some(kind) }));
    }
}

impl Drop for Pending {
    /// A batch that was dropped (the host stopped) still gets its answer.
    fn drop(&mut self) {
        if !self.answered {
            let message = "the store is stopping".to_owned();
            let kind = v1::error::Kind::Unknown(v1::UnknownOutcome { message });
            let body = v1::answer::Body::Error(v1::Error { kind: Some(kind) });
            self.answers.push(v1::Answer { id: self.id, body: Some(body) }, self.bytes);
        }
    }
}

/// The stream that gRPC sends.
pub(crate) struct AnswerStream {
    pub(crate) answers: Answers,
}

impl Stream for AnswerStream {
    type Item = Result<v1::Responses, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.answers.lock();
        if state.waiting.is_empty() {
            if state.ended && self.answers.inner.batches.load(Ordering::Acquire) == 0 {
                return Poll::Ready(None);
            }
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let mut answers = std::mem::take(&mut state.waiting);
        let count = fitting(&answers);
        state.waiting = answers.split_off(count);
        Poll::Ready(Some(Ok(v1::Responses { answers })))
    }
}

/// How many answers fit one message; at least one.
fn fitting(answers: &[v1::Answer]) -> usize {
    let mut bytes = 0;
    let over = answers.iter().position(|answer| {
        bytes += prost::Message::encoded_len(answer);
        bytes > MESSAGE_BYTES_TARGET
    });
    over.unwrap_or(answers.len()).max(1)
}
