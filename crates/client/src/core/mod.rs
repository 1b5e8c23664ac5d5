//! The whole logic of a client as one pure struct: calls go in, batches come out, answers go in,
//! results come out. No clock, no socket, no task: the shell drives it with real ones, the
//! simulator with virtual ones.
//!
//! ```text
//!   on_call ──▶ route ──▶ lane of a store ──▶ take_batches ─ ─ ▶ (stream)
//!                 ▲  │         (batcher)            │
//!                 │  └─▶ unrouted ─ take_refresh    │ in flight
//!                 │                                 ▼
//!               retry ◀── fail ◀────────────── on_answers, on_down, on_time
//!            (at once, or                           │
//!             parked a while)                       └─▶ take_done
//! ```
//!
//! Invariants
//! - A call is in exactly one place: unrouted, waiting in a lane, in flight in one batch, or
//!   parked; or it is over and its key is dead. Dead keys may still lie about in lanes and batches;
//!   whoever meets one skips it.
//! - A write keeps its id through all tries, unless every earlier try surely changed nothing.
//! - Once a try of a write may have happened, nothing clears that: it ends with an outcome or as
//!   unknown, never as "nothing was changed".
//! - Everything is bounded by the number of calls, and that by whoever drives the core.
//!
//! Reading order: this file, `route`, `send`, `answer`, `fail`, `time`.

mod answer;
mod calls;
mod fail;
mod lane;
mod refresh;
mod route;
mod send;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kontiki_types::{ClientId, Moment, StoreId};

use crate::Error;
use crate::admin::Routes;
use crate::ask::{Ask, Got};
use crate::region_cache::RegionCache;
use crate::rng::Rng;
use crate::session::Sessions;

pub use calls::CallKey;
use calls::{Call, Calls};
use lane::Lane;
use refresh::Refresh;

/// What a user may choose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// How long a batch may stay unanswered before its requests are tried elsewhere. Doubles with
    /// every try of a call that the same store left unanswered.
    pub attempt_timeout: Duration,
    /// Seed of client ids and jitter. Two clients with one seed would share their session: draw it
    /// from the operating system outside of tests.
    pub seed: u64,
}

/// The client. `W` is whatever the driver wants back with the result of a call.
#[derive(Debug)]
pub struct Core<W> {
    config: Config,
    rng: Rng,
    cache: RegionCache,
    sessions: Sessions,
    calls: Calls<W>,
    lanes: BTreeMap<StoreId, Lane>,
    next_batch: u64,
    /// Calls whose key has no known region; tried again when the map arrives.
    unrouted: Vec<CallKey>,
    /// Calls that wait for the end of a pause.
    parked: BTreeSet<(Moment, CallKey)>,
    refresh: Refresh,
    /// When deadlines and unanswered batches are looked at next; nothing: nothing to look at.
    sweep_at: Option<Moment>,
    /// Not before this, whatever comes up: sweeps look at every call.
    sweep_not_before: Moment,
    done: Vec<(W, Result<Got, Error>)>,
    wake: BTreeSet<StoreId>,
    resets: BTreeSet<StoreId>,
}

impl<W> Core<W> {
    /// A client that knows nothing yet. Its first act is to ask for the map.
    pub fn new(config: Config, now: Moment) -> Self {
        let mut rng = Rng::new(config.seed);
        let client = ClientId(rng.draw());
        Self {
            config,
            rng,
            cache: RegionCache::default(),
            sessions: Sessions::new(client, now),
            calls: Calls::default(),
            lanes: BTreeMap::new(),
            next_batch: 1,
            unrouted: Vec::new(),
            parked: BTreeSet::new(),
            refresh: Refresh::wanted(now),
            sweep_at: None,
            sweep_not_before: now,
            done: Vec::new(),
            wake: BTreeSet::new(),
            resets: BTreeSet::new(),
        }
    }

    // ── inputs ──

    /// Begins a call; `waiter` comes back with its result in [`Core::take_done`].
    pub fn on_call(&mut self, ask: Ask, deadline: Moment, waiter: W, now: Moment) -> CallKey {
        let write = match ask {
            Ask::Write(_) => Some(self.sessions.begin(now, || ClientId(self.rng.draw()))),
            Ask::Read(..) => None,
        };
        let key = self.calls.insert(Call::new(ask, write, deadline, waiter));
        self.sweep_by(deadline);
        self.route(key, now);
        key
    }

    /// The map arrived.
    pub fn on_routes(&mut self, routes: Routes, now: Moment) {
        self.refresh.on_done(now);
        for store in &routes.stores {
            self.cache.learn_store(store.id, &store.address);
        }
        for route in routes.regions {
            let id = route.region.id;
            self.cache.learn(route.region, route.leader);
            if let Some(leader) = route.leader {
                self.cache.learn_leader(id, leader, route.term);
            }
        }
        for key in std::mem::take(&mut self.unrouted) {
            self.route_with_new_map(key, now);
        }
    }

    /// Nobody gave the map.
    pub fn on_refresh_failed(&mut self, now: Moment) {
        let draw = self.rng.draw();
        self.refresh.on_failed(!self.unrouted.is_empty(), draw, now);
    }

    /// The stream to a store is up.
    pub fn on_up(&mut self, store: StoreId) {
        if let Some(lane) = self.lanes.get_mut(&store) {
            lane.on_up();
        }
    }

    // ── outputs ──

    /// Results of calls that are over, since the last time.
    pub fn take_done(&mut self) -> Vec<(W, Result<Got, Error>)> {
        std::mem::take(&mut self.done)
    }

    /// Stores for which requests wait, since the last time: their stream should call
    /// [`Core::take_batches`], or be opened if there is none.
    pub fn take_wakes(&mut self) -> BTreeSet<StoreId> {
        std::mem::take(&mut self.wake)
    }

    /// Stores whose stream went silent, since the last time: it should be dropped and opened anew.
    /// Their requests have been moved already.
    pub fn take_resets(&mut self) -> BTreeSet<StoreId> {
        std::mem::take(&mut self.resets)
    }

    /// True when the map should be asked for now, of any store; the answer is
    /// [`Core::on_routes`] or [`Core::on_refresh_failed`].
    pub fn take_refresh(&mut self, now: Moment) -> bool {
        self.refresh.take(now)
    }

    /// When [`Core::on_time`] or [`Core::take_refresh`] has something to do, if nothing else
    /// happens before.
    pub fn next_deadline(&self) -> Option<Moment> {
        let parked = self.parked.first().map(|&(moment, _)| moment);
        [parked, self.sweep_at, self.refresh.due()].into_iter().flatten().min()
    }

    /// The map.
    pub fn cache(&self) -> &RegionCache {
        &self.cache
    }

    /// True when requests wait that could leave for this store now.
    pub fn is_ready(&self, store: StoreId) -> bool {
        self.lanes.get(&store).is_some_and(|lane| lane.batcher.is_ready())
    }

    /// Calls that are not over.
    pub fn call_count(&self) -> usize {
        self.calls.len()
    }
}

#[cfg(test)]
mod soak;
#[cfg(test)]
mod tests;
