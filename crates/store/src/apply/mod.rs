//! Committed entries to rows, outcomes and replies.
//!
//! One [`apply`] call is one engine batch, which carries
//!
//! ```text
//! data rows          of all commands of all payloads of all entries, in order
//! outcome record     what the sessions must remember      (or a fold of earlier records)
//! descriptor         if the membership changed
//! apply state        position of the last entry, replicated time
//! ```
//!
//! so that after a crash all of it is there or none. Replies leave only after the batch is in the
//! engine. Commands read through the batch (`pending.rs`), so a batch of commands is the same as
//! its commands one by one, and a command that does not read does not touch the engine.
//!
//! The batch is cut early in two cases, always so that a restart continues without a trace: after
//! an entry that asks for a state hash (the hash needs a view of exactly that state), and before a
//! range delete too large for one batch (`delete_range.rs`).
//!
//! Payloads that do not decode, commands that break limits, keys of other regions, stale epochs
//! and unknown sessions are refused, equally on every replica. Only the engine can fail.

mod command;
mod delete_range;
mod pending;

use std::sync::Arc;

use bytes::Bytes;
use kontiki_codec::apply_state::{self, ApplyState, Partial};
use kontiki_codec::keys::{MetaKey, RegionRow};
use kontiki_codec::outcome_record::{Builder, Touch};
use kontiki_codec::{outcome, region};
use kontiki_engine::Family;
use kontiki_multiraft::{Committed, CommittedKind, Payload, Token};
use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{Membership, Outcome, Position, Refusal, RegionTime, WriteBatch};

use crate::apply::pending::Pending;
use crate::limits::STATE_HASH_JOBS_MAX;
use crate::{Error, Replica, StateHash, state_hash};

/// Applies consecutive entries and answers who waits for them.
///
/// # Errors
/// The engine failed; the replica must not be used any more.
///
/// # Panics
/// When the entries do not continue what is applied: that is a bug above.
pub(crate) fn apply(
    replica: &mut Replica,
    entries: &[Committed],
    replies: &mut Vec<(Token, Bytes)>,
) -> Result<(), Error> {
    let mut applying = Applying::new(replica);
    for entry in entries {
        applying.entry(entry)?;
    }
    if applying.cut_at != applying.replica.applied {
        applying.cut(None)?;
    }
    if applying.membership_changed {
        // Others act on a membership as soon as they see it, so it must not be lost with the tail
        // of the engine.
        applying.replica.engine.sync()?;
    }
    // All cuts are in the engine: nobody is told of what a crash could take back.
    replies.append(&mut applying.replies);
    Ok(())
}

/// One call of [`apply`].
struct Applying<'a> {
    replica: &'a mut Replica,
    pending: Pending,
    /// What the sessions must remember of the pending batch.
    record: Builder,
    /// The payload being applied began before the last cut or the last crash. A record that began
    /// its session again would expire others twice, so the next cut folds instead.
    fold: bool,
    replies: Vec<(Token, Bytes)>,
    /// Everything up to here is in the engine.
    cut_at: Position,
    /// The entry being applied asked for a state hash.
    hash_wanted: bool,
    membership_changed: bool,
}

/// Which command of which payload of the entry being applied; counted from 0.
#[derive(Clone, Copy)]
struct Place {
    payload: u64,
    command: u64,
}

impl<'a> Applying<'a> {
    fn new(replica: &'a mut Replica) -> Self {
        let record = Builder::new(replica.sessions.time());
        let cut_at = replica.applied;
        Self {
            replica,
            pending: Pending::default(),
            record,
            fold: false,
            replies: Vec::new(),
            cut_at,
            hash_wanted: false,
            membership_changed: false,
        }
    }

    fn entry(&mut self, entry: &Committed) -> Result<(), Error> {
        let replica = &self.replica;
        assert!(
            entry.position.index == replica.applied.index.next()
                && entry.position.term >= replica.applied.term,
            "{}: entry {} after {}",
            replica.id,
            entry.position,
            replica.applied
        );
        match &entry.kind {
            CommittedKind::Empty => {}
            CommittedKind::Normal(payloads) => {
                for (nth, payload) in (0..).zip(payloads) {
                    self.payload(nth, payload)?;
                }
            }
            CommittedKind::Config(membership) => self.membership(membership),
        }
        self.replica.applied = entry.position;
        self.replica.partial = None;
        if std::mem::take(&mut self.hash_wanted) {
            self.cut(None)?;
            self.hash_state()?;
        }
        Ok(())
    }

