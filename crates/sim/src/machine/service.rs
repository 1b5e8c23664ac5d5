//! What a store does with the requests of clients: check, propose or read, answer.
//!
//! Stands where the server stands in production, and uses the same checks of `kontiki-store`. The
//! two kinds of clients differ only in the form of the answer, see [`super::reply`].

use bytes::Bytes;
use kontiki_client::ask::{Body, Columns, Direction, Found, Outgoing, Read, Scan};
use kontiki_codec::command;
use kontiki_multiraft::{Event, Refused, Token};
use kontiki_raft::RoleKind;
use kontiki_store::{ProposeError, ReadError, RegionReader, propose};
use kontiki_types::{
    Command, Epoch, Header, Index, MembershipChange, Moment, Outcome, ReadMode, Refusal, RegionId,
    StoreId, WriteBatch,
};

use crate::env::Env;
use crate::limits::CALLERS_MAX;
use crate::marks::Mark;
use crate::mutant::Outside;
use crate::violation::Rule;
use crate::wire::Ask;

use super::Machine;
use super::reply::{Told, Why, is_blank};
use super::running::{Asked, Caller, Route, Running};

/// Whose request it is, and about which group.
#[derive(Clone, Copy)]
struct From {
    group: RegionId,
    client: usize,
    route: Route,
}

impl From {
    /// The operator of the simulation, who does not wait.
    fn nobody(group: RegionId) -> Self {
        Self { group, client: 0, route: Route::Nobody }
    }

    fn asking(self, what: Asked, since: Moment) -> Caller {
        let Self { group, client, route } = self;
        Caller { group, client, route, what, since }
    }
}

impl Machine {
    /// A client of the simulator's own asks.
    pub(super) fn on_request(
        &mut self,
        client: usize,
        call: u64,
        group: RegionId,
        ask: Ask,
        env: &mut Env,
    ) {
        let from = From { group, client, route: Route::Call(call) };
        match ask {
            Ask::Write(batch) => self.on_write(from, batch, env),
            Ask::Read { read, epoch, is_follower_fine } => {
                if is_follower_fine || self.leads(group) {
                    self.on_read(from, vec![read], epoch, env);
                } else {
                    let leader = self.known_leader(group);
                    self.turn_away(from, Why::NotLeader(leader), env);
                }
            }
        }
    }

    /// The client library asks.
    pub(super) fn on_batches(
        &mut self,
        client: usize,
        stream: u64,
        batches: Vec<Outgoing>,
        env: &mut Env,
    ) {
        for Outgoing { id, region: group, epoch, body, .. } in batches {
            let from = From { group, client, route: Route::Batch { stream, id } };
            match body {
                Body::Writes { client: session, lowest, open, commands } => {
                    let header = Header { client: session, lowest, open, epoch, wall_ms: 0 };
                    self.on_write(from, WriteBatch { header, commands }, env);
                }
                Body::Reads { reads, .. } => self.on_read(from, reads, epoch, env),
            }
        }
    }

    fn on_write(&mut self, from: From, mut batch: WriteBatch, env: &mut Env) {
        if self.is_full() {
            return self.turn_away(from, Why::Busy, env);
        }
        let group = from.group;
        let cell = self.running().descriptors.get(group).filter(|cell| !is_blank(cell));
        let region = cell.map(|cell| cell.region());
        if let Err(error) = propose::check(region.as_deref(), &batch) {
            let why = match error {
                ProposeError::EpochNotMatch { current }
                | ProposeError::KeyNotInRegion { current } => Why::EpochNotMatch(current),
                ProposeError::RegionNotFound => Why::NotLeader(None),
                error => Why::Invalid(error.to_string()),
            };
            return self.turn_away(from, why, env);
        }
        batch.header.wall_ms = self.clock.wall_ms(env.now);
        let what = Asked::Write {
            commands: batch.commands.len(),
            is_blind: batch.commands.iter().all(|(_, command)| is_blind(command)),
        };
        let token = self.running().add_caller(from.asking(what, env.now));
        let payload = command::to_bytes(&batch);
        let event = Event::Propose { group, payload, token, expected_term: None };
        self.tell_shard([event], env);
    }

    fn on_read(&mut self, from: From, reads: Vec<Read>, epoch: Epoch, env: &mut Env) {
        if self.is_full() {
            return self.turn_away(from, Why::Busy, env);
        }
        let group = from.group;
        if env.options.is_mutant(Outside::ReadUnconfirmed) {
            let told = self.read(group, reads, epoch, env);
            return self.answer(&from.asking(Asked::Nothing, env.now), told, env);
        }
        let committed = env.safety.committed(group);
        let token =
            self.running().add_caller(from.asking(Asked::Read(reads, epoch, committed), env.now));
        let by_lease = self.rng.chance(env.options.workload.lease_reads);
        let mode = if by_lease { ReadMode::Lease } else { ReadMode::Index };
        self.tell_shard([Event::Read { group, token, mode }], env);
    }

