//! Executes apply tasks against the state machines, in order, on whatever thread the host chose.
//!
//! Pure as well: the simulator calls it at a virtual moment, the host from its apply worker. It
//! gathers what is waiting: all entries of a group in one call of its state machine, and so in one
//! engine batch.

use std::collections::BTreeMap;

use bytes::Bytes;
use kontiki_raft::Cause;
use kontiki_types::{Index, PeerId, RegionId, SnapshotMeta, StoreId, Term};

use crate::effect::ApplyTask;
use crate::event::Event;
use crate::{Committed, CommittedKind, Error, SnapshotSource, StateMachine, Token};

/// What one round of applying produced.
#[derive(Default)]
pub struct Round {
    /// Replies to callers on this node.
    pub replies: Vec<(Token, Bytes)>,
    /// Callers that may read now; the state they see includes everything they must see.
    pub reads: Vec<Token>,
    /// Callers whose state machine failed or is gone: their proposals may have taken effect.
    pub refused: Vec<Token>,
    /// Reports for the shard.
    pub events: Vec<Event>,
    /// Snapshots to stream.
    pub snapshots: Vec<OpenSnapshot>,
    /// Snapshots to install from their spools with [`Applier::install`], before the next round.
    pub installs: Vec<(RegionId, SnapshotMeta, u64)>,
    /// Spools to remove.
    pub discards: Vec<u64>,
}

/// A snapshot ready to be streamed.
pub struct OpenSnapshot {
    /// Which group.
    pub group: RegionId,
    /// This replica.
    pub from: PeerId,
    /// To whom.
    pub to: PeerId,
    /// Where the peer lives.
    pub store: StoreId,
    /// Term of the offer.
    pub term: Term,
    /// Echo in the offer.
    pub session: u64,
    /// The chunks.
    pub source: Box<dyn SnapshotSource>,
}

/// Entries of one group gathered over the tasks of a round.
#[derive(Default)]
struct Gathered {
    entries: Vec<Committed>,
    bytes: usize,
}

/// The state machines of a shard.
#[derive(Default)]
pub struct Applier {
    machines: BTreeMap<RegionId, Box<dyn StateMachine>>,
    /// Readers of the round under way; emptied by it.
    readers: Vec<(RegionId, Token)>,
}

impl Applier {
    /// No state machines yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Add the state machine of a group.
    ///
    /// # Panics
    /// When the group has one already.
    pub fn add(&mut self, group: RegionId, machine: Box<dyn StateMachine>) {
        let before = self.machines.insert(group, machine);
        assert!(before.is_none(), "{group} has a state machine already");
    }

    /// Take out the state machine of a group. Its entries are skipped and its callers refused until
    /// another is added.
    pub fn remove(&mut self, group: RegionId) {
        self.machines.remove(&group);
    }

