//! A snapshot may not take keys that another region of this store owns.
//!
//! Its install would clear rows whose region lives on, with a descriptor, a log and promises. Both
//! steps in one is what must never be cut in half (tikv#7027); as long as no step destroys another
//! region, such a snapshot is refused while nothing is destroyed, and fetched again later.

use kontiki_codec::keys::{MetaKey, RegionRow};
use kontiki_codec::region;
use kontiki_engine::{Family, Read};
use kontiki_types::Region;

use crate::{Error, open};

/// Refuses a region that overlaps another one in the engine.
pub(crate) fn check(engine: &dyn Read, incoming: &Region) -> Result<(), Error> {
    for id in open::region_ids(engine)?.into_iter().filter(|&id| id != incoming.id) {
        let key = MetaKey::Region(id, RegionRow::Descriptor).to_bytes();
        let Some(row) = engine.get(Family::Meta, &key)? else { continue };
        let damaged = |source| Error::row(format!("descriptor of {id}"), source);
        let other = region::from_bytes(row).map_err(damaged)?;
        if other.range.overlaps(&incoming.range) {
            let why = format!("{id} holds {:?}, it wants {:?}", other.range, incoming.range);
            return Err(Error::Snapshot { region: incoming.id, why });
        }
    }
    Ok(())
}
