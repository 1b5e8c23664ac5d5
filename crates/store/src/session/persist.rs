//! How the table of sessions reaches the engine: a record per batch, folded now and then.
//!
//! Called by apply when it closes a batch, so that rows, outcomes and position share it. A record
//! is small and written once; a fold writes each session that changed since the last fold and
//! removes the records it makes superfluous.

use kontiki_codec::keys::{MetaKey, RegionRow};
use kontiki_codec::outcome_record::Builder;
use kontiki_codec::session;
use kontiki_engine::{Batch, Family};
use kontiki_types::{Index, RegionId};

use crate::limits::RECORD_BYTES_MAX;
use crate::session::Sessions;

/// The records that stand in the engine.
#[derive(Default, Debug)]
pub(crate) struct Records {
    indexes: Vec<Index>,
    bytes: usize,
}

impl Records {
    pub(crate) fn new(kept: Vec<(Index, usize)>) -> Self {
        let bytes = kept.iter().map(|(_, bytes)| bytes).sum();
        Self { indexes: kept.into_iter().map(|(index, _)| index).collect(), bytes }
    }

    /// True when one more record should be a fold instead.
    pub(crate) fn is_full(&self, next: &Builder, records_max: usize) -> bool {
        self.indexes.len() >= records_max || self.bytes + next.bytes() > RECORD_BYTES_MAX
    }

    /// Adds the record of a batch that ends at this index.
    ///
    /// # Panics
    /// When a record of this index or a later one exists.
    pub(crate) fn write(
        &mut self,
        region: RegionId,
        index: Index,
        record: Builder,
        batch: &mut Batch,
    ) {
        let last = self.indexes.last();
        assert!(last.is_none_or(|last| *last < index), "{region}: record {index} after {last:?}");
        self.indexes.push(index);
        self.bytes += record.bytes();
        let key = MetaKey::Region(region, RegionRow::OutcomeRecord(index)).to_bytes();
        batch.put(Family::Meta, key, record.finish());
    }

    /// Writes what changed in the table and removes all records.
    pub(crate) fn fold(&mut self, region: RegionId, sessions: &mut Sessions, batch: &mut Batch) {
        for client in sessions.clear_dirty() {
            let key = MetaKey::Region(region, RegionRow::Session(client)).to_bytes();
            match sessions.row(client) {
                Some(row) => batch.put(Family::Meta, key, session::to_bytes(&row)),
                None => batch.delete(Family::Meta, key),
            }
        }
        for index in self.indexes.drain(..) {
            let key = MetaKey::Region(region, RegionRow::OutcomeRecord(index)).to_bytes();
            batch.delete(Family::Meta, key);
        }
        self.bytes = 0;
    }
}