    /// Execute these tasks, in order, into `round`. Stops short after an install: the caller
    /// installs it, then calls again with what is left in `tasks`.
    ///
    /// Reads come after all entries that were waiting with them: later state than a read asked for
    /// is state of a moment within the read, so it is linearizable still.
    ///
    /// # Errors
    /// A state machine failed. Nothing in `round` may be acknowledged; the store stops.
    pub fn run(
        &mut self,
        tasks: &mut std::collections::VecDeque<ApplyTask>,
        round: &mut Round,
    ) -> Result<(), Error> {
        let mut gathered: BTreeMap<RegionId, Gathered> = BTreeMap::new();
        while let Some(task) = tasks.pop_front() {
            match task {
                ApplyTask::Entries { group, entries, bytes } => {
                    let waiting = gathered.entry(group).or_default();
                    waiting.bytes += bytes;
                    if waiting.entries.is_empty() {
                        waiting.entries = entries;
                    } else {
                        waiting.entries.extend(entries);
                    }
                }
                ApplyTask::Read { group, token } => self.readers.push((group, token)),
                ApplyTask::Leading { group, term, stopped } => {
                    self.apply_gathered(&mut gathered, round)?;
                    self.lead(group, term, stopped);
                }
                ApplyTask::Following { group, term, leader, why } => {
                    self.apply_gathered(&mut gathered, round)?;
                    if let Some(machine) = self.machines.get_mut(&group) {
                        machine.on_leader_changed(term, leader, why);
                    }
                }
                offer @ ApplyTask::Snapshot { .. } => {
                    self.apply_gathered(&mut gathered, round)?;
                    self.open_snapshot(&offer, round)?;
                }
                ApplyTask::Discard { spool, .. } => round.discards.push(spool),
                ApplyTask::Save { group } => {
                    self.apply_gathered(&mut gathered, round)?;
                    if let Some(machine) = self.machines.get_mut(&group) {
                        machine.save_soon();
                    }
                }
                ApplyTask::Contradicted { group, what } => {
                    self.apply_gathered(&mut gathered, round)?;
                    if let Some(machine) = self.machines.get_mut(&group) {
                        let refused = machine.on_contradiction(&what);
                        self.judge(group, refused, round)?;
                    }
                }
                ApplyTask::Destroy { group } => {
                    self.apply_gathered(&mut gathered, round)?;
                    if let Some(mut machine) = self.machines.remove(&group) {
                        machine.destroy()?;
                    }
                    round.events.push(Event::Destroyed { group });
                }
                ApplyTask::Install { group, meta, spool } => {
                    self.apply_gathered(&mut gathered, round)?;
                    self.release_readers(round);
                    round.installs.push((group, meta, spool));
                    return Ok(());
                }
            }
        }
        self.apply_gathered(&mut gathered, round)?;
        self.release_readers(round);
        Ok(())
    }

    fn open_snapshot(&mut self, offer: &ApplyTask, round: &mut Round) -> Result<(), Error> {
        let &ApplyTask::Snapshot { group, from, to, store, term, session } = offer else {
            panic!("{offer:?} offers no snapshot");
        };
        let source = match self.machines.get_mut(&group).map(|machine| machine.snapshot()) {
            None => None,
            // The peer asks again.
            Some(Err(Error::Snapshot(reason))) => {
                tracing::warn!(%group, %reason, "no snapshot to send");
                None
            }
            Some(other) => self.judge(group, other, round)?,
        };
        match source {
            Some(source) => {
                let open = OpenSnapshot { group, from, to, store, term, session, source };
                round.snapshots.push(open);
            }
            // Those after it in the line wait for an end, whatever becomes of it.
            None => {
                round.events.push(Event::SnapshotSent { group, to, term, session, ok: false });
            }
        }
        Ok(())
    }

