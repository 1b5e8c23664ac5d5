//! A store with one region on a simulated disk: what applies, crashes, and comes back.

use std::sync::Arc;

use bytes::Bytes;
use kontiki_engine::{Direction, Engine, Family, Fault, FaultyEngine, Range, Read, SimDisk};
use kontiki_multiraft::{Committed, CommittedKind, Error, StateMachine, Token};
use kontiki_types::{Index, Outcome};

use crate::session::load;
use crate::tests::builders::{IDENT, joined, peers};
use crate::{Background, Inline, PendingInstall, RegionReader, Replica, Tuning, bootstrap, open};

pub(super) struct Node {
    disk: SimDisk,
    pub(super) engine: Arc<FaultyEngine>,
    pub(super) replica: Replica,
    pub(super) pending_install: Option<PendingInstall>,
    tuning: Tuning,
    /// Entries up to here were applied once, so nobody can wait for them any more.
    seen: Index,
}

impl Node {
    /// A new store with the first region of three.
    pub(super) fn new(tuning: Tuning) -> Self {
        let disk = SimDisk::new();
        bootstrap::bootstrap(&disk.open(), IDENT, &[bootstrap::first_region(peers(3))]).unwrap();
        let (engine, replica, pending_install) = opened(&disk, tuning);
        Self { disk, engine, replica, pending_install, tuning, seen: Index(0) }
    }

    /// A clean restart.
    pub(super) fn reopen(&mut self) {
        self.disk.crash(usize::MAX);
        (self.engine, self.replica, self.pending_install) = opened(&self.disk, self.tuning);
    }

    /// Power loss; only the first `keep` engine batches after the last sync survive.
    pub(super) fn crash(&mut self, keep: usize) {
        self.disk.crash(keep);
        self.reopen();
    }

    pub(super) fn unsynced_count(&self) -> usize {
        self.disk.unsynced_count()
    }

    pub(super) fn fail_write(&self, after: u64) {
        self.engine.arm(Fault::Write { after });
    }

    /// Applies the next entries of a log in one call, with someone waiting for each payload that
    /// was not applied before a crash. Answers the outcomes they got.
    pub(super) fn apply(
        &mut self,
        log: &[Committed],
        count: usize,
    ) -> Result<Vec<(Index, Vec<Outcome>)>, Error> {
        let from = usize::try_from(self.replica.applied().index.0).unwrap();
        let mut entries: Vec<Committed> = log.iter().skip(from).take(count).cloned().collect();
        let mut asked = Vec::new();
        for entry in entries.iter_mut().filter(|entry| entry.position.index > self.seen) {
            let CommittedKind::Normal(payloads) = &mut entry.kind else { continue };
            let tokens = (asked.len()..).map(|n| Token(n as u64)).take(payloads.iter().count());
            let tokens: Vec<_> = tokens.collect();
            asked.extend(tokens.iter().map(|_| entry.position.index));
            *payloads = joined(payloads.iter().map(|payload| payload.to_bytes()), tokens);
        }
        self.seen = entries.last().map_or(self.seen, |last| self.seen.max(last.position.index));
        let mut replies = Vec::new();
        let result = self.replica.apply(&entries, &mut replies);
        assert!(result.is_ok() || replies.is_empty(), "an answer before the batch was written");
        result?;
        assert_eq!(replies.len(), asked.len(), "everyone gets one answer");
        self.check();
        Ok(replies
            .into_iter()
            .map(|(token, reply)| {
                let index = asked[usize::try_from(token.0).unwrap()];
                (index, kontiki_codec::outcome::from_bytes(reply).unwrap())
            })
            .collect())
    }

    /// What the engine holds is what the replica believes.
    pub(super) fn check(&self) {
        let loaded = load::load(&*self.engine, self.replica.id()).unwrap();
        assert_eq!(loaded.state.position, self.replica.applied());
        assert_eq!(loaded.region.as_ref(), Some(self.replica.region()));
        let ours: Vec<_> = self.replica.sessions.iter().collect();
        let theirs: Vec<_> = loaded.sessions.iter().collect();
        assert_eq!(theirs, ours, "sessions in the engine, and in memory");
        assert_eq!(loaded.sessions.time(), self.replica.sessions.time());
        assert!(!self.replica.cell().is_replacing(), "readers locked out for ever");
    }

    pub(super) fn snapshot(&mut self) -> Vec<Bytes> {
        let mut source = self.replica.snapshot().unwrap();
        let mut chunks = Vec::new();
        while let Some(chunk) = source.next_chunk().unwrap() {
            chunks.push(chunk);
        }
        chunks
    }

    /// Rows of the default family with the user's keys and values.
    pub(super) fn data(&self) -> Vec<(Bytes, Bytes)> {
        self.rows(Family::Default)
            .into_iter()
            .map(|(key, row)| (key, kontiki_codec::value::from_bytes(row).unwrap().data))
            .collect()
    }

    pub(super) fn rows(&self, family: Family) -> Vec<(Bytes, Bytes)> {
        let mut rows = Vec::new();
        self.engine
            .scan(family, &Range::all(), Direction::Forward, &mut |key, row| {
                rows.push((key.clone(), row.clone()));
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        rows
    }

    pub(super) fn hash(&self) -> u64 {
        crate::state_hash::compute(&*self.engine, self.replica.region()).unwrap()
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(RegionReader<'_>) -> T) -> T {
        read(RegionReader::new(&self.replica.cell, &*self.engine))
    }
}

fn opened(disk: &SimDisk, tuning: Tuning) -> (Arc<FaultyEngine>, Replica, Option<PendingInstall>) {
    let engine = Arc::new(FaultyEngine::new(Arc::new(disk.open())));
    let background: Arc<dyn Background> = Arc::new(Inline);
    let as_dyn: Arc<dyn Engine> = engine.clone();
    let mut opened = open::open(&as_dyn, IDENT, &background, tuning).unwrap();
    let replica = opened.replicas.pop().unwrap();
    assert!(opened.replicas.is_empty());
    (engine, replica, opened.pending_installs.pop())
}
