//! Stores that talk to each other: every message arrives, every disk syncs at once. A store that is
//! asked to take part in a group it does not know creates a replica, as a driver would.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use kontiki_log::Record;
use kontiki_raft::{Config, Notice};
use kontiki_types::{Body, Membership, Message, Moment, PeerId, Position, RegionId, StoreId};

use super::machine::Machine;
use crate::{
    Applier, Effects, Event, GroupSpec, Refused, Round, Shard, ShardConfig, Token,
    membership_codec, restore,
};

pub(super) const GROUP: RegionId = RegionId(7);

/// Rounds after which stores that still talk are taken for ones that never stop.
const ROUNDS_MAX: usize = 1000;

/// How a caller was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Accepted,
    Changed(Membership),
    Refused(Refused),
    Replied(Bytes),
    /// It may read now.
    Readable,
}

/// One store.
pub(super) struct Store {
    id: StoreId,
    pub(super) shard: Shard,
    applier: Applier,
    pub(super) machine: Option<Machine>,
    pub(super) records: Vec<Record>,
    pub(super) notices: Vec<Notice>,
}

/// See the module.
pub(super) struct Stores {
    pub(super) all: BTreeMap<StoreId, Store>,
    pub(super) now: Moment,
    mail: VecDeque<(StoreId, Event)>,
    spools: Vec<Vec<Bytes>>,
    pub(super) answers: BTreeMap<Token, Answer>,
    tokens: u64,
    /// Nothing reaches this one, nor comes from it.
    pub(super) cut: Option<StoreId>,
    /// Snapshots stay on their way.
    pub(super) holds_snapshots: bool,
    held: Vec<(StoreId, Event)>,
}

impl Stores {
    /// So many stores with a voter of the group each, store 1 leading it, and `idle` ones beside.
    pub(super) fn led(voters: u64, idle: u64) -> Self {
        Self::led_within(&ShardConfig::default(), voters, idle)
    }

    /// The same with other bounds.
    pub(super) fn led_within(config: &ShardConfig, voters: u64, idle: u64) -> Self {
        let mut stores = Self {
            all: BTreeMap::new(),
            now: Moment::ZERO,
            mail: VecDeque::new(),
            spools: Vec::new(),
            answers: BTreeMap::new(),
            tokens: 0,
            cut: None,
            holds_snapshots: false,
            held: Vec::new(),
        };
        let membership = Membership::of_voters(voters);
        for id in 1..=voters + idle {
            stores.all.insert(StoreId(id), Store::new(StoreId(id), config));
        }
        for id in 1..=voters {
            stores.store(id).join(PeerId(id), membership.clone(), Moment::ZERO);
        }
        stores.run();
        stores.pass(1, Duration::from_secs(3));
        stores
    }

    pub(super) fn store(&mut self, id: u64) -> &mut Store {
        self.all.get_mut(&StoreId(id)).expect("such a store")
    }

    /// Time passes; only this store hears of it.
    pub(super) fn pass(&mut self, id: u64, time: Duration) {
        self.now = self.now + time;
        let now = self.now;
        self.store(id).shard.on_time(now);
        self.run();
    }

    /// Somebody on this store asks for something; what follows happens at once.
    pub(super) fn ask(&mut self, id: u64, event: impl FnOnce(Token) -> Event) -> Token {
        let token = self.queue(id, event);
        self.run();
        token
    }

