//! What is on its way to the disk, and which operation a message must wait for.
//!
//! Term, vote and entries share one queue of operations, so an entry of term 5 can never be on
//! disk before term 5 is. At most one operation is built a round ([`Durability::build`]); until
//! then its number is known, so that messages made during the round can name it.

use std::collections::VecDeque;

use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{HardState, Index};

use crate::log::{Log, LogMark};
use crate::{Seq, StoreOp, StoredSnapshot};

/// An operation handed out and not yet durable.
#[derive(Debug)]
struct Pending {
    seq: Seq,
    /// Which entries it vouches for; nothing when it holds none.
    mark: Option<LogMark>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Durability {
    /// Number of the newest operation handed out.
    newest: Seq,
    /// All operations up to here are durable.
    persisted: Seq,
    /// The newest operation that changed term or vote.
    ballot: Seq,
    /// Term or vote changed since the last operation was built.
    ballot_changed: bool,
    /// The log was restarted by a snapshot since the last operation was built.
    snapshot: Option<Box<StoredSnapshot>>,
    /// The commit hint last handed out.
    hinted: Index,
    pending: VecDeque<Pending>,
}

impl Durability {
    /// Nothing under way; the disk knows this commit hint.
    pub(crate) fn new(hinted: Index) -> Self {
        Self { hinted, ..Self::default() }
    }

    /// Term or vote changed.
    pub(crate) fn on_ballot_changed(&mut self) {
        self.ballot_changed = true;
    }

    /// The log restarts at a snapshot.
    pub(crate) fn on_snapshot(&mut self, snapshot: StoredSnapshot) {
        self.snapshot = Some(Box::new(snapshot));
    }

    /// What a message must wait for that speaks in the current term but claims nothing of the log.
    pub(crate) fn gate_of_ballot(&self) -> Seq {
        let gate = if self.ballot_changed { self.upcoming() } else { self.ballot };
        if gate <= self.persisted { Seq(0) } else { gate }
    }

    /// What a message must wait for that claims the entries up to `index` to be durable here.
    pub(crate) fn gate_of_index(&self, log: &Log, index: Index) -> Seq {
        self.gate_of_ballot().max(self.gate_of_entries(log, index))
    }

    fn gate_of_entries(&self, log: &Log, index: Index) -> Seq {
        if mutants::is_on(Mutant::AckBeforeSync) {
            return Seq(0);
        }
        if self.snapshot.is_some() || index > log.handed() {
            return self.upcoming();
        }
        if index <= log.durable() {
            return Seq(0);
        }
        let covers = |mark: LogMark| log.is_current(mark) && mark.index >= index;
        let under_way = self.pending.iter().find(|op| op.mark.is_some_and(covers));
        // Written under an older leader term only: the operation that begins the new one, not
        // built yet, vouches for all before it.
        let begins = log.last().index > log.handed();
        under_way.map(|op| op.seq).or(begins.then(|| self.upcoming())).unwrap_or_else(|| {
            panic!("entry {index} was handed out, is not durable, and nothing is under way")
        })
    }

    /// True when the current term and vote are durable.
    pub(crate) fn is_ballot_durable(&self) -> bool {
        self.gate_of_ballot() == Seq(0)
    }

    /// This round's changes need an operation.
    pub(crate) fn wants_build(&self, log: &Log) -> bool {
        log.last().index > log.handed() || self.ballot_changed || self.snapshot.is_some()
    }

    /// The operation that this round's changes need, if any. A commit hint alone is not worth one:
    /// after a crash the next leader tells it.
    pub(crate) fn build(&mut self, log: &mut Log, hard_state: HardState) -> Option<StoreOp> {
        if !self.wants_build(log) {
            return None;
        }
        let has_entries = log.last().index > log.handed();
        self.newest = self.upcoming();
        let mut entries = Vec::new();
        log.copy_range(log.handed(), log.last().index, usize::MAX, &mut entries);
        log.set_handed();
        let mark = (has_entries || self.snapshot.is_some()).then(|| log.mark());
        self.pending.push_back(Pending { seq: self.newest, mark });
        if self.ballot_changed {
            self.ballot = self.newest;
        }
        let tell = self.ballot_changed || hard_state.commit > self.hinted;
        self.ballot_changed = false;
        self.hinted = hard_state.commit;
        Some(StoreOp {
            seq: self.newest,
            snapshot: self.snapshot.take().map(|snapshot| *snapshot),
            entries,
            hard_state: tell.then_some(hard_state),
            lazy: false,
        })
    }

    /// Give back memory kept for the next time.
    pub(crate) fn shrink(&mut self) {
        self.pending.shrink_to_fit();
    }

    /// All operations up to `seq` are durable.
    ///
    /// # Panics
    /// When that operation was never handed out.
    pub(crate) fn on_persisted(&mut self, seq: Seq, log: &mut Log) {
        assert!(seq <= self.newest, "{seq:?} is durable, but {:?} is the newest", self.newest);
        self.persisted = self.persisted.max(seq);
        while self.pending.front().is_some_and(|op| op.seq <= seq) {
            let op = self.pending.pop_front().expect("front was seen");
            if let Some(mark) = op.mark {
                log.on_durable(mark);
            }
        }
    }

    /// The number the next operation will have.
    fn upcoming(&self) -> Seq {
        Seq(self.newest.0 + 1)
    }
}
