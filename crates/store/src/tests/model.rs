//! What a region should do, said as plainly as possible: commands one by one, maps, no batches.

use std::collections::BTreeMap;

use bytes::Bytes;
use kontiki_codec::session::Session;
use kontiki_multiraft::{Committed, CommittedKind};
use kontiki_types::limits::SESSION_TTL_MS;
use kontiki_types::{
    ClientId, Command, Header, Outcome, Refusal, Region, RegionTime, RequestId, WriteBatch,
};

pub(super) struct Model {
    pub(super) region: Region,
    pub(super) rows: BTreeMap<Bytes, Bytes>,
    sessions: BTreeMap<ClientId, Remembered>,
    time: RegionTime,
}

struct Remembered {
    lowest: RequestId,
    used_ms: u64,
    outcomes: BTreeMap<RequestId, Outcome>,
}

impl Model {
    pub(super) fn new(region: Region) -> Self {
        Self {
            region,
            rows: BTreeMap::new(),
            sessions: BTreeMap::new(),
            time: RegionTime::default(),
        }
    }

    /// Answers the outcomes of each payload.
    pub(super) fn apply(&mut self, entry: &Committed) -> Vec<Vec<Outcome>> {
        match &entry.kind {
            CommittedKind::Empty => Vec::new(),
            CommittedKind::Config(membership) => {
                self.region.peers = membership.peers().collect();
                self.region.epoch.conf_ver += 1;
                Vec::new()
            }
            CommittedKind::Normal(payloads) => payloads
                .iter()
                .map(|payload| match kontiki_codec::command::from_bytes(payload.to_bytes()) {
                    Ok(batch) => self.batch(batch),
                    Err(_) => vec![Outcome::Refused(Refusal::Invalid)],
                })
                .collect(),
        }
    }

    pub(super) fn sessions(&self) -> Vec<(ClientId, Session)> {
        self.sessions
            .iter()
            .map(|(&client, session)| {
                let outcomes = session.outcomes.iter().map(|(&id, o)| (id, o.clone())).collect();
                let (lowest, used_ms) = (session.lowest, session.used_ms);
                (client, Session { lowest, used_ms, outcomes })
            })
            .collect()
    }

    fn batch(&mut self, batch: WriteBatch) -> Vec<Outcome> {
        let header = batch.header;
        self.time = self.time.after(header.wall_ms);
        let lived_ms = self.time.lived_ms;
        self.sessions.retain(|_, session| session.used_ms + SESSION_TTL_MS >= lived_ms);
        if !header.open && !self.sessions.contains_key(&header.client) {
            return vec![Outcome::Refused(Refusal::SessionUnknown); batch.commands.len()];
        }
        let lowest = header.lowest;
        let new = Remembered { lowest, used_ms: lived_ms, outcomes: BTreeMap::new() };
        let session = self.sessions.entry(header.client).or_insert(new);
        session.used_ms = lived_ms;
        session.lowest = session.lowest.max(header.lowest);
        let lowest = session.lowest;
        session.outcomes.retain(|&request, _| request >= lowest);
        batch
            .commands
            .into_iter()
            .map(|(request, command)| self.once(&header, request, command))
            .collect()
    }

    fn once(&mut self, header: &Header, request: RequestId, command: Command) -> Outcome {
        let session = &self.sessions[&header.client];
        if request < session.lowest {
            return Outcome::Refused(Refusal::RequestForgotten);
        }
        if let Some(outcome) = session.outcomes.get(&request) {
            return outcome.clone();
        }
        if header.epoch != self.region.epoch {
            return Outcome::Refused(Refusal::EpochNotMatch(vec![self.region.clone()]));
        }
        let outcome = self.carry_out(command);
        let session = self.sessions.get_mut(&header.client).unwrap();
        session.outcomes.insert(request, outcome.clone());
        outcome
    }

    fn carry_out(&mut self, command: Command) -> Outcome {
        match command {
            Command::Put { key, value } => {
                self.rows.insert(key, value);
            }
            Command::Delete { key } => {
                self.rows.remove(&key);
            }
            Command::Batch { changes } => {
                for (key, value) in changes {
                    self.set(key, value);
                }
            }
            Command::DeleteRange { range } => {
                let before = self.rows.len();
                self.rows.retain(|key, _| !range.contains(key));
                return Outcome::Removed((before - self.rows.len()) as u64);
            }
            Command::PutIfAbsent { key, value } => {
                let previous = self.rows.get(&key).cloned();
                if previous.is_none() {
                    self.rows.insert(key, value);
                }
                return Outcome::Conditional { applied: previous.is_none(), previous };
            }
            Command::CompareAndPut { key, expect, update } => {
                let previous = self.rows.get(&key).cloned();
                let applied = previous == expect;
                if applied {
                    self.set(key, update);
                }
                return Outcome::Conditional { applied, previous };
            }
            Command::HashState => {}
        }
        Outcome::Done
    }

    fn set(&mut self, key: Bytes, value: Option<Bytes>) {
        match value {
            Some(value) => self.rows.insert(key, value),
            None => self.rows.remove(&key),
        };
    }
}
