//! What a store does with the requests of clients: check, propose or read, answer.
//!
//! Stands where the server stands in production, and uses the same checks of `kontiki-store`.

use bytes::Bytes;
use kontiki_codec::command;
use kontiki_multiraft::{Event, Refused, Token};
use kontiki_store::{ProposeError, ReadError, RegionReader, propose};
use kontiki_types::{Command, Epoch, Outcome, StoreId, WriteBatch};

use crate::env::Env;
use crate::marks::Mark;
use crate::mutant::Mutant;
use crate::network::Address;
use crate::wire::{Answer, Ask, Packet};

use super::running::{Asked, Caller};
use super::{Machine, REGION};

/// Callers that may wait at once; more are told that the store is busy.
const CALLERS_MAX: usize = 64;

impl Machine {
    /// A client asks.
    pub(super) fn on_request(&mut self, client: usize, call: u64, ask: Ask, env: &mut Env) {
        if self.running().callers.len() >= CALLERS_MAX {
            return self.answer(client, call, Answer::Busy, env);
        }
        match ask {
            Ask::Write(batch) => self.on_write(client, call, batch, env),
            Ask::Get { key, epoch, is_follower_fine } => {
                self.on_get(client, call, key, epoch, is_follower_fine, env);
            }
        }
    }

    fn on_write(&mut self, client: usize, call: u64, mut batch: WriteBatch, env: &mut Env) {
        let region = self.running().descriptors.get(REGION).map(|cell| cell.region());
        if let Err(error) = propose::check(region.as_deref(), &batch) {
            let answer = match error {
                ProposeError::EpochNotMatch { current } => Answer::EpochNotMatch(current),
                error => Answer::Invalid(error.to_string()),
            };
            return self.answer(client, call, answer, env);
        }
        batch.header.wall_ms = self.clock.wall_ms(env.now);
        let what = Asked::Write {
            commands: batch.commands.len(),
            is_blind: batch.commands.iter().all(|(_, command)| is_blind(command)),
        };
        let token = self.running().add_caller(Caller { client, call, what });
        let payload = command::to_bytes(&batch);
        let event = Event::Propose { group: REGION, payload, token, expected_term: None };
        self.tell_shard([event], env);
    }

    fn on_get(
        &mut self,
        client: usize,
        call: u64,
        key: Bytes,
        epoch: Epoch,
        is_follower_fine: bool,
        env: &mut Env,
    ) {
        if env.options.is_mutant(Mutant::ReadUnconfirmed) && (self.leads() || is_follower_fine) {
            let answer = self.read(&key, epoch, env);
            return self.answer(client, call, answer, env);
        }
        if !is_follower_fine && !self.leads() {
            let leader = self.known_leader();
            return self.answer(client, call, Answer::NotLeader(leader), env);
        }
        let what = Asked::Get(key, epoch);
        let token = self.running().add_caller(Caller { client, call, what });
        self.tell_shard([Event::Read { group: REGION, token }], env);
    }

    /// The state machine answered a write.
    pub(super) fn reply(&mut self, token: Token, reply: Bytes, env: &mut Env) {
        let Some(caller) = self.running().callers.remove(&token) else { return };
        let answer = match kontiki_codec::outcome::from_bytes(reply) {
            Ok(outcomes) => Answer::Outcomes(outcomes),
            Err(error) => Answer::Invalid(format!("reply: {error}")),
        };
        self.answer(caller.client, caller.call, answer, env);
    }

    /// A caller may read now.
    pub(super) fn serve_read(&mut self, token: Token, env: &mut Env) {
        let leads = self.leads();
        let Some(caller) = self.running().callers.remove(&token) else { return };
        let Asked::Get(key, epoch) = caller.what else { return };
        if !leads {
            env.marks.hit(Mark::FollowerRead);
        }
        let answer = self.read(&key, epoch, env);
        self.answer(caller.client, caller.call, answer, env);
    }

    fn read(&mut self, key: &Bytes, epoch: Epoch, env: &mut Env) -> Answer {
        let running = self.running();
        let Some(cell) = running.descriptors.get(REGION) else { return Answer::NotLeader(None) };
        match RegionReader::new(&cell, running.engine.as_ref()).get(epoch, key) {
            Ok(value) => Answer::Value(value),
            Err(ReadError::EpochNotMatch { current } | ReadError::KeyNotInRegion { current }) => {
                Answer::EpochNotMatch(current)
            }
            Err(ReadError::Replacing) => {
                env.marks.hit(Mark::ReadDuringReplacement);
                Answer::ReadFailed
            }
            Err(error) => {
                self.fatal(&format!("read: {error}"), env);
                Answer::ReadFailed
            }
        }
    }

    /// A caller gets no reply from the state machine.
    pub(super) fn refuse(&mut self, token: Token, refused: Refused, env: &mut Env) {
        let leads = self.leads();
        let Some(caller) = self.running().callers.remove(&token) else { return };
        let answer = match refused {
            Refused::NotLeader { leader } => Answer::NotLeader(leader.map(|(_, store)| store)),
            Refused::NoGroup => Answer::NotLeader(None),
            Refused::Busy | Refused::Transferring | Refused::TermMismatch { .. } => Answer::Busy,
            Refused::LeadershipLost => Answer::Lost,
            Refused::ReadFailed => {
                if leads {
                    env.marks.hit(Mark::ReadRefusedByOldLeader);
                }
                Answer::ReadFailed
            }
            Refused::BadTarget => return,
        };
        if !matches!(caller.what, Asked::Transfer) {
            self.answer(caller.client, caller.call, answer, env);
        }
    }

    /// An operator wants another leader.
    pub fn transfer_leadership(&mut self, to: StoreId, env: &mut Env) {
        if self.running.is_none() {
            return;
        }
        let caller = Caller { client: 0, call: 0, what: Asked::Transfer };
        let token = self.running().add_caller(caller);
        self.tell_shard([Event::Transfer { group: REGION, to, token }], env);
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
        for Caller { client, call, what } in early {
            let Asked::Write { commands, .. } = what else { continue };
            self.answer(client, call, Answer::Outcomes(vec![Outcome::Done; commands]), env);
        }
    }

    fn known_leader(&mut self) -> Option<StoreId> {
        let status = self.running().shard.status(REGION)?;
        status.leader.map(|(_, store)| store)
    }

    fn answer(&mut self, client: usize, call: u64, answer: Answer, env: &mut Env) {
        if self.running.is_some() {
            let packet = Packet::Reply { call, answer };
            env.send(self.address(), Address::Client(client), packet);
        }
    }
}

fn is_blind(command: &Command) -> bool {
    matches!(command, Command::Put { .. } | Command::Delete { .. } | Command::Batch { .. })
}
