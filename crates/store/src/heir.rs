//! A new replica in place of one on this store that may have forgotten what it promised.
//!
//! The state machine stays as it is: its rows are committed state, whatever became of the log. Only
//! the name of the replica changes, and that must outlive the process before the new one speaks: a
//! restart under the old name would give its promises to somebody who does not know them.

use kontiki_codec::heir;
use kontiki_codec::keys::{MetaKey, RegionRow};
use kontiki_engine::{Batch, Engine, Family};
use kontiki_types::{PeerId, RegionId};

use crate::Error;

/// From now on the replica of this region on this store is this one, never heard of before. That,
/// and everything the engine holds, is durable when it returns.
///
/// # Errors
/// The engine's.
pub fn appoint(engine: &dyn Engine, region: RegionId, peer: PeerId) -> Result<(), Error> {
    let mut batch = Batch::default();
    let key = MetaKey::Region(region, RegionRow::Heir).to_bytes();
    batch.put(Family::Meta, key, heir::to_bytes(peer));
    engine.write(batch)?;
    engine.sync()?;
    Ok(())
}
