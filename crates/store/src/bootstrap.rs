//! A new store: its identity, and the first region of a cluster that starts without a placement
//! driver.
//!
//! Called once by the server on an empty engine. Every store of the first region writes the very
//! same descriptor; the log starts empty and the membership comes from here.

use kontiki_codec::apply_state::{self, ApplyState};
use kontiki_codec::heir;
use kontiki_codec::keys::{MetaKey, RegionRow};
use kontiki_codec::store_ident::{self, StoreIdent};
use kontiki_codec::{region as region_row, store_ident::from_bytes};
use kontiki_engine::{Batch, Engine, Family};
use kontiki_types::{Epoch, KeyRange, Peer, PeerId, Region, RegionId};

use crate::Error;

/// The region that holds the whole key space of a new cluster.
pub fn first_region(mut peers: Vec<Peer>) -> Region {
    peers.sort_by_key(|peer| peer.id);
    Region {
        id: RegionId(1),
        range: KeyRange::all(),
        epoch: Epoch { conf_ver: 1, version: 1 },
        peers,
    }
}

/// Makes an empty engine a store that holds these regions, without rows; durable when it returns.
///
/// # Errors
/// [`Error::AlreadyBootstrapped`] when it is a store already; else the engine's.
pub fn bootstrap(engine: &dyn Engine, ident: StoreIdent, regions: &[Region]) -> Result<(), Error> {
    write(engine, ident, regions, None)
}

/// The same for a store that held these regions and lost everything: its replicas are not those
/// that were born with the regions, but go by this id, in the same batch.
///
/// # Errors
/// As [`bootstrap`].
pub fn rejoin(
    engine: &dyn Engine,
    ident: StoreIdent,
    regions: &[Region],
    heir: PeerId,
) -> Result<(), Error> {
    write(engine, ident, regions, Some(heir))
}

fn write(
    engine: &dyn Engine,
    ident: StoreIdent,
    regions: &[Region],
    heir: Option<PeerId>,
) -> Result<(), Error> {
    if identity(engine)?.is_some() {
        return Err(Error::AlreadyBootstrapped);
    }
    let mut batch = Batch::default();
    batch.put(Family::Meta, MetaKey::StoreIdent.to_bytes(), store_ident::to_bytes(ident));
    for region in regions {
        let key = |row| MetaKey::Region(region.id, row).to_bytes();
        batch.put(Family::Meta, key(RegionRow::Descriptor), region_row::to_bytes(region));
        let state = apply_state::to_bytes(&ApplyState::default());
        batch.put(Family::Meta, key(RegionRow::ApplyState), state);
        if let Some(peer) = heir {
            batch.put(Family::Meta, key(RegionRow::Heir), heir::to_bytes(peer));
        }
    }
    engine.write(batch)?;
    engine.sync()?;
    Ok(())
}

/// Whose data an engine holds; nothing when it is empty.
///
/// # Errors
/// The engine fails, or the row is damaged.
pub fn identity(engine: &dyn Engine) -> Result<Option<StoreIdent>, Error> {
    engine
        .get(Family::Meta, &MetaKey::StoreIdent.to_bytes())?
        .map(|row| from_bytes(row).map_err(|source| Error::row("store identity", source)))
        .transpose()
}
