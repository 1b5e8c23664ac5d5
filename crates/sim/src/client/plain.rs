//! A client of the simulator's own: simple, blunt, and not polite.
//!
//! It routes by guesses, tries again after any silence, and asks any replica for reads; so stores
//! meet requests that the client library would never send. It keeps the promises that sessions rest
//! on: one request id per write for all its tries, the lowest outstanding id with each write.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use kontiki_testkit::Rng;
use kontiki_types::{ClientId, Epoch, Header, Region, RegionId, RequestId, StoreId, WriteBatch};

use crate::cluster::region_of;
use crate::env::{ClientStep, Env, Happening};
use crate::marks::Mark;
use crate::mutant::Outside;
use crate::network::{Address, exponential};
use crate::violation::Rule;
use crate::wire::{Answer, Ask, Packet};

use super::pending::{Ended, Pending, What};
use super::workload::{Plan, Workload, counter_key};
use super::{Client, pause};

/// What it knows of a group.
#[derive(Clone, Copy, Debug)]
struct Home {
    session: Session,
    /// Who leads, as far as it knows.
    leader: StoreId,
    /// The region's epoch, as far as it knows.
    epoch: Epoch,
}

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
    homes: BTreeMap<RegionId, Home>,
    next_call: u64,
    next_operation: u64,
    /// Operations under way.
    open: BTreeMap<u64, Pending>,
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
        self.homes.clear();
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
                    let group = pending.group;
                    let elsewhere = env.cluster.next_store(pending.target);
                    self.home(group, env).leader = elsewhere;
                    self.attempt(operation, elsewhere, env);
                }
            }
            ClientStep::Retry { operation } => {
                if let Some(pending) = self.open.get(&operation) {
                    let (group, asked) = (pending.group, pending.target);
                    let is_anywhere = pending.is_anywhere;
                    let target = if is_anywhere { asked } else { self.home(group, env).leader };
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
    pub fn new(number: usize, rng: Rng) -> Self {
        Self {
            number,
            life: 0,
            rng,
            homes: BTreeMap::new(),
            next_call: 0,
            next_operation: 0,
            open: BTreeMap::new(),
            seen: BTreeMap::new(),
            last: None,
        }
    }

    fn home(&mut self, group: RegionId, env: &Env) -> &mut Home {
        let rng = &mut self.rng;
        self.homes.entry(group).or_insert_with(|| {
            let region = env.cluster.region(group);
            let leader = region.peers.first().expect("a group has replicas").store;
            Home { session: new_session(rng), leader, epoch: region.epoch }
        })
    }

    /// A store answered.
    fn on_reply(&mut self, call: u64, answer: Answer, env: &mut Env) {
        // An answer to a call that timed out is as good as lost: its stream is gone.
        let Some((&operation, _)) = self.open.iter().find(|(_, p)| p.call == call) else { return };
        let pending = self.open.get_mut(&operation).expect("just found");
        pending.call = 0;
        let group = pending.group;
        match answer {
            Answer::NotLeader(Some(leader)) if leader != pending.target => {
                let target = if pending.is_anywhere { pending.target } else { leader };
                let wait = Duration::from_millis(if pending.tries > 3 { 20 } else { 0 });
                pending.target = target;
                self.home(group, env).leader = leader;
                self.retry(operation, wait, env);
            }
            Answer::NotLeader(_) => {
                // Nobody may lead, or the group is not there.
                let next = env.cluster.next_store(pending.target);
                pending.target = next;
                self.home(group, env).leader = next;
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
                self.learn(&regions, env);
                self.retry_later(operation, env);
            }
            Answer::Invalid(why) => {
                env.fail(Rule::AnswerForm, format!("a valid request was refused: {why}"));
            }
            Answer::Found(_) | Answer::Outcomes(_) => self.end(operation, answer, env),
        }
    }

    fn end(&mut self, operation: u64, answer: Answer, env: &mut Env) {
        let pending = self.open.get_mut(&operation).expect("the caller found it");
        let (group, session) = (pending.group, pending.session);
        if let Some(home) = self.homes.get_mut(&group)
            && matches!(answer, Answer::Outcomes(_))
            && session == Some(home.session.id)
        {
            home.session.is_answered = true;
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
                self.open.remove(&operation);
                if let Some(home) = self.homes.get_mut(&group)
                    && session == Some(home.session.id)
                {
                    home.session = new_session(&mut self.rng);
                }
                self.think(env);
            }
            Ended::No(regions) => {
                self.learn(&regions, env);
                self.retry_later(operation, env);
            }
        }
    }

    fn begin(&mut self, plan: Plan, env: &mut Env) {
        let number = self.number as u64;
        let mut pending = match plan {
            Plan::Get { key } => Pending::get(key, self.is_anywhere(env), number, env),
            Plan::ReadSet { set } => Pending::set_read(set, self.is_anywhere(env), env),
            Plan::Increment { counter } => Pending::counter_read(counter, true, env),
            Plan::ReadCounter { counter } => Pending::counter_read(counter, false, env),
            Plan::Write(changes) => {
                let group = changes.first().expect("some changes").group();
                let (session, first) = self.take_requests(group, changes.len(), env);
                Pending::write(changes, session, first, number, env)
            }
        };
        let group = pending.group;
        pending.target = if pending.is_anywhere {
            self.rng.pick(&env.cluster.region(group).peers).store
        } else {
            self.home(group, env).leader
        };
        self.add(pending, env);
    }

    /// Whether the next read may be served by any replica. Not at the end: one in three of hundreds
    /// of last reads would wait for a store that stays down (seed 415629533761).
    fn is_anywhere(&mut self, env: &Env) -> bool {
        self.last.is_none() && self.rng.chance(env.options.workload.follower_reads)
    }

    fn swap_counter(&mut self, counter: usize, value: Option<i64>, env: &mut Env) {
        let group = region_of(&counter_key(counter, env.cluster.regions().len()));
        let (session, request) = self.take_requests(group, 1, env);
        let mut pending = Pending::counter_swap(counter, value, session, request, env);
        pending.target = self.home(group, env).leader;
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
        let is_new = env.options.is_mutant(Outside::RetryAsNew);
        let pending = self.open.get_mut(&operation).expect("the caller found it");
        if let Some(home) = self.homes.get_mut(&pending.group)
            && is_new
            && pending.tries > 0
        {
            pending.renumber(&mut home.session.next);
        }
        (pending.call, pending.target) = (call, target);
        pending.tries += 1;
        let group = pending.group;
        let home = *self.home(group, env);
        let ask = self.ask(operation, home, env);
        let (from, to) = (Address::Client(self.number), Address::Store(target));
        env.send(from, to, Packet::Request { client: self.number, call, group, ask });
        self.plan(env.options.workload.attempt_timeout, ClientStep::Timeout { call }, env);
    }

    fn ask(&self, operation: u64, home: Home, env: &Env) -> Ask {
        let pending = &self.open[&operation];
        match &pending.what {
            What::Write(parts) => {
                let client = pending.session.expect("writes have one");
                let is_current = client == home.session.id;
                let header = Header {
                    client,
                    lowest: self.lowest(client, home),
                    open: is_current && !home.session.is_answered,
                    epoch: home.epoch,
                    wall_ms: 0,
                };
                let commands = parts.iter().map(|p| (p.request, p.command.clone())).collect();
                Ask::Write(WriteBatch { header, commands })
            }
            _ => Ask::Read {
                read: pending.read(env),
                epoch: home.epoch,
                is_follower_fine: pending.is_anywhere,
            },
        }
    }

    /// The lowest request of a session that is not answered yet.
    fn lowest(&self, session: ClientId, home: Home) -> RequestId {
        let of_session = self.open.values().filter(|p| p.session == Some(session));
        let lowest = of_session.filter_map(Pending::lowest_request).min();
        lowest.unwrap_or(home.session.next)
    }

    fn take_requests(&mut self, group: RegionId, count: usize, env: &Env) -> (ClientId, RequestId) {
        let session = &mut self.home(group, env).session;
        let first = session.next;
        session.next = RequestId(first.0 + count as u64);
        (session.id, first)
    }

    fn learn(&mut self, regions: &[Region], env: &Env) {
        for region in regions {
            self.home(region.id, env).epoch = region.epoch;
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
            pause(&mut self.rng, env)
        };
        self.plan(pause, ClientStep::Think, env);
    }

    fn plan(&self, delay: Duration, step: ClientStep, env: &mut Env) {
        env.after(delay, Happening::Client { client: self.number, life: self.life, step });
    }
}

fn new_session(rng: &mut Rng) -> Session {
    let id = ClientId(rng.next_u64().max(1));
    Session { id, next: RequestId(1), is_answered: false }
}