    fn payload(&mut self, nth: u64, payload: Payload<'_>) -> Result<(), Error> {
        if self.replica.partial.is_some_and(|partial| nth < partial.payload) {
            // Applied before the crash, and this process did not exist when it was proposed.
            assert!(payload.token.is_none(), "{}: someone waits for the past", self.replica.id);
            return Ok(());
        }
        let outcomes = match kontiki_codec::command::from_bytes(payload.to_bytes()) {
            Ok(batch) => self.write_batch(nth, batch)?,
            // Every replica has these very bytes, so every replica refuses them.
            Err(_) => vec![Outcome::Refused(Refusal::Invalid)],
        };
        if let Some(token) = payload.token {
            self.replies.push((token, outcome::to_bytes(&outcomes)));
        }
        Ok(())
    }

    fn write_batch(&mut self, payload: u64, batch: WriteBatch) -> Result<Vec<Outcome>, Error> {
        let header = batch.header;
        let touch = Touch {
            client: header.client,
            lowest: header.lowest,
            open: header.open,
            wall_ms: header.wall_ms,
        };
        // A crash within this payload came after its session had begun: once is enough.
        let resumed = self.replica.partial.take();
        self.fold |= resumed.is_some();
        if !self.fold {
            self.record.touch(touch);
        }
        if resumed.is_none()
            && let Err(refusal) = self.replica.sessions.begin(touch)
        {
            return Ok(vec![Outcome::Refused(refusal); batch.commands.len()]);
        }
        let mut outcomes = Vec::with_capacity(batch.commands.len());
        for (nth, (request, command)) in (0..).zip(batch.commands) {
            let place = Place { payload, command: nth };
            let removed = match resumed {
                Some(partial) if nth < partial.command => continue,
                Some(partial) if nth == partial.command => partial.removed,
                _ => 0,
            };
            outcomes.push(self.command(&header, request, command, place, removed)?);
        }
        Ok(outcomes)
    }

    fn membership(&mut self, membership: &Membership) {
        let mut region = kontiki_types::Region::clone(&self.replica.region);
        region.peers = membership.peers().collect();
        region.epoch.conf_ver += 1;
        let key = MetaKey::Region(self.replica.id, RegionRow::Descriptor).to_bytes();
        self.pending.put_meta(key, region::to_bytes(&region));
        self.replica.region = Arc::new(region);
        self.membership_changed = true;
    }

    /// Writes everything so far as one batch. With `partial`, within an entry.
    fn cut(&mut self, partial: Option<Partial>) -> Result<(), Error> {
        let replica = &mut *self.replica;
        let record = std::mem::replace(&mut self.record, Builder::new(replica.sessions.time()));
        let mut batch = self.pending.take();
        // A record is named by the last whole entry, so within an entry there is no free name.
        let fold = std::mem::replace(&mut self.fold, partial.is_some()) || partial.is_some();
        if fold || replica.records.is_full(&record, replica.tuning.records_max) {
            replica.records.fold(replica.id, &mut replica.sessions, &mut batch);
        } else if !record.is_empty() {
            replica.records.write(replica.id, replica.applied.index, record, &mut batch);
        }
        let state = apply_state_row(replica.applied, replica.sessions.time(), partial);
        let key = MetaKey::Region(replica.id, RegionRow::ApplyState).to_bytes();
        if mutants::is_on(Mutant::AppliedBeforeRows) {
            let mut early = kontiki_engine::Batch::default();
            early.put(Family::Meta, key.clone(), state.clone());
            replica.engine.write(early)?;
        }
        batch.put(Family::Meta, key, state);
        replica.engine.write(batch)?;
        self.cut_at = replica.applied;
        if self.membership_changed {
            replica.cell.publish_region(Arc::clone(&replica.region));
        }
        replica.cell.publish(replica.applied.index, replica.sessions.time().now_ms);
        if partial.is_none() {
            replica.cell.end_replacing();
        }
        Ok(())
    }

    /// Computes the state hash as of the last cut, elsewhere.
    fn hash_state(&mut self) -> Result<(), Error> {
        let replica = &*self.replica;
        if !replica.cell.begin_hash(STATE_HASH_JOBS_MAX) {
            return Ok(());
        }
        let view = replica.engine.view()?;
        let (cell, region) = (Arc::clone(&replica.cell), Arc::clone(&replica.region));
        let applied = replica.applied.index;
        replica.background.spawn(Box::new(move || {
            let hash = state_hash::compute(&*view, &region)
                .inspect_err(|error| tracing::error!(%error, region = %region.id, "state hash"))
                .ok();
            cell.end_hash(hash.map(|hash| StateHash { applied, hash }));
        }));
        Ok(())
    }
}

pub(crate) fn apply_state_row(
    position: Position,
    time: RegionTime,
    partial: Option<Partial>,
) -> Bytes {
    apply_state::to_bytes(&ApplyState { position, time, partial })
}
