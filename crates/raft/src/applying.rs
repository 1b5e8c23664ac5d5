//! How far the log is committed, handed out and applied, and the snapshot being installed.
//!
//! Entries are handed out once, in order, when they are committed **and** durable here: a crash
//! can then never leave a state machine ahead of its log (raft-rs#537). An install excludes apply
//! from the moment the notice leaves until its end (openraft eed681d5).

use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{Entry, Index, PeerId, SnapshotMeta, Term};

use crate::log::Log;

/// A snapshot that has arrived and takes the place of the log.
#[derive(Debug)]
pub(crate) struct Install {
    pub(crate) meta: SnapshotMeta,
    /// Who sent it, in which term and under which progress: the acknowledgement echoes it.
    pub(crate) from: PeerId,
    pub(crate) term: Term,
    pub(crate) session: u64,
    /// The notice left; before that, entries handed out are still being applied.
    pub(crate) started: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Applying {
    commit: Index,
    handed_out: Index,
    applied: Index,
    /// Boxed: it is rare, and what is around it is looked at all the time.
    pub(crate) install: Option<Box<Install>>,
    /// Entries that came back from the disk, the next to be handed out.
    fetched: Vec<Entry>,
}

impl Applying {
    /// After a start: everything applied was committed.
    pub(crate) fn new(commit: Index, applied: Index) -> Self {
        assert!(applied <= commit, "applied {applied} beyond commit {commit}");
        Self { commit, handed_out: applied, applied, install: None, fetched: Vec::new() }
    }

    /// Everything up to here is committed.
    pub(crate) fn commit(&self) -> Index {
        self.commit
    }

    /// The state machine reported everything up to here.
    pub(crate) fn applied(&self) -> Index {
        self.applied
    }

    /// Everything up to here was handed to the state machine.
    pub(crate) fn handed_out(&self) -> Index {
        self.handed_out
    }

    /// Returns the commit index before, when it moved.
    pub(crate) fn commit_to(&mut self, index: Index, log: &Log) -> Option<Index> {
        assert!(index <= log.last().index, "commit {index} beyond the log {}", log.last());
        let before = self.commit;
        (index > before).then(|| {
            self.commit = index;
            before
        })
    }

    /// Everything up to here may be applied.
    fn ready(&self, log: &Log) -> Index {
        if mutants::is_on(Mutant::ApplyUncommitted) {
            return log.durable();
        }
        self.commit.min(log.durable())
    }

    /// Something may be due: entries to hand out, or an install to begin.
    pub(crate) fn wants_round(&self, log: &Log) -> bool {
        self.install.is_some() || !self.fetched.is_empty() || self.ready(log) > self.handed_out
    }

    /// Hand out what is due, within `bytes_max` of entries not yet reported applied.
    pub(crate) fn hand_out(&mut self, log: &Log, bytes_max: usize, out: &mut Vec<Entry>) {
        let ready = self.ready(log);
        if self.install.is_some() {
            self.fetched.clear();
            return;
        }
        if let Some(last) = self.fetched.last() {
            self.handed_out = last.position.index;
            out.append(&mut self.fetched);
        }
        if ready <= self.handed_out || self.handed_out < log.evicted() {
            return;
        }
        let outstanding = log.bytes_between(self.applied, self.handed_out);
        let room = (bytes_max as u64).saturating_sub(outstanding);
        let next = log.bytes_between(self.handed_out, self.handed_out.next());
        // One entry may always go, however large, but only alone.
        if outstanding > 0 && next > room {
            return;
        }
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        self.handed_out = log.copy_range(self.handed_out, ready, room, out);
    }

    /// Entries after `after` came back from the disk; kept for the next round if they are the next.
    pub(crate) fn on_fetched(&mut self, after: Index, entries: Vec<Entry>) {
        if self.install.is_none() && after == self.handed_out && self.fetched.is_empty() {
            self.fetched = entries;
        }
    }

    /// What must come back from the disk before more can be handed out, and how many bytes of it.
    pub(crate) fn wants(&self, log: &Log, bytes_max: usize) -> Option<(Index, Index, usize)> {
        let ready = self.commit.min(log.durable()).min(log.evicted());
        if self.install.is_some() || ready <= self.handed_out {
            return None;
        }
        let outstanding = log.bytes_between(self.applied, self.handed_out);
        let room = (bytes_max as u64).saturating_sub(outstanding);
        let idle = outstanding == 0 || room > 0;
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        idle.then_some((self.handed_out, ready, room))
    }

    /// The state machine holds everything up to `index`.
    pub(crate) fn on_applied(&mut self, index: Index) {
        assert!(index <= self.handed_out, "applied {index}, handed out {}", self.handed_out);
        self.applied = self.applied.max(index);
    }

    /// The snapshot whose install may begin now, if any.
    pub(crate) fn start_install(&mut self) -> Option<SnapshotMeta> {
        let idle = self.applied == self.handed_out;
        let install = self.install.as_mut().filter(|install| idle && !install.started)?;
        install.started = true;
        Some(install.meta.clone())
    }

    /// The state machine stands at a snapshot.
    pub(crate) fn on_installed(&mut self, index: Index) {
        assert!(index > self.handed_out, "installed {index}, handed out {}", self.handed_out);
        self.handed_out = index;
        self.applied = index;
        self.commit = self.commit.max(index);
    }
}