    fn turn_away(&mut self, from: From, why: Why, env: &mut Env) {
        self.answer(&from.asking(Asked::Nothing, env.now), Told::Not(why), env);
    }

    fn is_full(&mut self) -> bool {
        self.running().callers.len() >= CALLERS_MAX
    }

    /// The state machine answered a write.
    pub(super) fn on_reply(&mut self, token: Token, reply: Bytes, env: &mut Env) {
        let Some(caller) = self.running().callers.remove(&token) else { return };
        let told = match kontiki_codec::outcome::from_bytes(reply) {
            Ok(outcomes) => {
                mark_refusals(&outcomes, env);
                Told::Outcomes(outcomes)
            }
            Err(error) => Told::Not(Why::Invalid(format!("reply: {error}"))),
        };
        self.answer(&caller, told, env);
    }

    /// A caller may read now.
    pub(super) fn serve_read(&mut self, token: Token, env: &mut Env) {
        let Some(mut caller) = self.running().callers.remove(&token) else { return };
        let what = std::mem::replace(&mut caller.what, Asked::Nothing);
        let Asked::Read(reads, epoch, committed) = what else { return };
        self.judge_read(caller.group, committed, env);
        if !self.leads(caller.group) {
            env.marks.hit(Mark::FollowerRead);
        }
        let told = self.read(caller.group, reads, epoch, env);
        self.answer(&caller, told, env);
    }

    /// A confirmed read sees everything that was committed when it was asked for, by whichever
    /// leader: an old one must have found out that it leads no more.
    fn judge_read(&mut self, group: RegionId, committed: Index, env: &mut Env) {
        let applied = self.running().descriptors.get(group).map(|cell| cell.applied());
        if let Some(applied) = applied.filter(|&applied| applied < committed) {
            let what = format!(
                "{} serves a read of {group} at {applied}, asked when {committed} was committed",
                self.id
            );
            env.fail(Rule::ReadIsFresh, what);
        }
    }

    fn read(&mut self, group: RegionId, reads: Vec<Read>, epoch: Epoch, env: &mut Env) -> Told {
        let running = self.running();
        let Some(cell) = running.descriptors.get(group).filter(|cell| !is_blank(cell)) else {
            return Told::Not(Why::NotLeader(None));
        };
        let reader = RegionReader::new(&cell, running.rows.of(group).as_ref());
        match reads.into_iter().map(|read| one(&reader, epoch, read)).collect() {
            Ok(found) => Told::Found(found),
            Err(ReadError::EpochNotMatch { current } | ReadError::KeyNotInRegion { current }) => {
                Told::Not(Why::EpochNotMatch(current))
            }
            Err(ReadError::Replacing) => {
                env.marks.hit(Mark::ReadDuringReplacement);
                Told::Not(Why::ReadFailed)
            }
            Err(error) => {
                self.fatal(&format!("read: {error}"), env);
                Told::Not(Why::ReadFailed)
            }
        }
    }

    /// The state machine that a caller waits for has failed, or it rests.
    pub(super) fn disappoint(&mut self, token: Token, env: &mut Env) {
        let caller = self.running().callers.get(&token);
        let is_read = caller.is_some_and(|caller| matches!(caller.what, Asked::Read(..)));
        // A write may have taken effect: it is committed.
        let why = if is_read { Refused::ReadFailed } else { Refused::LeadershipLost };
        self.refuse(token, why, env);
    }

    /// A caller gets no reply from the state machine.
    pub(super) fn refuse(&mut self, token: Token, refused: Refused, env: &mut Env) {
        let Some(caller) = self.running().callers.remove(&token) else { return };
        let why = match refused {
            Refused::NotLeader { leader } => Why::NotLeader(leader.map(|(_, store)| store)),
            Refused::NoGroup | Refused::Quarantined | Refused::Halted | Refused::BadTarget(_) => {
                Why::NotLeader(None)
            }
            Refused::Busy
            | Refused::Transferring
            | Refused::TermMismatch { .. }
            | Refused::Change(_)
            | Refused::Reset(_) => Why::Busy,
            Refused::LeadershipLost | Refused::ChangeFailed(_) => Why::Lost,
            Refused::ReadFailed => {
                self.mark_lag(caller.group, env);
                Why::ReadFailed
            }
        };
        self.answer(&caller, Told::Not(why), env);
    }

