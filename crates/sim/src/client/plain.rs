//! A client of the simulator's own: simple, blunt, and not polite.
//!
//! It routes by guesses, tries again after any silence, and asks any replica for reads; so stores
//! meet requests that the client library would never send. It keeps the promises that sessions rest
//! on: one request id per write for all its tries, the lowest outstanding id with each write.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use kontiki_testkit::Rng;
use kontiki_types::{ClientId, Epoch, Header, RequestId, StoreId, WriteBatch};

use crate::env::{ClientStep, Env, Happening};
use crate::limits::STORE_COUNT;
use crate::marks::Mark;
use crate::mutant::Mutant;
use crate::network::{Address, exponential};
use crate::violation::Rule;
use crate::wire::{Answer, Ask, Packet};

use super::Client;
use super::pending::{Ended, Pending, What};
use super::workload::{Plan, Workload};

/// A session and how far it is.
#[derive(Clone, Copy, Debug)]
struct Session {
    id: ClientId,
    next: RequestId,
    /// An answer came under this id, so the region knows it.
    is_answered: bool,
}

/// The blunt client.
pub struct Plain {
    number: usize,
    life: u64,
    rng: Rng,
    session: Session,
    next_call: u64,
    next_operation: u64,
    /// Operations under way.
    open: BTreeMap<u64, Pending>,
    /// Who leads, as far as it knows.
    leader: StoreId,
    /// The region's epoch, as far as it knows.
    epoch: Epoch,
    /// What it last saw under each key, for swaps.
    seen: BTreeMap<String, Bytes>,
    /// Once the faults are over: what is left to ask. Before, the workload decides.
    last: Option<VecDeque<Plan>>,
}

impl Client for Plain {
    fn start(&mut self, env: &mut Env) {
        for _ in 0..env.options.workload.window {
            self.think(env);
        }
    }

    fn is_done(&self) -> bool {
        self.open.is_empty() && self.last.as_ref().is_some_and(VecDeque::is_empty)
    }

    fn describe(&self) -> String {
        let open: Vec<_> = self.open.values().map(Pending::describe).collect();
        format!("client {}: {}", self.number, open.join(", "))
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
        self.life += 1;
        self.open.clear();
        self.seen.clear();
        self.session = new_session(&mut self.rng);
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
            ClientStep::Timeout { call } => {
                let waiting = self.open.iter().find(|(_, p)| p.call == call);
                if let Some((&operation, pending)) = waiting {
                    let elsewhere = next_store(pending.target);
                    self.leader = elsewhere;
                    self.attempt(operation, elsewhere, env);
                }
            }
            ClientStep::Retry { operation } => {
                if let Some(pending) = self.open.get(&operation) {
                    let target = if pending.is_anywhere { pending.target } else { self.leader };
                    self.attempt(operation, target, env);
                }
            }
            // Without faults nothing may be given up: there, not answering is a violation.
            ClientStep::GiveUp { operation } if !env.is_healed => {
                if self.open.remove(&operation).is_some() {
                    env.marks.hit(Mark::ClientGaveUp);
                    self.think(env);
                }
            }
            ClientStep::GiveUp { .. } | ClientStep::CoreTime | ClientStep::RoutesTimeout { .. } => {
            }
        }
    }

    fn on_packet(&mut self, _from: StoreId, packet: Packet, env: &mut Env) {
        if let Packet::Reply { call, answer } = packet {
            self.on_reply(call, answer, env);
        }
    }
}

impl Plain {
    /// A client; call [`Client::start`] to set it to work.
    pub fn new(number: usize, mut rng: Rng, epoch: Epoch) -> Self {
        let session = new_session(&mut rng);
        Self {
            number,
            life: 0,
            rng,
            session,
            next_call: 0,
            next_operation: 0,
            open: BTreeMap::new(),
            leader: StoreId(1),
            epoch,
            seen: BTreeMap::new(),
            last: None,
        }
    }

    /// A store answered.
    fn on_reply(&mut self, call: u64, answer: Answer, env: &mut Env) {
        // An answer to a call that timed out is as good as lost: its stream is gone.
        let Some((&operation, _)) = self.open.iter().find(|(_, p)| p.call == call) else { return };
        let pending = self.open.get_mut(&operation).expect("just found");
        pending.call = 0;
        match answer {
            Answer::NotLeader(Some(leader)) if leader != pending.target => {
                self.leader = leader;
                let target = if pending.is_anywhere { pending.target } else { leader };
                let wait = Duration::from_millis(if pending.tries > 3 { 20 } else { 0 });
                pending.target = target;
                self.retry(operation, wait, env);
            }
            Answer::NotLeader(_) => {
                let target = self.open[&operation].target;
                self.leader = next_store(target);
                self.retry_later(operation, env);
            }
            Answer::Busy => {
                env.marks.hit(Mark::Busy);
                self.retry_later(operation, env);
            }
            Answer::Lost => {
                env.marks.hit(Mark::LeadershipLost);
                self.retry_later(operation, env);
            }
            Answer::ReadFailed => {
                env.marks.hit(Mark::ReadFailed);
                self.retry_later(operation, env);
            }
            Answer::EpochNotMatch(regions) => {
                self.learn(&regions);
                self.retry_later(operation, env);
            }
            Answer::Invalid(why) => {
                env.fail(Rule::AnswerForm, format!("a valid request was refused: {why}"));
            }
            Answer::Value(_) | Answer::Outcomes(_) => self.end(operation, answer, env),
        }
    }