    /// Somebody on this store asks for something; nothing happens yet.
    pub(super) fn queue(&mut self, id: u64, event: impl FnOnce(Token) -> Event) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.mail.push_back((StoreId(id), event(token)));
        token
    }

    /// Snapshots that were held arrive, and more are not held.
    pub(super) fn release(&mut self) {
        self.holds_snapshots = false;
        self.deliver_held();
    }

    /// Snapshots that were held arrive.
    pub(super) fn deliver_held(&mut self) {
        self.mail.extend(self.held.drain(..));
        self.run();
    }

    /// One turn of this store alone: what it says has not arrived anywhere yet.
    pub(super) fn turn_of(&mut self, id: u64) {
        for (to, event) in std::mem::take(&mut self.mail) {
            assert_eq!(to, StoreId(id), "{event:?} is for another store");
            let now = self.now;
            self.store(id).shard.on_event(event, now);
        }
        self.turn(StoreId(id));
    }

    /// Until nobody has anything to say.
    pub(super) fn run(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.round();
            if self.mail.is_empty() {
                return;
            }
        }
        panic!("the stores never come to rest");
    }

    /// What is on its way arrives, and each store has one turn.
    pub(super) fn round(&mut self) {
        for (to, event) in std::mem::take(&mut self.mail) {
            // One that is gone hears nothing.
            if let Some(store) = self.all.get_mut(&to) {
                store.shard.on_event(event, self.now);
            }
        }
        for id in self.all.keys().copied().collect::<Vec<_>>() {
            self.turn(id);
        }
    }

    fn turn(&mut self, id: StoreId) {
        let Self { all, mail, spools, answers, now, cut, holds_snapshots, held, .. } = self;
        let store = all.get_mut(&id).expect("such a store");
        let mut effects = Effects::default();
        store.shard.take_effects(*now, &mut effects);
        for unknown in effects.unknown.drain(..).filter(crate::Unknown::wants_replica) {
            if store.shard.is_free(unknown.group) {
                store.join(unknown.message.to, Membership::default(), *now);
            }
            let (group, store, message) = (unknown.group, unknown.store, unknown.message);
            mail.push_back((id, Event::Message { group, store, message }));
        }
        let mut sent = std::mem::take(&mut effects.send);
        if let Some(task) = effects.log.take() {
            store.records.extend(task.records);
            sent.extend(task.gated);
            mail.push_back((id, Event::LogSynced { task: task.seq }));
        }
        if effects.sync_engine {
            mail.push_back((id, Event::EngineSynced));
        }
        let is_cut = |other: StoreId| *cut == Some(id) || *cut == Some(other);
        for outbound in sent.into_iter().filter(|outbound| !is_cut(outbound.store)) {
            let (group, message) = (outbound.group, outbound.message);
            mail.push_back((outbound.store, Event::Message { group, store: id, message }));
        }
        answers.extend(effects.accepted.drain(..).map(|token| (token, Answer::Accepted)));
        answers.extend(effects.changed.drain(..).map(|(token, m)| (token, Answer::Changed(m))));
        answers.extend(effects.refused.drain(..).map(|(token, r)| (token, Answer::Refused(r))));
        store.notices.extend(effects.notices.drain(..).map(|(_, notice)| notice));
        let mut tasks = effects.apply.drain(..).collect();
        let mut round = Round::default();
        loop {
            store.applier.run(&mut tasks, &mut round).expect("it never fails");
            for (group, meta, spool) in std::mem::take(&mut round.installs) {
                let chunks = spools[usize::try_from(spool).expect("few")].clone();
                let mut chunks = chunks.into_iter().map(Ok);
                let installed = store.applier.install(group, meta, spool, &mut chunks, &mut round);
                installed.expect("it never fails");
            }
            if tasks.is_empty() {
                break;
            }
        }
        answers.extend(round.replies.drain(..).map(|(token, r)| (token, Answer::Replied(r))));
        answers.extend(round.reads.drain(..).map(|token| (token, Answer::Readable)));
        mail.extend(round.events.drain(..).map(|event| (id, event)));
        for mut open in round.snapshots.drain(..) {
            let (group, to, term, session) = (open.group, open.to, open.term, open.session);
            let meta = open.source.meta().expect("it never fails");
            let body = Body::Snapshot { session, meta };
            let message = Message { from: open.from, to, term, body };
            let next = || open.source.next_chunk().expect("it never fails");
            spools.push(std::iter::from_fn(next).collect());
            let spool = spools.len() as u64 - 1;
            let arrived = (open.store, Event::SnapshotArrived { group, message, spool });
            let sent = (id, Event::SnapshotSent { group, to, term, session, ok: true });
            if *holds_snapshots {
                held.extend([arrived, sent]);
            } else {
                mail.extend([arrived, sent]);
            }
        }
    }
}

impl Store {
    fn new(id: StoreId, config: &ShardConfig) -> Self {
        Self {
            id,
            shard: Shard::new(config.clone()),
            applier: Applier::new(),
            machine: None,
            records: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// A replica of the group begins here.
    pub(super) fn join(&mut self, peer: PeerId, membership: Membership, now: Moment) {
        let (restored, records) =
            restore(GROUP, None, Position::ZERO, &membership).expect("nothing to contradict");
        let mut raft = Config::new(peer, self.id.0, membership_codec());
        // Followers learn of a commit without time passing.
        raft.commit_notice_delay = Duration::ZERO;
        self.shard.join_group(
            GroupSpec { group: GROUP, raft, restored, durability: crate::Durability::Engine },
            records,
            now,
        );
        let machine = Machine::new(membership);
        self.applier.add(GROUP, Box::new(machine.clone()));
        self.machine = Some(machine);
    }
}
