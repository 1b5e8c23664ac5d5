//! A library replica as the pure crates know a state machine: the other side of [`Replica`].

use std::sync::Arc;

use bytes::Bytes;
use kontiki_multiraft::{Committed, Error, SnapshotSource, StateMachine, Token};
use kontiki_raft::{Cause, Contradiction};
use kontiki_types::{PeerId, SnapshotMeta, StoreId, Term};

use super::replica::Replica;
use super::snapshot::stream::{self, FileSource, Make};

/// See the module. Owned by an apply worker.
pub(crate) struct Adapter(pub(crate) Arc<Replica>);

impl StateMachine for Adapter {
    /// Replies are given by the state machine itself, to the completions it finds in the entries.
    fn apply(
        &mut self,
        entries: &[Committed],
        _replies: &mut Vec<(Token, Bytes)>,
    ) -> Result<(), Error> {
        self.0.apply(entries).map_err(Error::Failed)
    }

    fn snapshot(&mut self) -> Result<Box<dyn SnapshotSource>, Error> {
        let throttle = self.0.shared.throttle.clone();
        if let Some(stored) = self.0.files.newest() {
            return Ok(Box::new(FileSource::stored(&stored, throttle)?));
        }
        let replica = Arc::clone(&self.0);
        let make: Make = Box::new(move || replica.save().map_err(|error| error.to_string()));
        Ok(Box::new(FileSource::unmade(make, throttle)))
    }

    fn install(
        &mut self,
        meta: &SnapshotMeta,
        _spool: u64,
        chunks: &mut dyn Iterator<Item = Result<Bytes, Error>>,
    ) -> Result<(), Error> {
        let stored = stream::receive(&self.0.files, meta, chunks)?;
        if stored.manifest.meta != *meta {
            return Err(Error::Snapshot("a newer one is here already".to_owned()));
        }
        self.0.install(&stored).map_err(Error::Failed)
    }

    fn save_soon(&mut self) {
        self.0.save_soon();
    }

    fn on_contradiction(&mut self, what: &Contradiction) -> Result<(), Error> {
        Err(Error::Failed(self.0.contradicted(what)))
    }

    fn on_leader_start(&mut self, term: Term) {
        self.0.leading(term, None);
    }

    fn on_leader_stop(&mut self, term: Term, why: Cause) {
        self.0.leading(term, Some(why));
    }

    fn on_leader_changed(&mut self, term: Term, leader: Option<(PeerId, StoreId)>, why: Cause) {
        self.0.leader_changed(term, leader, why);
    }
}