    fn end(&mut self, operation: u64, answer: Answer, env: &mut Env) {
        let pending = self.open.get_mut(&operation).expect("the caller found it");
        if matches!(answer, Answer::Outcomes(_)) && pending.session == Some(self.session.id) {
            self.session.is_answered = true;
        }
        match pending.on_answer(answer, &mut self.seen, env) {
            Ended::Yes => {
                self.open.remove(&operation);
                self.think(env);
            }
            Ended::Then(counter, value) => {
                self.open.remove(&operation);
                self.swap_counter(counter, value, env);
            }
            Ended::SessionUnknown => {
                env.marks.hit(Mark::SessionUnknown);
                let pending = self.open.remove(&operation).expect("it was there");
                if pending.session == Some(self.session.id) {
                    self.session = new_session(&mut self.rng);
                }
                self.think(env);
            }
            Ended::No(regions) => {
                self.learn(&regions);
                self.retry_later(operation, env);
            }
        }
    }

    fn begin(&mut self, plan: Plan, env: &mut Env) {
        let number = self.number as u64;
        let mut pending = match plan {
            Plan::Get { key } => {
                let is_anywhere = self.rng.chance(env.options.workload.follower_reads);
                Pending::get(key, is_anywhere, number, env)
            }
            Plan::Increment { counter } => Pending::counter_read(counter, true, env),
            Plan::ReadCounter { counter } => Pending::counter_read(counter, false, env),
            Plan::Write(changes) => {
                let first = self.take_requests(changes.len());
                Pending::write(changes, self.session.id, first, number, env)
            }
        };
        pending.target = if pending.is_anywhere { self.any_store() } else { self.leader };
        self.add(pending, env);
    }

    fn swap_counter(&mut self, counter: usize, value: Option<i64>, env: &mut Env) {
        let request = self.take_requests(1);
        let mut pending = Pending::counter_swap(counter, value, self.session.id, request, env);
        pending.target = self.leader;
        self.add(pending, env);
    }

    fn add(&mut self, pending: Pending, env: &mut Env) {
        self.next_operation += 1;
        let (operation, target) = (self.next_operation, pending.target);
        self.open.insert(operation, pending);
        let patience = env.options.workload.operation_timeout;
        self.plan(patience, ClientStep::GiveUp { operation }, env);
        self.attempt(operation, target, env);
    }

    fn attempt(&mut self, operation: u64, target: StoreId, env: &mut Env) {
        self.next_call += 1;
        let call = self.next_call;
        let is_new = env.options.is_mutant(Mutant::RetryAsNew);
        let pending = self.open.get_mut(&operation).expect("the caller found it");
        if is_new && pending.tries > 0 {
            pending.renumber(&mut self.session.next);
        }
        (pending.call, pending.target) = (call, target);
        pending.tries += 1;
        let ask = self.ask(operation);
        let (from, to) = (Address::Client(self.number), Address::Store(target));
        env.send(from, to, Packet::Request { client: self.number, call, ask });
        self.plan(env.options.workload.attempt_timeout, ClientStep::Timeout { call }, env);
    }

    fn ask(&self, operation: u64) -> Ask {
        let pending = &self.open[&operation];
        match &pending.what {
            What::Get { .. } | What::CounterRead { .. } => Ask::Get {
                key: pending.read_key(),
                epoch: self.epoch,
                is_follower_fine: pending.is_anywhere,
            },
            What::Write(parts) => {
                let client = pending.session.expect("writes have one");
                let is_current = client == self.session.id;
                let header = Header {
                    client,
                    lowest: self.lowest(client),
                    open: is_current && !self.session.is_answered,
                    epoch: self.epoch,
                    wall_ms: 0,
                };
                let commands = parts.iter().map(|p| (p.request, p.command.clone())).collect();
                Ask::Write(WriteBatch { header, commands })
            }
        }
    }

    /// The lowest request of a session that is not answered yet.
    fn lowest(&self, session: ClientId) -> RequestId {
        let of_session = self.open.values().filter(|p| p.session == Some(session));
        let lowest = of_session.filter_map(Pending::lowest_request).min();
        lowest.unwrap_or(self.session.next)
    }

    fn take_requests(&mut self, count: usize) -> RequestId {
        let first = self.session.next;
        self.session.next = RequestId(first.0 + count as u64);
        first
    }

    fn learn(&mut self, regions: &[kontiki_types::Region]) {
        if let Some(region) = regions.first() {
            self.epoch = region.epoch;
        }
    }

    fn retry_later(&mut self, operation: u64, env: &mut Env) {
        let tries = self.open[&operation].tries.min(5);
        let wait = Duration::from_millis(5 << tries);
        let wait = exponential(&mut self.rng, wait / 2);
        self.retry(operation, wait, env);
    }

    fn retry(&mut self, operation: u64, wait: Duration, env: &mut Env) {
        self.plan(wait, ClientStep::Retry { operation }, env);
    }

    fn think(&mut self, env: &mut Env) {
        let pause = if self.last.is_some() {
            Duration::from_micros(100)
        } else {
            exponential(&mut self.rng, env.options.workload.think)
        };
        self.plan(pause, ClientStep::Think, env);
    }

    fn plan(&self, delay: Duration, step: ClientStep, env: &mut Env) {
        env.after(delay, Happening::Client { client: self.number, life: self.life, step });
    }

    fn any_store(&mut self) -> StoreId {
        StoreId(1 + self.rng.below(STORE_COUNT as u64))
    }
}

fn next_store(store: StoreId) -> StoreId {
    StoreId(store.0 % STORE_COUNT as u64 + 1)
}

fn new_session(rng: &mut Rng) -> Session {
    let id = ClientId(rng.next_u64().max(1));
    Session { id, next: RequestId(1), is_answered: false }
}
