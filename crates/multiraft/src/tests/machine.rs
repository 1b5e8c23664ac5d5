//! A state machine that keeps what it is told where a test can see it.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use kontiki_types::{Membership, Position, SnapshotMeta};

use crate::{Committed, CommittedKind, Error, SnapshotSource, StateMachine, Token};

/// What a machine holds, and what it was told.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) position: Position,
    pub(super) membership: Membership,
    pub(super) payloads: Vec<Bytes>,
    /// By `on_configuration_committed`.
    pub(super) told: Vec<Membership>,
    pub(super) destroyed: bool,
}

/// See the module.
#[derive(Clone)]
pub(super) struct Machine(Arc<Mutex<State>>);

impl Machine {
    pub(super) fn new(membership: Membership) -> Self {
        Self(Arc::new(Mutex::new(State { membership, ..State::default() })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with it")
    }
}

impl StateMachine for Machine {
    fn apply(
        &mut self,
        entries: &[Committed],
        replies: &mut Vec<(Token, Bytes)>,
    ) -> Result<(), Error> {
        let mut state = self.state();
        for entry in entries {
            state.position = entry.position;
            match &entry.kind {
                CommittedKind::Empty => {}
                CommittedKind::Config(membership) => state.membership = membership.clone(),
                CommittedKind::Normal(payloads) => {
                    for payload in payloads {
                        state.payloads.push(payload.to_bytes());
                        replies.extend(payload.token.map(|token| (token, payload.to_bytes())));
                    }
                }
            }
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Box<dyn SnapshotSource>, Error> {
        let state = self.state();
        let meta = SnapshotMeta { position: state.position, membership: state.membership.clone() };
        Ok(Box::new(Source { meta, chunks: state.payloads.clone() }))
    }

    fn install(
        &mut self,
        meta: &SnapshotMeta,
        _spool: u64,
        chunks: &mut dyn Iterator<Item = Result<Bytes, Error>>,
    ) -> Result<(), Error> {
        let payloads = chunks.collect::<Result<Vec<_>, _>>()?;
        let mut state = self.state();
        state.position = meta.position;
        state.membership = meta.membership.clone();
        state.payloads = payloads;
        Ok(())
    }

    fn on_configuration_committed(&mut self, membership: &Membership) {
        self.state().told.push(membership.clone());
    }

    fn destroy(&mut self) -> Result<(), Error> {
        self.state().destroyed = true;
        Ok(())
    }
}

struct Source {
    meta: SnapshotMeta,
    chunks: Vec<Bytes>,
}

impl SnapshotSource for Source {
    fn meta(&mut self) -> Result<SnapshotMeta, Error> {
        Ok(self.meta.clone())
    }

    fn next_chunk(&mut self) -> Result<Option<Bytes>, Error> {
        Ok((!self.chunks.is_empty()).then(|| self.chunks.remove(0)))
    }
}
