//! What a region is, read back from one state of the engine: descriptor, apply state, sessions.
//!
//! Used when a store opens, and on views by snapshots and state hashes, so that neither needs a
//! copy of anything apply is still changing. Checks pairs that must agree; damage is an error.

use std::ops::ControlFlow;

use bytes::Bytes;
use kontiki_codec::apply_state::{self, ApplyState};
use kontiki_codec::heir;
use kontiki_codec::install_marker::{self, InstallMarker};
use kontiki_codec::keys::{MetaKey, RegionRow, meta};
use kontiki_codec::outcome_record::{self, Item, Record};
use kontiki_codec::session::{self, Session};
use kontiki_engine::{Direction, Family, Range, Read};
use kontiki_types::{Index, Outcome, PeerId, Region, RegionId};

use crate::Error;
use crate::session::Sessions;

/// A region as its rows tell.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) region: Option<Region>,
    pub(crate) state: ApplyState,
    pub(crate) sessions: Sessions,
    /// Outcome records not yet folded: their index and size, in order.
    pub(crate) records: Vec<(Index, usize)>,
    pub(crate) marker: Option<InstallMarker>,
    /// Who the replica here is, if not the one the region was born with.
    pub(crate) heir: Option<PeerId>,
}

#[derive(Default)]
struct Rows {
    region: Option<Region>,
    state: Option<ApplyState>,
    marker: Option<InstallMarker>,
    heir: Option<PeerId>,
    sessions: Vec<(kontiki_types::ClientId, Session)>,
    records: Vec<(Index, usize, Record)>,
}

/// Reads a region.
///
/// # Errors
/// The engine fails, a row is damaged, or rows contradict each other.
pub(crate) fn load(read: &dyn Read, id: RegionId) -> Result<Loaded, Error> {
    let mut rows = Rows::default();
    let mut failed = None;
    let range = Range::prefix(&meta::region_prefix(id));
    read.scan(
        Family::Meta,
        &range,
        Direction::Forward,
        &mut |key, row| match rows.add(key, row) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        },
    )?;
    match failed {
        Some(error) => Err(error),
        None => rows.finish(id),
    }
}

impl Rows {
    fn add(&mut self, key: &Bytes, row: &Bytes) -> Result<(), Error> {
        let damaged = |source| Error::row(format!("row {}", key.escape_ascii()), source);
        // Rows outlive the scan in the table of sessions; a slice would keep all of the row alive,
        // but there is nothing else in it.
        let row = row.clone();
        let Some(MetaKey::Region(_, kind)) = MetaKey::from_bytes(key) else {
            return Err(Error::Inconsistent(format!("unknown row {}", key.escape_ascii())));
        };
        match kind {
            RegionRow::Descriptor => {
                self.region = Some(kontiki_codec::region::from_bytes(row).map_err(damaged)?);
            }
            RegionRow::ApplyState => {
                self.state = Some(apply_state::from_bytes(row).map_err(damaged)?);
            }
            RegionRow::Heir => {
                self.heir = Some(heir::from_bytes(row).map_err(damaged)?);
            }
            RegionRow::InstallMarker => {
                self.marker = Some(install_marker::from_bytes(row).map_err(damaged)?);
            }
            RegionRow::Session(client) => {
                self.sessions.push((client, session::from_bytes(row).map_err(damaged)?));
            }
            RegionRow::OutcomeRecord(index) => {
                let bytes = row.len();
                let record = outcome_record::from_bytes(row).map_err(damaged)?;
                self.records.push((index, bytes, record));
            }
        }
        Ok(())
    }

    fn finish(self, id: RegionId) -> Result<Loaded, Error> {
        let Self { region, state, marker, heir, sessions, records } = self;
        let inconsistent = |what: String| Error::Inconsistent(format!("{id}: {what}"));
        let is_blank = region.is_none() && state.is_none();
        let holds_nothing = is_blank && sessions.is_empty() && records.is_empty();
        // Half destroyed, half loaded: nothing but the marker means anything. Or it waited for its
        // first snapshot when it was succeeded, and has a name and nothing else (sim seed
        // 415629533744: the store did not start any more).
        if marker.is_some() || (heir.is_some() && holds_nothing) {
            return Ok(Loaded {
                region,
                state: ApplyState::default(),
                sessions: Sessions::default(),
                records: Vec::new(),
                marker,
                heir,
            });
        }
        let Some(state) = state else {
            return Err(inconsistent("no apply state".into()));
        };
        if region.as_ref().is_none_or(|region| region.id != id) {
            return Err(inconsistent(format!("descriptor is {region:?}")));
        }
        let mut table = Sessions::default();
        for (client, session) in sessions {
            table.restore(client, session);
        }
        table.clear_dirty();
        let mut kept = Vec::with_capacity(records.len());
        for (index, bytes, record) in records {
            if index > state.position.index {
                return Err(inconsistent(format!("record of {index} after {}", state.position)));
            }
            replay(&mut table, record).map_err(inconsistent)?;
            kept.push((index, bytes));
        }
        if !table.time().is_before(state.time) {
            return Err(inconsistent(format!("{:?} after {:?}", state.time, table.time())));
        }
        table.advance(state.time);
        Ok(Loaded { region, state, sessions: table, records: kept, marker, heir })
    }
}

/// Does to the table what apply did when it wrote the record.
fn replay(table: &mut Sessions, record: Record) -> Result<(), String> {
    if !table.time().is_before(record.time) {
        return Err(format!("record starts at {:?} after {:?}", record.time, table.time()));
    }
    table.advance(record.time);
    let mut current = None;
    for item in record.items {
        match item {
            Item::Touch(touch) => {
                current = table.begin(touch).is_ok().then_some(touch.client);
            }
            Item::Outcome(request, outcome) => {
                let Some(client) = current else {
                    return Err(format!("outcome of {request} in no session"));
                };
                table.remember(client, request, detached(outcome));
            }
        }
    }
    Ok(())
}

/// A small value must not keep the record it came from in memory.
fn detached(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Conditional { applied, previous: Some(value) } => {
            let previous = Some(Bytes::copy_from_slice(&value));
            Outcome::Conditional { applied, previous }
        }
        outcome => outcome,
    }
}
