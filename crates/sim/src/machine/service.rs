//! What a store does with the requests of clients: check, propose or read, answer.
//!
//! Stands where the server stands in production, and uses the same checks of `kontiki-store`. The
//! two kinds of clients differ only in the form of the answer, see [`super::reply`].

use bytes::Bytes;
use kontiki_client::ask::{Body, Outgoing, Read};
use kontiki_codec::command;
use kontiki_multiraft::{Event, Refused, Token};
use kontiki_store::{ProposeError, ReadError, RegionReader, propose};
use kontiki_types::{Command, Epoch, Header, Outcome, ReadMode, Refusal, StoreId, WriteBatch};

use crate::env::Env;
use crate::marks::Mark;
use crate::mutant::Mutant;
use crate::wire::Ask;

use super::reply::{Told, Why};
use super::running::{Asked, Caller, Route};
use super::{Machine, REGION};

/// Callers that may wait at once; more are told that the store is busy.
const CALLERS_MAX: usize = 64;

impl Machine {
    /// A client of the simulator's own asks.
    pub(super) fn on_request(&mut self, client: usize, call: u64, ask: Ask, env: &mut Env) {
        let route = Route::Call(call);
        match ask {
            Ask::Write(batch) => self.on_write(client, route, batch, env),
            Ask::Get { key, epoch, is_follower_fine } => {
                if is_follower_fine || self.leads() {
                    self.on_get(client, route, vec![key], epoch, env);
                } else {
                    let leader = self.known_leader();
                    self.answer(client, route, Told::Not(Why::NotLeader(leader)), env);
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
        for Outgoing { id, epoch, body, .. } in batches {
            let route = Route::Batch { stream, id };
            match body {
                Body::Writes { client: session, lowest, open, commands } => {
                    let header = Header { client: session, lowest, open, epoch, wall_ms: 0 };
                    self.on_write(client, route, WriteBatch { header, commands }, env);
                }
                Body::Reads { reads, .. } => {
                    let keys = reads.into_iter().filter_map(|read| match read {
                        Read::Get(key) => Some(key),
                        Read::Scan(_) => None,
                    });
                    self.on_get(client, route, keys.collect(), epoch, env);
                }
            }
        }
    }

    fn on_write(&mut self, client: usize, route: Route, mut batch: WriteBatch, env: &mut Env) {
        if self.is_full() {
            return self.answer(client, route, Told::Not(Why::Busy), env);
        }
        let region = self.running().descriptors.get(REGION).map(|cell| cell.region());
        if let Err(error) = propose::check(region.as_deref(), &batch) {
            let why = match error {
                ProposeError::EpochNotMatch { current }
                | ProposeError::KeyNotInRegion { current } => Why::EpochNotMatch(current),
                error => Why::Invalid(error.to_string()),
            };
            return self.answer(client, route, Told::Not(why), env);
        }
        batch.header.wall_ms = self.clock.wall_ms(env.now);
        let what = Asked::Write {
            commands: batch.commands.len(),
            is_blind: batch.commands.iter().all(|(_, command)| is_blind(command)),
        };
        let token = self.running().add_caller(Caller { client, route, what });
        let payload = command::to_bytes(&batch);
        let event = Event::Propose { group: REGION, payload, token, expected_term: None };
        self.tell_shard([event], env);
    }

    fn on_get(
        &mut self,
        client: usize,
        route: Route,
        keys: Vec<Bytes>,
        epoch: Epoch,
        env: &mut Env,
    ) {
        if self.is_full() {
            return self.answer(client, route, Told::Not(Why::Busy), env);
        }
        if env.options.is_mutant(Mutant::ReadUnconfirmed) {
            let told = self.read(&keys, epoch, env);
            return self.answer(client, route, told, env);
        }
        let what = Asked::Get(keys, epoch);
        let token = self.running().add_caller(Caller { client, route, what });
        self.tell_shard([Event::Read { group: REGION, token, mode: ReadMode::Index }], env);
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
        self.answer(caller.client, caller.route, told, env);
    }

    /// A caller may read now.
    pub(super) fn serve_read(&mut self, token: Token, env: &mut Env) {
        let leads = self.leads();
        let Some(caller) = self.running().callers.remove(&token) else { return };
        let Asked::Get(keys, epoch) = caller.what else { return };
        if !leads {
            env.marks.hit(Mark::FollowerRead);
        }
        let told = self.read(&keys, epoch, env);
        self.answer(caller.client, caller.route, told, env);
    }

    fn read(&mut self, keys: &[Bytes], epoch: Epoch, env: &mut Env) -> Told {
        let running = self.running();
        let Some(cell) = running.descriptors.get(REGION) else {
            return Told::Not(Why::NotLeader(None));
        };
        let reader = RegionReader::new(&cell, running.engine.as_ref());
        match reader.multi_get(epoch, keys) {
            Ok(values) => Told::Values(values),
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

    /// A caller gets no reply from the state machine.
    pub(super) fn refuse(&mut self, token: Token, refused: Refused, env: &mut Env) {
        let Some(caller) = self.running().callers.remove(&token) else { return };
        let why = match refused {
            Refused::NotLeader { leader } => Why::NotLeader(leader.map(|(_, store)| store)),
            Refused::NoGroup | Refused::Quarantined | Refused::Halted | Refused::BadTarget => {
                Why::NotLeader(None)
            }
            Refused::Busy
            | Refused::Transferring
            | Refused::TermMismatch { .. }
            | Refused::Change(_)
            | Refused::Reset(_) => Why::Busy,
            Refused::LeadershipLost | Refused::ChangeFailed(_) => Why::Lost,
            Refused::ReadFailed => Why::ReadFailed,
        };
        self.answer(caller.client, caller.route, Told::Not(why), env);
    }

    /// An operator wants another leader.
    pub fn transfer_leadership(&mut self, to: StoreId, env: &mut Env) {
        if self.running.is_none() {
            return;
        }
        let caller = Caller { client: 0, route: Route::Nobody, what: Asked::Transfer };
        let token = self.running().add_caller(caller);
        self.tell_shard([Event::Transfer { group: REGION, to: Some(to), token }], env);
    }

    /// The mistake of answering what is only in the own log.
    pub(super) fn reply_early(&mut self, env: &mut Env) {
        if !self.leads() {
            return;
        }
        let callers = &mut self.running().callers;
        let early = callers
            .extract_if(.., |_, caller| matches!(caller.what, Asked::Write { is_blind: true, .. }));
        let early: Vec<_> = early.map(|(_, caller)| caller).collect();
        for Caller { client, route, what } in early {
            let Asked::Write { commands, .. } = what else { continue };
            self.answer(client, route, Told::Outcomes(vec![Outcome::Done; commands]), env);
        }
    }

    fn known_leader(&mut self) -> Option<StoreId> {
        let status = self.running().shard.status(REGION)?;
        status.leader.map(|(_, store)| store)
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
