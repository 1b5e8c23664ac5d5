//! The core against a cluster that keeps the rules and does everything else it may: leaders move,
//! regions split, streams break, batches arrive late or never, answers get lost, stores lie silent.
//!
//! Consensus is perfect here (one table per region); what is on trial is the client. Every call has
//! its own key and the cluster counts how often it took effect:
//! - a call that answered success took effect once,
//! - one that failed and says that nothing was changed never took effect, not even later,
//! - one whose outcome is unknown took effect at most once,
//! - every call ends by its deadline,
//! - a read answers a value exactly if a write of that key took effect before the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use kontiki_types::{
    ClientId, ClusterId, Command, Epoch, KeyRange, Outcome, Peer, PeerId, PeerRole, Refusal,
    Region, RegionId, RequestId, Term,
};

use super::*;
use crate::ReadMode;
use crate::admin::{Route, Store};
use crate::ask::{Answer, AnswerBody, Body, Found, Outgoing, Read, Trouble};

const STORES: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(6);
/// The longest that a message is under way beyond what a silent store adds.
const DELAY_MAX: Duration = Duration::from_millis(1500);
/// Regions forget what was not used for so long. Exactly-once rests on that being longer than a
/// call and its last message live; in truth it is an hour against seconds.
const FORGET_AFTER: Duration = Duration::from_secs(12);

/// A session at a region, as `kontiki_store` keeps it.
#[derive(Clone, Default)]
struct Session {
    used_at: Moment,
    lowest: u64,
    outcomes: BTreeMap<u64, Outcome>,
}

struct Group {
    region: Region,
    leader: StoreId,
    term: u64,
    sessions: BTreeMap<ClientId, Session>,
}

enum Event {
    /// A batch reaches a store over a stream of that number.
    Arrive(StoreId, u64, Outgoing),
    /// An answer reaches the client over that stream.
    Answer(StoreId, u64, Answer),
    /// The store accepts a new stream.
    Open(StoreId),
}

