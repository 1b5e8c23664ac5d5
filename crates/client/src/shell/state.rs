//! What tasks and callers share: the core behind a lock, and one place where its effects are acted
//! on. The lock is held for microseconds and never across an await.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use kontiki_types::{Moment, StoreId};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::AbortHandle;
use tonic::transport::Endpoint;

use super::endpoint;
use crate::ask::Got;
use crate::core::{Config, Core};
use crate::{Error, Options};

/// Who waits for a call.
pub(super) type Waiter = oneshot::Sender<Result<Got, Error>>;

/// What tasks and callers share.
pub(super) struct Shared {
    pub(super) options: Options,
    /// What the user gave.
    pub(super) endpoints: Vec<Endpoint>,
    /// Calls that may still begin.
    pub(super) room: Semaphore,
    /// The start of this client's clock.
    base: Instant,
    runtime: Handle,
    /// The timer must look again.
    timer: Notify,
    state: Mutex<State>,
}

/// What the lock protects.
pub(super) struct State {
    pub(super) core: Core<Waiter>,
    pub(super) lines: BTreeMap<StoreId, Line>,
    /// When the timer wakes up; nothing: only when told.
    timer_at: Option<Moment>,
    timer_task: Option<AbortHandle>,
    refresh_task: Option<AbortHandle>,
    pub(super) is_closed: bool,
}

/// The task of a store, seen from outside.
pub(super) struct Line {
    /// Of the stream's request side, while it has nothing to send.
    pub(super) waker: Option<Waker>,
    /// Number of the stream; those of lower number shall end.
    pub(super) stream: u64,
    /// Something waits, or the stream shall end: the task must look.
    pub(super) notice: Arc<Notify>,
    task: AbortHandle,
}

/// What has to be done after the lock is free.
#[derive(Default)]
struct Effects {
    done: Vec<(Waiter, Result<Got, Error>)>,
    wakers: Vec<Waker>,
    notices: Vec<Arc<Notify>>,
    timer: bool,
}

impl Shared {
    /// # Errors
    /// [`Error::Invalid`] when an endpoint is none, or there is none.
    pub(super) fn new(endpoints: Vec<String>, options: Options) -> Result<Arc<Self>, Error> {
        if endpoints.is_empty() {
            return Err(Error::Invalid { message: "no endpoint given".into() });
        }
        let parse = |address: String| endpoint::parse(&address, &options);
        let endpoints = endpoints.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let seed = options.seed.unwrap_or_else(system_seed);
        let config = Config { attempt_timeout: options.attempt_timeout, seed };
        let state = State {
            core: Core::new(config, Moment::ZERO),
            lines: BTreeMap::new(),
            timer_at: None,
            timer_task: None,
            refresh_task: None,
            is_closed: false,
        };
        Ok(Arc::new(Self {
            endpoints,
            room: Semaphore::new(options.calls_max.clamp(1, Semaphore::MAX_PERMITS)),
            base: Instant::now(),
            runtime: Handle::current(),
            timer: Notify::new(),
            state: Mutex::new(state),
            options,
        }))
    }

    pub(super) fn now(&self) -> Moment {
        let micros = self.base.elapsed().as_micros();
        Moment(u64::try_from(micros).expect("a process lives less than 500,000 years"))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a bug that its own task reports; others fail by what they find.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the core something and acts on what it wants.
    pub(super) fn with<R>(
        self: &Arc<Self>,
        input: impl FnOnce(&mut Core<Waiter>, Moment) -> R,
    ) -> R {
        let mut state = self.lock();
        let now = self.now();
        let result = input(&mut state.core, now);
        self.act(state, now);
        result
    }

    /// Acts on what the core wants, after the lock is free.
    pub(super) fn act(self: &Arc<Self>, mut state: MutexGuard<'_, State>, now: Moment) {
        let mut effects = Effects { done: state.core.take_done(), ..Effects::default() };
        if !state.is_closed {
            self.collect(&mut state, &mut effects, now);
        }
        drop(state);
        self.room.add_permits(effects.done.len());
        for (waiter, result) in effects.done {
            // Whoever does not wait any more does not want to know.
            let _ = waiter.send(result);
        }
        effects.wakers.into_iter().for_each(Waker::wake);
        effects.notices.into_iter().for_each(|notice| notice.notify_one());
        if effects.timer {
            self.timer.notify_one();
        }
    }

    fn collect(self: &Arc<Self>, state: &mut State, effects: &mut Effects, now: Moment) {
        for store in state.core.take_resets() {
            if let Some(line) = state.lines.get_mut(&store) {
                line.stream += 1;
                effects.wakers.extend(line.waker.take());
                effects.notices.push(line.notice.clone());
            }
        }
        for store in state.core.take_wakes() {
            let line = state.lines.entry(store).or_insert_with(|| self.new_line(store));
            match line.waker.take() {
                Some(waker) => effects.wakers.push(waker),
                None => effects.notices.push(line.notice.clone()),
            }
        }
        if state.core.take_refresh(now) {
            let task = self.runtime.spawn(self.clone().refresh());
            state.refresh_task = Some(task.abort_handle());
        }
        let next = state.core.next_deadline();
        effects.timer = match (next, state.timer_at) {
            (Some(next), Some(at)) => next < at,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if effects.timer {
            state.timer_at = next;
        }
    }

    fn new_line(self: &Arc<Self>, store: StoreId) -> Line {
        let notice = Arc::new(Notify::new());
        let task = self.runtime.spawn(super::line::run(self.clone(), store, notice.clone()));
        Line { waker: None, stream: 0, notice, task: task.abort_handle() }
    }

    /// Asks for the map until somebody gives it.
    async fn refresh(self: Arc<Self>) {
        match super::admin::fetch_routes(&self).await {
            Ok(routes) => self.with(|core, now| core.on_routes(routes, now)),
            Err(error) => {
                tracing::debug!(%error, "no store gave the map");
                self.with(Core::on_refresh_failed);
            }
        }
    }

    pub(super) fn spawn_timer(self: &Arc<Self>) {
        let task = self.runtime.spawn(self.clone().run_timer()).abort_handle();
        let mut state = self.lock();
        state.timer_task = Some(task);
    }

    async fn run_timer(self: Arc<Self>) {
        loop {
            let next = {
                let mut state = self.lock();
                state.timer_at = state.core.next_deadline();
                state.timer_at
            };
            // Far in the future when there is nothing to wait for.
            let pause = next.map_or(Duration::from_hours(1), |next| next.since(self.now()));
            // Whichever comes first, the core is looked at again.
            let _ = tokio::time::timeout(pause, self.timer.notified()).await;
            self.with(Core::on_time);
        }
    }

    /// Ends all tasks and streams. Calls under way end as closed, once the tasks have let go.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let tasks = [state.timer_task.take(), state.refresh_task.take()];
        tasks.into_iter().flatten().for_each(|task| task.abort());
        let mut wakers = Vec::new();
        for line in state.lines.values_mut() {
            line.task.abort();
            wakers.extend(line.waker.take());
        }
        drop(state);
        self.room.close();
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// A seed nobody else draws: the standard library keys its hashers from the operating system.
fn system_seed() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}
