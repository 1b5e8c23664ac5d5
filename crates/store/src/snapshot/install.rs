//! Installing a snapshot: the old rows go, the new ones come, and a crash anywhere in between is
//! repaired by doing it again.
//!
//! ```text
//! 0  check all of it, in a pass of its own  nothing is destroyed for a snapshot known to be bad
//! 1  check again as much as fits in memory
//! 2  marker { spool, meta }, sync          from here on, a restart reports a pending install
//! 3  clear the region's rows and sessions
//! 4  load rows and sessions, checking
//! 5  counts and hash agree with the last chunk
//! 6  descriptor, apply state, no marker: one batch; sync
//! ```
//!
//! Readers are refused from 2 to 6. When a chunk turns out damaged after 2 (only possible when it
//! was whole in step 0, and for a snapshot larger than [`crate::limits::INSTALL_CHECK_BYTES`]), the
//! marker stays, the replica refuses to apply or to serve, and only a whole snapshot, the same or a
//! newer one, makes it live again. Step 3 clears what the new descriptor owns, not what the old one
//! did: rows outside may belong to a region that has come to this store since.

use std::sync::Arc;

use bytes::Bytes;
use kontiki_codec::install_marker::{self, InstallMarker};
use kontiki_codec::keys::{MetaKey, RegionRow, meta};
use kontiki_codec::region_snapshot::{self, Part};
use kontiki_codec::session::Session;
use kontiki_codec::{region, session};
use kontiki_engine::limits::DELETE_CHUNK_ROWS;
use kontiki_engine::{Batch, Engine, Family, Range, delete_range};
use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{ClientId, Membership, Region, RegionId, RegionTime, SnapshotMeta};

use crate::session::Sessions;
use crate::session::outcome_bytes;
use crate::session::persist::Records;
use crate::snapshot::verify::Verifier;
use crate::snapshot::{overlap, rows_of};
use crate::{Error, Replica, apply};

/// Chunks as the host reads them from its spool.
type Chunks<'a> = &'a mut dyn Iterator<Item = Result<Bytes, kontiki_multiraft::Error>>;

/// Step 0: reads and judges all parts, and keeps none.
///
/// # Errors
/// `Snapshot` when the snapshot is damaged or not of this region.
pub(crate) fn check(
    replica: &Replica,
    meta: &SnapshotMeta,
    chunks: Chunks<'_>,
) -> Result<(), kontiki_multiraft::Error> {
    let mut parts = Parts { region: replica.id, chunks, next: 0, over: false };
    let (region, time) = head(&mut parts, meta)?;
    let mut verifier = Verifier::new(&region, time);
    while let Some(part) = parts.next()? {
        verifier.part(&part)?;
    }
    assert!(verifier.is_whole(), "{}: the last part is an end or an error", replica.id);
    Ok(())
}

/// Replaces the whole state of a replica. Durable when it returns.
///
/// # Errors
/// `Snapshot` when the snapshot is damaged or not of this region; the old state is untouched
/// unless the replica became incomplete. `Storage` when the engine failed.
pub(crate) fn install(
    replica: &mut Replica,
    meta: &SnapshotMeta,
    spool: u64,
    chunks: Chunks<'_>,
) -> Result<(), kontiki_multiraft::Error> {
    let mut parts = Parts { region: replica.id, chunks, next: 0, over: false };
    let (region, time) = head(&mut parts, meta)?;
    overlap::check(&*replica.engine, &region)?;
    let checked = check_ahead(&mut parts, &region, time, replica.tuning.install_check_bytes)?;
    destroy(replica, meta, spool, &region)?;
    let mut load = Load {
        engine: &*replica.engine,
        id: replica.id,
        verifier: Verifier::new(&region, time),
        sessions: Sessions::at(time),
    };
    for part in &checked {
        load.part(part)?;
    }
    while let Some(part) = parts.next()? {
        load.part(&part)?;
    }
    assert!(load.verifier.is_whole(), "{}: the last part is an end or an error", replica.id);
    let sessions = load.sessions;
    Ok(complete(replica, meta, region, sessions)?)
}

/// The parts of a snapshot in order; the last one is an end.
struct Parts<'a> {
    region: RegionId,
    chunks: Chunks<'a>,
    /// Number of the next chunk.
    next: u64,
    /// The end was seen.
    over: bool,
}

impl Parts<'_> {
    fn next(&mut self) -> Result<Option<Part>, kontiki_multiraft::Error> {
        let Some(chunk) = self.chunks.next().transpose()? else {
            return if self.over { Ok(None) } else { Err(self.refuse("it is cut short").into()) };
        };
        let (sequence, part) =
            region_snapshot::decode(chunk).map_err(|error| self.refuse(error.to_string()))?;
        if sequence != self.next || self.over {
            let why = format!("chunk {sequence} where {} was expected", self.next);
            return Err(self.refuse(why).into());
        }
        self.next += 1;
        self.over = matches!(part, Part::End(_));
        Ok(Some(part))
    }

    fn refuse(&self, why: impl Into<String>) -> Error {
        Error::Snapshot { region: self.region, why: why.into() }
    }
}

