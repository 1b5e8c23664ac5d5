//! The client library of production in virtual time: its pure core, with the simulator as shell.
//!
//! Everything that decides is `kontiki_client::core`: routing, batching, sessions, tries, pauses.
//! The simulator only carries batches to stores and answers back, asks for the map, and tells the
//! time. It believes what the library says: "nothing was changed" is recorded as such, and judged.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use kontiki_client::admin::Routes;
use kontiki_client::ask::{Ask, Found, Got};
use kontiki_client::core::{Config, Core};
use kontiki_client::{Error, ReadMode};
use kontiki_testkit::Rng;
use kontiki_types::{ClientId, Moment, Outcome, RequestId, StoreId};

use crate::env::{ClientStep, Env, Happening};
use crate::limits::DRAIN_MAX;
use crate::marks::Mark;
use crate::network::Address;
use crate::violation::Rule;
use crate::wire::{Answer, Packet};

use super::pending::{Ended, Pending, What};
use super::workload::{Plan, Workload};
use super::{Client, pause};

/// How long it waits for the map before it asks another store.
const ROUTES_PATIENCE: Duration = Duration::from_millis(300);

/// The library.
pub struct Library {
    number: usize,
    life: u64,
    rng: Rng,
    core: Core<u64>,
    next_operation: u64,
    /// Operations under way.
    open: BTreeMap<u64, Pending>,
    /// Number of the stream to each store; grows when it breaks.
    streams: BTreeMap<StoreId, u64>,
    /// The question for the map under way.
    asking: Option<u64>,
    timer_at: Option<Moment>,
    seen: BTreeMap<String, Bytes>,
    /// Once the faults are over: what is left to ask. Before, the workload decides.
    last: Option<VecDeque<Plan>>,
}

impl Library {
    /// A client; call [`Client::start`] to set it to work.
    pub fn new(number: usize, mut rng: Rng, attempt_timeout: Duration, now: Moment) -> Self {
        let core = Core::new(Config { attempt_timeout, seed: rng.next_u64() }, now);
        Self {
            number,
            life: 0,
            rng,
            core,
            next_operation: 0,
            open: BTreeMap::new(),
            streams: BTreeMap::new(),
            asking: None,
            timer_at: None,
            seen: BTreeMap::new(),
            last: None,
        }
    }

    fn begin(&mut self, plan: Plan, env: &mut Env) {
        let number = self.number as u64;
        match plan {
            Plan::Get { key } => self.add(Pending::get(key, false, number, env), env),
            Plan::Increment { counter } => {
                self.add(Pending::counter_read(counter, true, env), env);
            }
            Plan::ReadCounter { counter } => {
                self.add(Pending::counter_read(counter, false, env), env);
            }
            Plan::ReadSet { set } => self.add(Pending::set_read(set, false, env), env),
            Plan::Write(changes) => {
                // The library batches by itself. Of several, only the first one goes on.
                for (nth, change) in changes.into_iter().enumerate() {
                    let (session, first) = (ClientId(0), RequestId(0));
                    let mut pending = Pending::write(vec![change], session, first, number, env);
                    pending.is_extra = nth > 0;
                    self.add(pending, env);
                }
            }
        }
    }

    fn add(&mut self, pending: Pending, env: &Env) {
        self.next_operation += 1;
        let operation = self.next_operation;
        let ask = match &pending.what {
            What::Write(parts) => Ask::Write(parts.first().expect("one change").command.clone()),
            _ => Ask::Read(pending.read(env), ReadMode::Linearizable),
        };
        self.open.insert(operation, pending);
        let patience =
            if env.is_healed { DRAIN_MAX * 2 } else { env.options.workload.operation_timeout };
        self.core.on_call(ask, env.now + patience, operation, env.now);
    }

    /// Carries out what the core wants until it wants nothing more.
    fn pump(&mut self, env: &mut Env) {
        loop {
            for store in self.core.take_resets() {
                *self.streams.entry(store).or_default() += 1;
            }
            let done = self.core.take_done();
            let wakes = self.core.take_wakes();
            if done.is_empty() && wakes.is_empty() {
                break;
            }
            for (operation, result) in done {
                self.finish(operation, result, env);
            }
            for store in wakes {
                self.send_batches(store, env);
            }
        }
        if self.core.take_refresh(env.now) {
            self.ask_routes(env);
        }
        let next = self.core.next_deadline().map(|at| at.max(env.now));
        if let Some(at) = next.filter(|at| self.timer_at.is_none_or(|planned| *at < planned)) {
            self.timer_at = Some(at);
            self.plan(at.since(env.now), ClientStep::CoreTime, env);
        }
    }

    fn send_batches(&mut self, store: StoreId, env: &mut Env) {
        loop {
            let batches = self.core.take_batches(store, env.now);
            if batches.is_empty() {
                return;
            }
            let stream = *self.streams.entry(store).or_default();
            let packet = Packet::Batches { client: self.number, stream, batches };
            env.send(Address::Client(self.number), Address::Store(store), packet);
        }
    }

    fn ask_routes(&mut self, env: &mut Env) {
        let ask = env.unique();
        self.asking = Some(ask);
        let store = StoreId(1 + self.rng.below(env.options.cluster.store_count));
        let packet = Packet::AskRoutes { client: self.number, ask };
        env.send(Address::Client(self.number), Address::Store(store), packet);
        self.plan(ROUTES_PATIENCE, ClientStep::RoutesTimeout { ask }, env);
    }

    fn on_routes(&mut self, ask: u64, routes: Routes, env: &mut Env) {
        if self.asking == Some(ask) {
            self.asking = None;
            self.core.on_routes(routes, env.now);
        }
    }

