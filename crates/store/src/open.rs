//! A store after a restart: all regions of an engine, checked against each other.
//!
//! Called once by the server, after the engine and before the log. What an open finds in doubt it
//! refuses with a clear error instead of serving from it.

use std::sync::Arc;

use kontiki_codec::keys::{MetaKey, meta};
use kontiki_codec::store_ident::StoreIdent;
use kontiki_engine::{Direction, Engine, Family, Range, Read};
use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{RegionId, SnapshotMeta};

use crate::session::{Sessions, load};
use crate::{Background, Descriptors, Error, Replica, Tuning, bootstrap};

/// What a store holds.
#[derive(Debug)]
pub struct Opened {
    /// Its replicas in order of region.
    pub replicas: Vec<Replica>,
    /// The same regions as other threads see them.
    pub descriptors: Arc<Descriptors>,
    /// Installs that a crash interrupted: call `install` of that replica again, with the chunks of
    /// this spool, before anything else; when the spool is gone or damaged, fetch a snapshot.
    pub pending_installs: Vec<PendingInstall>,
}

/// An install that a crash interrupted. Its replica has no data until it is done again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingInstall {
    /// Of which region.
    pub region: RegionId,
    /// The host's name for the received chunks.
    pub spool: u64,
    /// What the snapshot replaces.
    pub meta: SnapshotMeta,
}

/// Reads all regions of an engine.
///
/// # Errors
/// [`Error::NotBootstrapped`] and [`Error::OtherStore`] when the engine is not this store's;
/// [`Error::Row`] and [`Error::Inconsistent`] when its rows make no sense; else the engine's.
pub fn open(
    engine: &Arc<dyn Engine>,
    expected: StoreIdent,
    background: &Arc<dyn Background>,
    tuning: Tuning,
) -> Result<Opened, Error> {
    check_identity(&**engine, expected)?;
    let mut opened = Opened {
        replicas: Vec::new(),
        descriptors: Arc::new(Descriptors::new()),
        pending_installs: Vec::new(),
    };
    for id in region_ids(&**engine)? {
        let mut loaded = load::load(&**engine, id)?;
        if mutants::is_on(Mutant::SessionsNotLoaded) {
            loaded.sessions = Sessions::at(loaded.state.time);
        }
        if let Some(marker) = &loaded.marker {
            opened.pending_installs.push(PendingInstall {
                region: id,
                spool: marker.spool,
                meta: marker.meta.clone(),
            });
        }
        let (engine, background) = (Arc::clone(engine), Arc::clone(background));
        let replica = Replica::from_loaded(id, loaded, engine, background, tuning);
        opened.descriptors.insert(replica.cell());
        opened.replicas.push(replica);
    }
    check_disjoint(&opened.replicas)?;
    Ok(opened)
}

fn check_identity(engine: &dyn Engine, expected: StoreIdent) -> Result<(), Error> {
    let found = bootstrap::identity(engine)?.ok_or(Error::NotBootstrapped)?;
    if found == expected {
        return Ok(());
    }
    Err(Error::OtherStore {
        cluster: expected.cluster,
        store: expected.store,
        found_cluster: found.cluster,
        found_store: found.store,
    })
}

/// The regions that have any row. Jumps from region to region, past the sessions of each.
pub(crate) fn region_ids(engine: &dyn Read) -> Result<Vec<RegionId>, Error> {
    let mut ids = Vec::new();
    let mut left = Range::prefix(meta::REGIONS_PREFIX);
    loop {
        let mut first = None;
        engine.scan(Family::Meta, &left, Direction::Forward, &mut |key, _| {
            first = Some(key.clone());
            std::ops::ControlFlow::Break(())
        })?;
        let Some(key) = first else { return Ok(ids) };
        let Some(MetaKey::Region(id, _)) = MetaKey::from_bytes(&key) else {
            return Err(Error::Inconsistent(format!("unknown row {}", key.escape_ascii())));
        };
        ids.push(id);
        // The end of this region's rows; there is none behind the greatest id.
        let Some(end) = Range::prefix(&meta::region_prefix(id)).end else { return Ok(ids) };
        left.start = end;
    }
}

/// Two regions that hold the same key would both answer for it.
fn check_disjoint(replicas: &[Replica]) -> Result<(), Error> {
    let mut ranges: Vec<_> = replicas
        .iter()
        .filter(|replica| !replica.incomplete && !replica.region.range.is_empty())
        .map(|replica| &replica.region)
        .collect();
    ranges.sort_by(|a, b| a.range.start.cmp(&b.range.start));
    for pair in ranges.windows(2) {
        let [left, right] = pair else { continue };
        if left.range.end.as_ref().is_none_or(|end| *end > right.range.start) {
            return Err(Error::Inconsistent(format!(
                "{} {:?} and {} {:?} overlap",
                left.id, left.range, right.id, right.range
            )));
        }
    }
    Ok(())
}
