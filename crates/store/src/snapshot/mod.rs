//! Snapshots of a region: a stream of chunks from a view of the engine, and back into one.
//!
//! ```text
//! chunk 0        head: descriptor, replicated time
//! chunk 1 …      rows of the region, in order of key, about 256 KiB each
//! …              sessions, in order of client; a large one is cut into pieces
//! last chunk     counts, and the state hash over all of it
//! ```

pub(crate) mod build;
pub(crate) mod install;
mod overlap;
mod verify;

use std::ops::ControlFlow;

use kontiki_codec::keys::user::region_rows;
use kontiki_engine::{Direction, Family, Range, Read};
use kontiki_types::Region;

use crate::Error;

/// The rows of a region in one family, in order.
pub(crate) fn for_each_row(
    read: &dyn Read,
    family: Family,
    region: &Region,
    visit: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<(), Error> {
    read.scan(family, &rows_of(region), Direction::Forward, &mut |key, value| {
        visit(key, value);
        ControlFlow::Continue(())
    })?;
    Ok(())
}

/// Where the rows of a region stand in the default family.
pub(crate) fn rows_of(region: &Region) -> Range {
    let range = region_rows(&region.range);
    Range::new(range.start, range.end)
}
