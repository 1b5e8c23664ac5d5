//! The async part: sockets, tasks and clocks around the pure [`Core`].
//!
//! Nobody owns the core's loop. Callers, streams and timers lock it for a moment, put something in,
//! take its effects out, and act on them after the lock is free. So a call costs no hand-off to
//! some central task: the caller itself routes and queues it, and the stream to the store, when it
//! is polled, finds everything that waits and makes one message of it.
//!
//! Tasks: one per store (`line`: connect, receive, reconnect), one timer, one that asks for the map
//! while it is needed. All end when the last handle is dropped.

mod admin;
mod endpoint;
mod line;
mod state;
mod wire;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::ask::{Ask, Got};
use crate::{Error, Options};
use state::Shared;

/// Everything handles share. Dropping it ends all tasks.
pub(crate) struct Shell {
    shared: Arc<Shared>,
}

/// The result of a call that is under way.
pub(crate) struct Ticket {
    result: oneshot::Receiver<Result<Got, Error>>,
}

impl Shell {
    pub(crate) async fn connect(
        endpoints: Vec<String>,
        options: Options,
    ) -> Result<Arc<Self>, Error> {
        let deadline = options.deadline;
        let shared = Shared::new(endpoints, options)?;
        // From here on dropping the shell (a caller that stops waiting) ends what was begun.
        let shell = Arc::new(Self { shared });
        let routes = shell.routes(deadline).await?;
        shell.shared.with(|core, now| {
            core.take_refresh(now);
            core.on_routes(routes, now);
        });
        shell.shared.spawn_timer();
        Ok(shell)
    }

    /// Begins a call; waits only for room.
    pub(crate) async fn start(&self, ask: Ask, patience: Duration) -> Result<Ticket, Error> {
        let shared = &self.shared;
        let deadline = shared.now() + patience;
        match shared.room.try_acquire() {
            // Room comes back when the call is over: see `Shared::act`.
            Ok(room) => room.forget(),
            Err(_) => match tokio::time::timeout(patience, shared.room.acquire()).await {
                Ok(Ok(room)) => room.forget(),
                Ok(Err(_)) => return Err(Error::Closed),
                Err(_) => {
                    let calls_max = shared.options.calls_max;
                    let why = format!("{calls_max} calls of this client are under way");
                    return Err(Error::Busy { why });
                }
            },
        }
        let (waiter, result) = oneshot::channel();
        shared.with(|core, now| core.on_call(ask, deadline, waiter, now));
        Ok(Ticket { result })
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Future for Ticket {
    type Output = Result<Got, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = Pin::new(&mut self.result).poll(context);
        result.map(|result| result.unwrap_or(Err(Error::Closed)))
    }
}
