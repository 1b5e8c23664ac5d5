//! Reading entries back: for a follower that lags behind what Raft keeps in memory, and for apply.
//!
//! Rare by design, so no file is kept open: a section is read, its checksum held against the index,
//! and what was asked for is taken from it. The last one is kept until the log rests: a section may
//! be sixteen times what a follower is sent at once, and the next question is for what comes next.

use std::collections::BTreeMap;

use bytes::Bytes;
use kontiki_types::{Entry, Index, RegionId};

use crate::{Disk, Error, Log};

impl<D: Disk> Log<D> {
    /// The entries after `after` up to `to` that fit into `bytes_max`; the first always does.
    /// Nothing when the log does not hold all of them any more: it was compacted, or a snapshot
    /// took its place.
    ///
    /// # Errors
    /// When the disk refuses, after a failed sync, or when they are damaged: what is returned is
    /// never a guess.
    pub fn entries(
        &mut self,
        group: RegionId,
        after: Index,
        to: Index,
        bytes_max: usize,
    ) -> Result<Option<Vec<Entry>>, Error> {
        self.check_poison()?;
        let Some(known) = self.index.group(group) else { return Ok(None) };
        let (mut files, mut entries, mut bytes) = (BTreeMap::new(), Vec::new(), 0);
        for run in known.runs.iter().filter(|run| run.last > after.0 && run.first <= to.0) {
            let damaged = || Error::Damaged { group };
            if self.recent.as_ref().is_none_or(|(place, _)| *place != run.place) {
                let found = self.read_entries(run.place, &mut files)?.ok_or_else(damaged)?;
                self.recent = Some((run.place, found));
            }
            let (_, found) = self.recent.as_ref().expect("read above");
            for index in run.first.max(after.0 + 1)..=run.last.min(to.0) {
                // Not the next one: what stood before it was compacted.
                if index != after.0 + 1 + entries.len() as u64 {
                    return Ok(None);
                }
                let entry = found.get(&index).ok_or_else(damaged)?;
                bytes += entry.cost_bytes();
                if bytes > bytes_max && !entries.is_empty() {
                    return Ok(Some(entries));
                }
                // A part of what was read would keep the whole section in memory.
                let data = Bytes::copy_from_slice(&entry.data);
                entries.push(Entry { data, ..entry.clone() });
            }
        }
        let whole = !entries.is_empty() && entries.len() as u64 == to - after;
        Ok(whole.then_some(entries))
    }
}
