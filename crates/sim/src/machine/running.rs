//! The product inside a machine with power: everything here is lost when the power goes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use kontiki_client::ask::Read;
use kontiki_codec::crc;
use kontiki_codec::keys::user;
use kontiki_engine::{Direction, Family, Range, Read as _};
use kontiki_multiraft::{Applier, ApplyTask, Effects, Event, Round, Shard, Token};
use kontiki_raft::invariants::Observed;
use kontiki_store::Descriptors;
use kontiki_types::{Epoch, Index, KeyRange, Moment, RegionId, Term};

use super::fuse::FusedEngine;
use super::memory::Rows;
use super::streams::Streams;
use super::writer::Writer;

/// The product and what its threads would hold.
pub(super) struct Running {
    pub(super) shard: Shard,
    pub(super) effects: Effects,
    /// Events that wait for the next turn.
    pub(super) inbox: Vec<Event>,
    pub(super) is_turn_planned: bool,
    /// The next planned look at deadlines.
    pub(super) timer_at: Option<Moment>,
    pub(super) writer: Writer,
    pub(super) applier: Applier,
    /// Tasks that wait for the apply worker.
    pub(super) tasks: VecDeque<ApplyTask>,
    pub(super) is_apply_planned: bool,
    pub(super) round: Round,
    pub(super) rows: Rows,
    pub(super) is_engine_synced_early: bool,
    pub(super) descriptors: Arc<Descriptors>,
    /// Clients that wait, by token.
    pub(super) callers: BTreeMap<Token, Caller>,
    pub(super) next_token: u64,
    pub(super) streams: Streams,
    /// Groups that applied something since rows were last hashed.
    pub(super) applied: BTreeSet<RegionId>,
    /// The newest state of each group that was hashed by itself and compared.
    pub(super) compared: BTreeMap<RegionId, Index>,
    /// The last index at which the rows of each group were hashed.
    pub(super) hashed_at: BTreeMap<RegionId, Index>,
    /// When each replica last took in a word of its leader, by its own clock, and in which term.
    pub(super) heard: BTreeMap<RegionId, (Term, Moment)>,
    /// How each node stood after its last turn.
    pub(super) observed: BTreeMap<RegionId, Observed>,
    /// Groups whose replica here sleeps.
    pub(super) asleep: BTreeSet<RegionId>,
    /// Groups whose replica here has halted and is to come back.
    pub(super) resting: BTreeSet<RegionId>,
    /// Turns of nodes so far.
    pub(super) turns: u64,
}

/// A client that waits.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) group: RegionId,
    pub(super) client: usize,
    pub(super) route: Route,
    pub(super) what: Asked,
    /// Since when.
    pub(super) since: Moment,
}

/// How its answer finds back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route {
    /// A call of the simulator's own client.
    Call(u64),
    /// A batch on a stream of the client library.
    Batch {
        /// Which stream.
        stream: u64,
        /// Which batch.
        id: u64,
    },
    /// The operator of the simulation does not wait.
    Nobody,
}

/// What it waits for.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// The outcomes of commands.
    Write {
        /// How many.
        commands: usize,
        /// All of them are answered by "done" when they are.
        is_blind: bool,
    },
    /// These keys and ranges, routed by this epoch; and what was committed, anywhere, when they
    /// were asked for.
    Read(Vec<Read>, Epoch, Index),
    /// No answer: it gets one at once, or wants none.
    Nothing,
}

impl Running {
    /// Remembers a caller under a token never used before in this life.
    pub(super) fn add_caller(&mut self, caller: Caller) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.callers.insert(token, caller);
        token
    }

    /// Whether clients wait for writes of this group here.
    pub(super) fn has_writers(&self, group: RegionId) -> bool {
        let is_write = |caller: &Caller| matches!(caller.what, Asked::Write { .. });
        self.callers.values().any(|caller| caller.group == group && is_write(caller))
    }

    /// A replica goes, or begins again: what was seen of it says nothing about the next.
    pub(super) fn forget_seen(&mut self, group: RegionId) {
        self.observed.remove(&group);
        self.compared.remove(&group);
        self.hashed_at.remove(&group);
        self.applied.remove(&group);
    }

    /// How far a region has applied, and a hash of its rows.
    pub(super) fn state(&self, group: RegionId) -> Option<(Index, u64)> {
        let cell = self.descriptors.get(group)?;
        let region = cell.region();
        let KeyRange { start, end } = user::region_rows(&region.range);
        Some((cell.applied(), hash_rows(self.rows.of(group), &Range { start, end })))
    }
}

/// A hash of the rows in a range.
fn hash_rows(engine: &FusedEngine, range: &Range) -> u64 {
    let mut hash = 0;
    let mut mix = |bytes: &[u8]| {
        let crc = u64::from(crc::salted(hash, bytes));
        hash = (hash ^ crc).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(29);
    };
    let scanned = engine.scan(Family::Default, range, Direction::Forward, &mut |key, value| {
        mix(key);
        mix(value);
        ControlFlow::Continue(())
    });
    scanned.expect("the engine of a running machine can be read");
    hash
}