    /// Whether a snapshot is whole; one that is not is reported to the shard, and nothing was
    /// destroyed for it.
    ///
    /// # Errors
    /// The storage failed; the store stops.
    pub fn check_snapshot(
        &mut self,
        group: RegionId,
        meta: &SnapshotMeta,
        chunks: &mut dyn Iterator<Item = Result<Bytes, Error>>,
        round: &mut Round,
    ) -> Result<bool, Error> {
        let Some(machine) = self.machines.get_mut(&group) else { return Ok(true) };
        match machine.check_snapshot(meta, chunks) {
            Ok(()) => Ok(true),
            Err(Error::Snapshot(reason)) => {
                tracing::warn!(%group, %reason, "snapshot refused");
                let meta = meta.clone();
                round.events.push(Event::SnapshotInstalled { group, meta, ok: false });
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Install a snapshot that was checked and report it to the shard.
    ///
    /// # Errors
    /// The storage failed; the store stops. A damaged snapshot is reported to the shard instead.
    pub fn install(
        &mut self,
        group: RegionId,
        meta: SnapshotMeta,
        spool: u64,
        chunks: &mut dyn Iterator<Item = Result<Bytes, Error>>,
        round: &mut Round,
    ) -> Result<(), Error> {
        let Some(mut machine) = self.lend(group) else { return Ok(()) };
        let result = machine.install(&meta, spool, chunks);
        self.give_back(group, machine, meta, result, round)
    }

    /// Take out the state machine of a group, for an install elsewhere. Until it is given back, the
    /// caller keeps every task of the group to itself.
    pub fn lend(&mut self, group: RegionId) -> Option<Box<dyn StateMachine>> {
        self.machines.remove(&group)
    }

    /// A lent state machine is back, and this became of the install.
    ///
    /// # Errors
    /// As [`Applier::install`].
    pub fn give_back(
        &mut self,
        group: RegionId,
        mut machine: Box<dyn StateMachine>,
        meta: SnapshotMeta,
        result: Result<(), Error>,
        round: &mut Round,
    ) -> Result<(), Error> {
        if result.is_ok() {
            machine.on_configuration_committed(&meta.membership);
        }
        self.add(group, machine);
        let ok = match result {
            Ok(()) => true,
            Err(Error::Snapshot(reason)) => {
                tracing::warn!(%group, %reason, "snapshot not installed");
                false
            }
            Err(error) => return self.judge::<()>(group, Err(error), round).map(|_| ()),
        };
        round.events.push(Event::SnapshotInstalled { group, meta, ok });
        Ok(())
    }

    fn apply_gathered(
        &mut self,
        gathered: &mut BTreeMap<RegionId, Gathered>,
        round: &mut Round,
    ) -> Result<(), Error> {
        while let Some((group, Gathered { entries, bytes })) = gathered.pop_first() {
            let index = entries.last().map_or(Index(0), |last| last.position.index);
            let replies = round.replies.len();
            let applied = match self.machines.get_mut(&group) {
                Some(machine) => machine.apply(&entries, &mut round.replies),
                None => Err(Error::Failed("it is gone".to_owned())),
            };
            if self.judge(group, applied, round)?.is_some() {
                if let Some(machine) = self.machines.get_mut(&group) {
                    tell_memberships(machine.as_mut(), &entries);
                }
                round.events.push(Event::Applied { group, index, bytes });
            } else {
                round.replies.truncate(replies);
                round.refused.extend(tokens(&entries));
            }
        }
        Ok(())
    }

    /// A state machine that failed is taken out and its group halted; what failed otherwise stops
    /// the store.
    fn judge<T>(
        &mut self,
        group: RegionId,
        result: Result<T, Error>,
        round: &mut Round,
    ) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Error::Failed(reason)) => {
                if self.machines.remove(&group).is_some() {
                    tracing::error!(%group, %reason, "state machine failed: its group is halted");
                    round.events.push(Event::Halt { group });
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn release_readers(&mut self, round: &mut Round) {
        for (group, token) in self.readers.drain(..) {
            if self.machines.contains_key(&group) {
                round.reads.push(token);
            } else {
                round.refused.push(token);
            }
        }
    }

    fn lead(&mut self, group: RegionId, term: Term, stopped: Option<Cause>) {
        if let Some(machine) = self.machines.get_mut(&group) {
            match stopped {
                None => machine.on_leader_start(term),
                Some(why) => machine.on_leader_stop(term, why),
            }
        }
    }
}

fn tell_memberships(machine: &mut dyn StateMachine, entries: &[Committed]) {
    for entry in entries {
        if let CommittedKind::Config(membership) = &entry.kind
            && !membership.is_joint()
        {
            machine.on_configuration_committed(membership);
        }
    }
}

/// Everyone who waits for one of these entries.
fn tokens(entries: &[Committed]) -> impl Iterator<Item = Token> + '_ {
    let tokens = entries.iter().map(|entry| match &entry.kind {
        CommittedKind::Normal(payloads) => payloads.tokens(),
        CommittedKind::Empty | CommittedKind::Config(_) => &[],
    });
    tokens.flatten().copied()
}