    /// A read was refused, perhaps because this follower lacks more than it may.
    fn mark_lag(&mut self, group: RegionId, env: &mut Env) {
        let applied = self.running().descriptors.get(group).map(|cell| cell.applied());
        let most = env.options.habits.read_lag_max;
        let bound = applied.zip(most).map(|(applied, most)| applied + most);
        if !self.leads(group) && bound.is_some_and(|bound| env.safety.committed(group) > bound) {
            env.marks.hit(Mark::ReaderTooFar);
        }
    }

    /// An operator wants another leader.
    pub fn transfer_leadership(&mut self, group: RegionId, to: StoreId, env: &mut Env) {
        if self.running.is_none() {
            return;
        }
        let token = self.running().add_caller(From::nobody(group).asking(Asked::Nothing, env.now));
        self.tell_shard([Event::Transfer { group, to: Some(to), token }], env);
    }

    /// An operator wants other members.
    pub fn change_membership(&mut self, group: RegionId, change: MembershipChange, env: &mut Env) {
        if self.running.is_none() {
            return;
        }
        let token = self.running().add_caller(From::nobody(group).asking(Asked::Nothing, env.now));
        self.tell_shard([Event::Change { group, change, token }], env);
    }

    /// A read of nothing, for the sake of its confirmation.
    pub(crate) fn read_noise(&mut self, group: RegionId, mode: ReadMode, env: &mut Env) {
        let epoch = env.cluster.region(group).epoch;
        let what = Asked::Read(Vec::new(), epoch, env.safety.committed(group));
        let token = self.running().add_caller(From::nobody(group).asking(what, env.now));
        self.tell_shard([Event::Read { group, token, mode }], env);
    }

    /// An entry that means nothing, if it leads: every replica refuses it alike.
    pub(crate) fn propose_noise(&mut self, group: RegionId, env: &mut Env) {
        let token = self.running().add_caller(From::nobody(group).asking(Asked::Nothing, env.now));
        let payload = Bytes::from_static(b"noise");
        self.tell_shard([Event::Propose { group, payload, token, expected_term: None }], env);
    }

    /// The mistake of answering what is only in the own log.
    pub(super) fn reply_early(&mut self, env: &mut Env) {
        let running = self.running();
        let Running { shard, callers, .. } = running;
        let early = callers.extract_if(.., |_, caller| {
            let node = shard.node(caller.group);
            let leads = node.is_some_and(|node| node.role() == RoleKind::Leader);
            leads && matches!(caller.what, Asked::Write { is_blind: true, .. })
        });
        let early: Vec<_> = early.map(|(_, caller)| caller).collect();
        for caller in early {
            let Asked::Write { commands, .. } = caller.what else { continue };
            self.answer(&caller, Told::Outcomes(vec![Outcome::Done; commands]), env);
        }
    }

    fn known_leader(&mut self, group: RegionId) -> Option<StoreId> {
        let status = self.running().shard.status(group)?;
        status.leader.map(|(_, store)| store)
    }
}

/// One read, as the server does it.
fn one(reader: &RegionReader<'_>, epoch: Epoch, read: Read) -> Result<Found, ReadError> {
    match read {
        Read::Get(key) => reader.get(epoch, &key).map(Found::Value),
        Read::Scan(Scan { range, direction, row_limit, columns }) => {
            let direction = match direction {
                Direction::Forward => kontiki_engine::Direction::Forward,
                Direction::Reverse => kontiki_engine::Direction::Backward,
            };
            let page = reader.scan(
                epoch,
                &kontiki_store::Scan {
                    range,
                    direction,
                    rows_max: row_limit as usize,
                    bytes_max: 0,
                    keys_only: columns == Columns::Keys,
                },
            )?;
            let more = page.resume.is_some();
            let rows = page.rows.into_iter().map(|row| (row.key, row.value)).collect();
            Ok(Found::Rows { rows, more })
        }
    }
}

fn mark_refusals(outcomes: &[Outcome], env: &mut Env) {
    for outcome in outcomes {
        match outcome {
            Outcome::Refused(Refusal::RequestForgotten) => env.marks.hit(Mark::RequestForgotten),
            Outcome::Refused(Refusal::SessionUnknown) => env.marks.hit(Mark::SessionUnknown),
            _ => {}
        }
    }
}

fn is_blind(command: &Command) -> bool {
    matches!(command, Command::Put { .. } | Command::Delete { .. } | Command::Batch { .. })
}