/// The first part: whose snapshot it is.
fn head(
    parts: &mut Parts<'_>,
    meta: &SnapshotMeta,
) -> Result<(Region, RegionTime), kontiki_multiraft::Error> {
    let Some(Part::Head { region, time }) = parts.next()? else {
        return Err(parts.refuse("it does not start with a head").into());
    };
    if region.id != parts.region {
        return Err(parts.refuse(format!("it is of {}", region.id)).into());
    }
    if Membership::new(region.peers.iter().copied()) != meta.membership {
        let why = format!("its peers are {:?}, not {:?}", region.peers, meta.membership);
        return Err(parts.refuse(why).into());
    }
    Ok((region, time))
}

/// Step 1: reads and judges parts until the end, or until memory is used up.
fn check_ahead(
    parts: &mut Parts<'_>,
    region: &Region,
    time: RegionTime,
    bytes_max: usize,
) -> Result<Vec<Part>, kontiki_multiraft::Error> {
    let mut verifier = Verifier::new(region, time);
    let mut checked = Vec::new();
    let mut bytes = 0;
    while bytes < bytes_max {
        let Some(part) = parts.next()? else { break };
        verifier.part(&part)?;
        bytes += part_bytes(&part);
        checked.push(part);
    }
    Ok(checked)
}

/// About what a part takes in memory.
fn part_bytes(part: &Part) -> usize {
    match part {
        Part::Head { .. } | Part::End(_) => 0,
        Part::Rows(rows) => {
            rows.iter().map(|(key, value)| region_snapshot::row_bytes(key, value)).sum()
        }
        Part::Sessions(sessions) => sessions
            .iter()
            .flat_map(|(_, session)| &session.outcomes)
            .map(|(_, outcome)| outcome_bytes(outcome))
            .sum(),
    }
}

/// Steps 2 and 3: from here on there is no way back.
fn destroy(
    replica: &mut Replica,
    meta: &SnapshotMeta,
    spool: u64,
    region: &Region,
) -> Result<(), Error> {
    replica.cell.begin_replacing();
    replica.incomplete = true;
    let engine = &*replica.engine;
    let mut batch = Batch::default();
    let marker = install_marker::to_bytes(&InstallMarker { spool, meta: meta.clone() });
    batch.put(Family::Meta, key(replica.id, RegionRow::InstallMarker), marker);
    if !mutants::is_on(Mutant::InstallUnmarked) {
        engine.write(batch)?;
    }
    engine.sync()?;
    if !mutants::is_on(Mutant::InstallKeepsRows) {
        delete_range(engine, Family::Default, &rows_of(region), DELETE_CHUNK_ROWS)?;
    }
    for prefix in [meta::sessions_prefix(replica.id), meta::outcome_records_prefix(replica.id)] {
        delete_range(engine, Family::Meta, &Range::prefix(&prefix), DELETE_CHUNK_ROWS)?;
    }
    Ok(())
}

/// The replica is destroyed: nothing of it is left when this returns, not even after a crash. One
/// that a crash cut off is done again by whoever knows that the replica is to go.
pub(crate) fn clear(replica: &mut Replica) -> Result<(), Error> {
    replica.cell.begin_replacing();
    replica.incomplete = true;
    let engine = &*replica.engine;
    delete_range(engine, Family::Default, &rows_of(&replica.region), DELETE_CHUNK_ROWS)?;
    let all = Range::prefix(&meta::region_prefix(replica.id));
    delete_range(engine, Family::Meta, &all, DELETE_CHUNK_ROWS)?;
    engine.sync()?;
    Ok(())
}

/// Steps 4 and 5.
struct Load<'a> {
    engine: &'a dyn Engine,
    id: RegionId,
    verifier: Verifier,
    sessions: Sessions,
}

impl Load<'_> {
    fn part(&mut self, part: &Part) -> Result<(), Error> {
        let complete = self.verifier.part(part)?;
        let mut batch = Batch::default();
        if let Part::Rows(rows) = part {
            for (key, value) in rows {
                batch.put(Family::Default, key.clone(), value.clone());
            }
        }
        for (client, session) in complete {
            self.session(client, session, &mut batch);
        }
        if !batch.is_empty() {
            self.engine.write(batch)?;
        }
        Ok(())
    }

    fn session(&mut self, client: ClientId, session: Session, batch: &mut Batch) {
        let row = session::to_bytes(&session);
        batch.put(Family::Meta, key(self.id, RegionRow::Session(client)), row);
        self.sessions.restore(client, session);
    }
}

/// Step 6.
fn complete(
    replica: &mut Replica,
    meta: &SnapshotMeta,
    region: Region,
    mut sessions: Sessions,
) -> Result<(), Error> {
    let mut batch = Batch::default();
    batch.put(Family::Meta, key(replica.id, RegionRow::Descriptor), region::to_bytes(&region));
    batch.put(
        Family::Meta,
        key(replica.id, RegionRow::ApplyState),
        apply::apply_state_row(meta.position, sessions.time(), None),
    );
    batch.delete(Family::Meta, key(replica.id, RegionRow::InstallMarker));
    replica.engine.write(batch)?;
    if !mutants::is_on(Mutant::InstallNotSynced) {
        replica.engine.sync()?;
    }
    sessions.clear_dirty();
    replica.region = Arc::new(region);
    replica.applied = meta.position;
    replica.partial = None;
    replica.sessions = sessions;
    replica.records = Records::default();
    replica.incomplete = false;
    replica.cell.publish_region(Arc::clone(&replica.region));
    replica.cell.publish(replica.applied.index, replica.sessions.time().now_ms);
    replica.cell.end_replacing();
    Ok(())
}

fn key(region: RegionId, row: RegionRow) -> Bytes {
    MetaKey::Region(region, row).to_bytes()
}