struct World {
    rng: Rng,
    now: Moment,
    core: Core<u64>,
    groups: BTreeMap<RegionId, Group>,
    events: BTreeMap<(Moment, u64), Event>,
    event_count: u64,
    /// Number of the stream of each store; nothing while there is none.
    streams: BTreeMap<StoreId, Option<u64>>,
    silent_until: BTreeMap<StoreId, Moment>,
    stream_count: u64,
    effects: BTreeMap<Bytes, u32>,
    calls: BTreeMap<u64, (Bytes, bool, Moment)>,
    ended: BTreeMap<u64, Result<Got, Error>>,
    /// Chance per thousand of each fault, drawn per seed.
    fault: u64,
    forgets: bool,
    seen: BTreeSet<&'static str>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let config = Config { attempt_timeout: Duration::from_millis(200), seed: rng.draw() };
        let peer = |n| Peer { id: PeerId(n), store: StoreId(n), role: PeerRole::Voter };
        let region = Region {
            id: RegionId(1),
            range: KeyRange::all(),
            epoch: Epoch { conf_ver: 1, version: 1 },
            peers: (1..=STORES).map(peer).collect(),
        };
        let group = Group { region, leader: StoreId(1), term: 1, sessions: BTreeMap::new() };
        let fault = [0, 20, 100][usize::try_from(rng.draw() % 3).unwrap()];
        let forgets = rng.draw().is_multiple_of(4);
        Self {
            rng,
            now: Moment::ZERO,
            core: Core::new(config, Moment::ZERO),
            groups: [(RegionId(1), group)].into(),
            events: BTreeMap::new(),
            event_count: 0,
            streams: (1..=STORES).map(|n| (StoreId(n), None)).collect(),
            silent_until: BTreeMap::new(),
            stream_count: 0,
            effects: BTreeMap::new(),
            calls: BTreeMap::new(),
            ended: BTreeMap::new(),
            fault,
            forgets,
            seen: BTreeSet::new(),
        }
    }

    fn chance(&mut self, per_thousand: u64) -> bool {
        self.rng.draw() % 1000 < per_thousand
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.rng.draw() % bound
    }

    fn schedule(&mut self, event: Event) {
        let slow = self.chance(self.fault);
        let micros = if slow {
            self.below(DELAY_MAX.as_micros().try_into().unwrap())
        } else {
            20 + self.below(2_000)
        };
        let at = self.now + Duration::from_micros(micros);
        self.event_count += 1;
        self.events.insert((at, self.event_count), event);
    }

    fn run(&mut self, call_count: u64) {
        let mut begun = 0;
        while begun < call_count || self.core.call_count() > 0 {
            if begun < call_count && self.chance(if self.forgets { 30 } else { 300 }) {
                begun += 1;
                self.begin(begun);
            }
            if self.chance(self.fault) {
                self.disturb();
            }
            self.settle();
            self.step();
        }
        self.settle();
        // What is still under way arrives; then nothing may change any more.
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.check();
    }

    fn begin(&mut self, number: u64) {
        let key = Bytes::from(format!("{:03}/{number}", self.below(1000)));
        let earlier = self.calls.values().map(|(key, ..)| key.clone()).collect::<Vec<_>>();
        let is_read = !earlier.is_empty() && self.chance(200);
        // Some callers wait for less than one attempt, some for many.
        let patience = PATIENCE / (1 << self.below(9));
        let deadline = self.now + patience;
        let (key, ask) = if is_read {
            let nth = usize::try_from(self.below(earlier.len() as u64)).unwrap();
            let key = earlier[nth].clone();
            (key.clone(), Ask::Read(Read::Get(key), ReadMode::Linearizable))
        } else {
            let value = key.clone();
            (key.clone(), Ask::Write(Command::Put { key, value }))
        };
        self.calls.insert(number, (key, is_read, deadline));
        self.core.on_call(ask, deadline, number, self.now);
    }

    /// Does what the core wants, as the shell would.
    fn settle(&mut self) {
        for store in self.core.take_resets() {
            self.seen.insert("reset");
            self.streams.insert(store, None);
        }
        if self.core.take_refresh(self.now) {
            if self.chance(self.fault) {
                self.core.on_refresh_failed(self.now);
            } else {
                let routes = self.routes();
                self.core.on_routes(routes, self.now);
            }
        }
        self.core.take_wakes();
        for store in (1..=STORES).map(StoreId) {
            if !self.core.is_ready(store) {
                continue;
            }
            match self.streams[&store] {
                Some(stream) => {
                    for batch in self.core.take_batches(store, self.now) {
                        self.schedule(Event::Arrive(store, stream, batch));
                    }
                }
                None if self
                    .events
                    .values()
                    .any(|e| matches!(e, Event::Open(s) if *s == store)) => {}
                None => self.schedule(Event::Open(store)),
            }
        }
        for (number, result) in self.core.take_done() {
            let (key, is_read, deadline) = &self.calls[&number];
            let slack = Duration::from_millis(10);
            assert!(self.now <= *deadline + slack, "call {number} ended late, at {}", self.now);
            if let (Ok(Got::Value(value)), true) = (&result, is_read)
                && value.is_some()
            {
                assert!(self.effects.contains_key(key), "{key:?} was read, never written");
            }
            let before = self.ended.insert(number, result);
            assert!(before.is_none(), "call {number} ended twice");
        }
    }

    /// To the next thing that happens, or a moment ahead.
    fn step(&mut self) {
        let event = self.events.first_key_value().map(|(&(at, _), _)| at);
        let core = self.core.next_deadline();
        let next = [event, core].into_iter().flatten().min();
        // A slow run lives long enough for sessions to be forgotten.
        let soon = self.now + Duration::from_micros(if self.forgets { 50_000 } else { 200 });
        self.now = next.map_or(soon, |next| next.clamp(self.now, soon));
        if event.is_some_and(|at| at <= self.now) {
            let (_, event) = self.events.pop_first().unwrap();
            self.happen(event);
        }
        self.core.on_time(self.now);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Open(store) if self.is_silent(store) => self.core.on_down(store, self.now),
            Event::Open(store) => {
                self.stream_count += 1;
                self.streams.insert(store, Some(self.stream_count));
                self.core.on_up(store);
            }
            // A paused store goes on where it was; a batch may so arrive long after its stream.
            Event::Arrive(store, stream, batch) if self.is_silent(store) => {
                self.schedule(Event::Arrive(store, stream, batch));
            }
            Event::Arrive(store, stream, batch) => {
                let answer = Answer { id: batch.id, body: self.serve(store, batch) };
                if !self.chance(self.fault) {
                    self.schedule(Event::Answer(store, stream, answer));
                }
            }
            Event::Answer(store, stream, answer) => {
                if self.streams[&store] == Some(stream) {
                    self.core.on_answers(store, vec![answer], self.now);
                }
            }
        }
    }

    fn is_silent(&self, store: StoreId) -> bool {
        self.silent_until.get(&store).is_some_and(|&until| self.now < until)
    }

    fn disturb(&mut self) {
        let store = StoreId(1 + self.below(STORES));
        let nth = usize::try_from(self.below(self.groups.len() as u64)).unwrap();
        let id = *self.groups.keys().nth(nth).unwrap();
        match self.below(5) {
            0 => {
                let group = self.groups.get_mut(&id).unwrap();
                group.leader = store;
                group.term += 1;
            }
            1 if self.streams[&store].is_some() => {
                self.streams.insert(store, None);
                self.core.on_broken(store, self.now);
            }
            2 => {
                let pause = Duration::from_micros(self.below(1_000_000));
                self.silent_until.insert(store, self.now + pause);
            }
            3 if self.groups.len() < 8 => self.split(id),
            4 if self.forgets => {
                let sessions = &mut self.groups.get_mut(&id).unwrap().sessions;
                let before = sessions.len();
                sessions.retain(|_, session| self.now.since(session.used_at) < FORGET_AFTER);
                if sessions.len() < before {
                    self.seen.insert("forgot");
                }
            }
            _ => {}
        }
    }

    fn split(&mut self, id: RegionId) {
        let at = Bytes::from(format!("{:03}", self.below(1000)));
        let child_id = RegionId(self.groups.len() as u64 + 1);
        let parent = self.groups.get_mut(&id).unwrap();
        if at <= parent.region.range.start || !parent.region.range.contains(&at) {
            return;
        }
        parent.region.epoch.version += 1;
        let mut region = parent.region.clone();
        region.id = child_id;
        region.range.start = at.clone();
        parent.region.range.end = Some(at);
        let (leader, sessions) = (parent.leader, parent.sessions.clone());
        self.groups.insert(child_id, Group { region, leader, term: 1, sessions });
        self.seen.insert("split");
    }

    fn routes(&self) -> Routes {
        let store = |n: u64| Store { id: StoreId(n), address: n.to_string() };
        let route = |group: &Group| Route {
            region: group.region.clone(),
            leader: Some(group.leader),
            term: Term(group.term),
        };
        Routes {
            cluster: ClusterId(1),
            stores: (1..=STORES).map(store).collect(),
            regions: self.groups.values().map(route).collect(),
        }
    }

    /// What a store does with a batch: the two checks, then each request on its own.
    fn serve(&mut self, store: StoreId, batch: Outgoing) -> AnswerBody {
        if self.chance(self.fault / 4) {
            let (reason, retry_after_ms) = ("soak".to_owned(), 3);
            return AnswerBody::Failed(Trouble::Busy { reason, retry_after_ms });
        }
        let group = &self.groups[&batch.region];
        if group.leader != store {
            let leader = Some((group.leader, group.leader.0.to_string()));
            return AnswerBody::Failed(Trouble::NotLeader { leader, term: Term(group.term) });
        }
        if group.region.epoch != batch.epoch {
            self.seen.insert("epoch");
            let all = self.groups.values().map(|group| group.region.clone()).collect();
            return AnswerBody::Failed(Trouble::EpochNotMatch(all));
        }
        let unknown = self.chance(self.fault / 4);
        if unknown && self.chance(500) {
            self.seen.insert("unknown, not done");
            return AnswerBody::Failed(Trouble::Unknown("soak".into()));
        }
        let body = match batch.body {
            Body::Reads { reads, .. } => {
                AnswerBody::Found(reads.into_iter().map(|read| Ok(self.read(read))).collect())
            }
            Body::Writes { client, lowest, open, commands } => {
                let apply = |(id, command)| {
                    Some(self.apply(batch.region, client, lowest, open, id, command))
                };
                AnswerBody::Outcomes(commands.into_iter().map(apply).collect())
            }
        };
        if unknown {
            self.seen.insert("unknown, done");
            return AnswerBody::Failed(Trouble::Unknown("soak".into()));
        }
        body
    }

    fn read(&self, read: Read) -> Found {
        match read {
            Read::Get(key) => Found::Value(self.effects.contains_key(&key).then_some(key)),
            Read::Scan(scan) => panic!("{scan:?}"),
        }
    }

    fn apply(
        &mut self,
        region: RegionId,
        client: ClientId,
        lowest: RequestId,
        open: bool,
        id: RequestId,
        command: Command,
    ) -> Outcome {
        let group = self.groups.get_mut(&region).unwrap();
        if open {
            group.sessions.entry(client).or_default();
        }
        let Some(session) = group.sessions.get_mut(&client) else {
            self.seen.insert("session unknown");
            return Outcome::Refused(Refusal::SessionUnknown);
        };
        session.used_at = self.now;
        session.lowest = session.lowest.max(lowest.0);
        let least = session.lowest;
        session.outcomes.retain(|&id, _| id >= least);
        if let Some(outcome) = session.outcomes.get(&id.0) {
            self.seen.insert("answered again");
            return outcome.clone();
        }
        if id.0 < least {
            self.seen.insert("request forgotten");
            return Outcome::Refused(Refusal::RequestForgotten);
        }
        let Command::Put { key, .. } = command else { panic!("{command:?}") };
        assert!(group.region.range.contains(&key), "{key:?} in {:?}", group.region);
        session.outcomes.insert(id.0, Outcome::Done);
        *self.effects.entry(key).or_default() += 1;
        Outcome::Done
    }

    fn check(&mut self) {
        assert_eq!(self.ended.len(), self.calls.len());
        for (number, result) in &self.ended {
            let (key, is_read, _) = &self.calls[number];
            if *is_read {
                continue;
            }
            let effects = self.effects.get(key).copied().unwrap_or(0);
            match result {
                Ok(_) => assert_eq!(effects, 1, "call {number} succeeded"),
                Err(error) if error.outcome_unknown() => {
                    assert!(effects <= 1, "call {number} happened {effects} times: {error}");
                }
                Err(error) => assert_eq!(effects, 0, "call {number} happened: {error}"),
            }
        }
        if self.fault == 0 && !self.forgets {
            let failed = self.ended.values().filter(|result| result.is_err()).count();
            assert_eq!(failed, 0, "nothing was disturbed");
        }
    }
}

#[test]
fn every_write_takes_effect_once_or_says_what_it_does_not_know() {
    let mut seen = BTreeSet::new();
    for seed in 0..120 {
        let mut world = World::new(seed);
        let run = std::panic::AssertUnwindSafe(|| world.run(150));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("seed {seed}, at {}", world.now);
            std::panic::resume_unwind(panic);
        }
        seen.append(&mut world.seen);
    }
    let expected = [
        "answered again",
        "epoch",
        "forgot",
        "reset",
        "session unknown",
        "split",
        "unknown, done",
        "unknown, not done",
    ];
    for mark in expected {
        assert!(seen.contains(mark), "no run met {mark:?}: {seen:?}");
    }
}