    /// A call of the core is over.
    fn finish(&mut self, operation: u64, result: Result<Got, Error>, env: &mut Env) {
        let Some(mut pending) = self.open.remove(&operation) else { return };
        if env.trace.is_told() {
            env.tell(format_args!("client {} ends {operation} with {result:?}", self.number));
        }
        let ended = match result {
            Ok(got) => pending.on_answer(answer(got), &mut self.seen, env),
            Err(error) => {
                on_error(&pending, &error, env);
                Ended::Yes
            }
        };
        match ended {
            Ended::Then(counter, value) => {
                let (session, request) = (ClientId(0), RequestId(0));
                let swap = Pending::counter_swap(counter, value, session, request, env);
                self.add(swap, env);
            }
            Ended::Yes if pending.is_extra => {}
            Ended::Yes => self.think(env),
            Ended::SessionUnknown | Ended::No(_) => {
                let what = format!("the library passed on a refusal of {pending:?}");
                env.fail(Rule::AnswerForm, what);
            }
        }
    }

    fn think(&mut self, env: &mut Env) {
        let pause = if self.last.is_some() {
            Duration::from_micros(100)
        } else {
            pause(&mut self.rng, env)
        };
        self.plan(pause, ClientStep::Think, env);
    }

    fn plan(&self, delay: Duration, step: ClientStep, env: &mut Env) {
        env.after(delay, Happening::Client { client: self.number, life: self.life, step });
    }
}

impl Client for Library {
    fn start(&mut self, env: &mut Env) {
        for _ in 0..env.options.workload.window {
            self.think(env);
        }
        self.pump(env);
    }

    fn is_done(&self) -> bool {
        self.open.is_empty() && self.last.as_ref().is_some_and(VecDeque::is_empty)
    }

    fn describe(&self) -> String {
        let open: Vec<_> = self.open.values().map(Pending::describe).collect();
        format!("client {} (library): {}", self.number, open.join(", "))
    }

    fn wind_down(&mut self) {
        self.last = Some(VecDeque::new());
    }

    fn finish_with(&mut self, plans: Vec<Plan>, env: &mut Env) {
        self.last.get_or_insert_default().extend(plans);
        self.think(env);
    }

    fn crash(&mut self, env: &mut Env) {
        env.marks.hit(Mark::ClientCrashed);
        env.tell(format_args!("client {} dies", self.number));
        let (number, life) = (self.number, self.life + 1);
        let rng = self.rng.fork("next life");
        let patience = env.options.workload.attempt_timeout;
        let streams = std::mem::take(&mut self.streams);
        *self = Self { life, ..Self::new(number, rng, patience, env.now) };
        // Answers to the one that died must not be taken for answers to this one.
        self.streams = streams.into_iter().map(|(store, stream)| (store, stream + 1)).collect();
        self.start(env);
    }

    fn life(&self) -> u64 {
        self.life
    }

    fn on_step(&mut self, step: ClientStep, workload: &mut Workload, env: &mut Env) {
        match step {
            ClientStep::Think => {
                let plan = if let Some(last) = &mut self.last {
                    last.pop_front()
                } else {
                    let seen = &self.seen;
                    Some(workload.plan(&mut self.rng, &|key| seen.get(key).cloned()))
                };
                if let Some(plan) = plan {
                    self.begin(plan, env);
                }
            }
            ClientStep::CoreTime if self.timer_at == Some(env.now) => {
                self.timer_at = None;
                self.core.on_time(env.now);
            }
            ClientStep::RoutesTimeout { ask } if self.asking == Some(ask) => {
                self.asking = None;
                self.core.on_refresh_failed(env.now);
            }
            _ => return,
        }
        self.pump(env);
    }

    fn on_packet(&mut self, from: StoreId, packet: Packet, env: &mut Env) {
        match packet {
            Packet::Answers { stream, answers } => {
                if self.streams.get(&from) != Some(&stream) {
                    return;
                }
                self.core.on_answers(from, answers, env.now);
            }
            Packet::Routes { ask, routes } => self.on_routes(ask, routes, env),
            Packet::Reset { stream } => {
                if self.streams.get(&from) != Some(&stream) {
                    return;
                }
                env.marks.hit(Mark::ConnectionReset);
                *self.streams.entry(from).or_default() += 1;
                self.core.on_down(from, env.now);
            }
            _ => return,
        }
        self.pump(env);
    }
}

fn answer(got: Got) -> Answer {
    match got {
        Got::Value(value) => Answer::Found(Found::Value(value)),
        Got::Rows { rows, rest } => Answer::Found(Found::Rows { rows, more: rest.is_some() }),
        Got::Outcome(outcome) => Answer::Outcomes(vec![outcome]),
        Got::Removed { count, rest: None } => Answer::Outcomes(vec![Outcome::Removed(count)]),
        Got::Removed { rest: Some(rest), .. } => {
            Answer::Invalid(format!("one region, and yet {rest:?} is left to remove"))
        }
    }
}

fn on_error(pending: &Pending, error: &Error, env: &mut Env) {
    env.marks.hit(Mark::ClientGaveUp);
    match error {
        Error::OutcomeUnknown { .. } => env.marks.hit(Mark::LibraryUnknown),
        Error::Deadline { .. } | Error::Unavailable { .. } | Error::Busy { .. } => {}
        other => env.fail(Rule::AnswerForm, format!("{pending:?} ended with {other:?}")),
    }
    if !error.outcome_unknown() {
        pending.fail(env);
    }
    if env.is_healed && pending.is_last {
        env.fail(Rule::Liveness, format!("{pending:?} without faults: {error:?}"));
    }
}
