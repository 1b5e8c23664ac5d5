//! Answers in the words of the two kinds of clients.
//!
//! For the client library this is what the server says in production, see its `refusal` module; for
//! the simulator's own client it is plain.

use kontiki_client::admin::{Route as RegionRoute, Routes, Store};
use kontiki_client::ask::{Answer as BatchAnswer, AnswerBody, Found, Trouble};
use kontiki_store::RegionCell;
use kontiki_types::{Outcome, Region, StoreId, Term};

use crate::env::Env;
use crate::network::Address;
use crate::wire::{Answer, Packet};

use super::Machine;
use super::boot::CLUSTER;
use super::running::{Caller, Route};

/// When a busy store may be asked again.
const RETRY_AFTER_MS: u32 = 20;

/// What a caller is told.
#[derive(Debug)]
pub(super) enum Told {
    Outcomes(Vec<Outcome>),
    Found(Vec<Found>),
    Not(Why),
}

/// Why a caller gets nothing.
#[derive(Debug)]
pub(super) enum Why {
    NotLeader(Option<StoreId>),
    Busy,
    /// The write may take effect or not.
    Lost,
    ReadFailed,
    EpochNotMatch(Vec<Region>),
    Invalid(String),
}

impl Machine {
    /// Sends an answer on its way.
    pub(super) fn answer(&mut self, caller: &Caller, told: Told, env: &mut Env) {
        let Some(running) = &self.running else { return };
        let packet = match caller.route {
            Route::Nobody => return,
            Route::Call(call) => Packet::Reply { call, answer: plain(told) },
            Route::Batch { stream, id } => {
                let term = running.shard.status(caller.group);
                let term = term.map_or(Term(0), |status| status.term);
                let body = self.body(told, term);
                Packet::Answers { stream, answers: vec![BatchAnswer { id, body }] }
            }
        };
        env.send(self.address(), Address::Client(caller.client), packet);
    }

    fn body(&self, told: Told, term: Term) -> AnswerBody {
        let trouble = match told {
            Told::Outcomes(outcomes) => {
                return AnswerBody::Outcomes(outcomes.into_iter().map(Some).collect());
            }
            Told::Found(found) => return AnswerBody::Found(found.into_iter().map(Ok).collect()),
            Told::Not(Why::NotLeader(leader)) => {
                let leader = leader.filter(|&leader| leader != self.id);
                Trouble::NotLeader { leader: leader.map(|store| (store, address(store))), term }
            }
            Told::Not(Why::ReadFailed) => Trouble::NotLeader { leader: None, term },
            Told::Not(Why::Busy) => {
                Trouble::Busy { reason: "full".to_owned(), retry_after_ms: RETRY_AFTER_MS }
            }
            Told::Not(Why::Lost) => Trouble::Unknown("leadership was lost".to_owned()),
            Told::Not(Why::EpochNotMatch(regions)) => Trouble::EpochNotMatch(regions),
            Told::Not(Why::Invalid(why)) => Trouble::Invalid(why),
        };
        AnswerBody::Failed(trouble)
    }

    /// Tells where everything is, as far as this store knows.
    pub(super) fn on_ask_routes(&mut self, client: usize, ask: u64, env: &mut Env) {
        let running = self.running();
        let regions = env.cluster.regions().iter().map(|born| {
            let cell = running.descriptors.get(born.id).filter(|cell| !is_blank(cell));
            let status = running.shard.status(born.id);
            RegionRoute {
                region: cell.map_or_else(|| born.clone(), |cell| cell.region().as_ref().clone()),
                leader: status.as_ref().and_then(|s| s.leader).map(|(_, store)| store),
                term: status.map_or(Term(0), |status| status.term),
            }
        });
        let regions = regions.collect();
        let stores = env.cluster.stores();
        let stores = stores.map(|id| Store { id, address: address(id) }).collect();
        let routes = Routes { cluster: CLUSTER, stores, regions };
        env.send(self.address(), Address::Client(client), Packet::Routes { ask, routes });
    }
}

fn plain(told: Told) -> Answer {
    match told {
        Told::Outcomes(outcomes) => Answer::Outcomes(outcomes),
        Told::Found(found) => {
            let first = found.into_iter().next();
            first.map_or_else(|| Answer::Invalid("nothing was asked".to_owned()), Answer::Found)
        }
        Told::Not(Why::NotLeader(leader)) => Answer::NotLeader(leader),
        Told::Not(Why::Busy) => Answer::Busy,
        Told::Not(Why::Lost) => Answer::Lost,
        Told::Not(Why::ReadFailed) => Answer::ReadFailed,
        Told::Not(Why::EpochNotMatch(regions)) => Answer::EpochNotMatch(regions),
        Told::Not(Why::Invalid(why)) => Answer::Invalid(why),
    }
}

fn address(store: StoreId) -> String {
    store.to_string()
}

/// A replica that awaits its first snapshot knows nothing of its region.
pub(super) fn is_blank(cell: &RegionCell) -> bool {
    cell.region().peers.is_empty()
}
