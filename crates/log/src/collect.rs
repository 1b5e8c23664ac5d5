//! Garbage collection: the oldest segment goes when nothing in it is needed.
//!
//! Called by the log-writer thread between two syncs. Segments go in order, oldest first, so what
//! is left is always a whole end of history. What little holds the oldest segment back is written
//! once more. Where that is a hard state or a start alone, it is said again; where it is entries,
//! the whole state of a group goes into one change, so that a crash leaves the old state or the new
//! one and never parts of both (raft-engine#288). Files are touched again only when the note that
//! they are not needed is durable.

use std::borrow::Cow;
use std::collections::{BTreeMap, btree_map};

use bytes::Bytes;
use kontiki_types::{Entry, RegionId};

use crate::change::{Change, decode_section};
use crate::index::{GroupIndex, Place};
use crate::limits::{CROWDED_TIMES, LAGGARDS_MIN, REWRITE_BYTES_MAX};
use crate::{Disk, Error, File, Log, name};

/// What one [`Log::collect`] did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Collected {
    /// Segments freed; their files are recycled or removed once the note of it is durable.
    pub retired: usize,
    /// Bytes rewritten to free the oldest segment, at most.
    pub rewritten_bytes: usize,
    /// Groups whose entries hold the oldest segment back and are too many to rewrite, or cannot be
    /// read back, those with most bytes first: they must compact. Named once for each segment that
    /// fills up or goes: what they do about it takes its time.
    pub laggards: Vec<RegionId>,
    /// There is more to do: call again after the next sync.
    pub more: bool,
}

/// What must happen before the oldest segment can go.
struct Leftovers {
    rewrite: Vec<(RegionId, Change<'static>)>,
    bytes: usize,
    /// With the bytes that each holds.
    laggards: Vec<(u64, RegionId)>,
    more: bool,
}

impl<D: Disk> Log<D> {
    /// Frees the oldest segments that nothing needs. When more than the configured number are
    /// left, rewrites what little the oldest holds, up to [`REWRITE_BYTES_MAX`] a call; if that is
    /// not little, names whose it is.
    ///
    /// # Errors
    /// As [`Log::write`], and when leftovers cannot be read.
    pub fn collect(&mut self) -> Result<Collected, Error> {
        self.check_poison()?;
        let mut collected = Collected::default();
        self.retire_dead(&mut collected);
        if self.segments.needed_count() <= self.config().keep_segments {
            return Ok(collected);
        }
        let Some((oldest, _)) = self.segments.oldest_sealed() else { return Ok(collected) };
        let leftovers = self.leftovers(oldest)?;
        if !leftovers.rewrite.is_empty() {
            self.write_changes(&leftovers.rewrite)?;
            collected.rewritten_bytes = leftovers.bytes;
            self.stats.rewritten_bytes += leftovers.bytes as u64;
        }
        collected.more = leftovers.more;
        let now = (oldest, self.segments.newest());
        if !leftovers.laggards.is_empty() && self.named_for != now {
            self.named_for = now;
            collected.laggards = worst(leftovers.laggards, 2 * self.config().segment_bytes);
        }
        self.retire_dead(&mut collected);
        Ok(collected)
    }

    fn retire_dead(&mut self, collected: &mut Collected) {
        while let Some((oldest, _)) = self.segments.oldest_sealed()
            && self.index.live(oldest) == 0
        {
            self.advance();
            self.stats.retired += 1;
            collected.retired += 1;
        }
    }

    /// What this segment still holds, read back.
    fn leftovers(&self, segment: u64) -> Result<Leftovers, Error> {
        let mut left =
            Leftovers { rewrite: Vec::new(), bytes: 0, laggards: Vec::new(), more: false };
        let bytes_max = self.rewrite_bytes_max();
        let touching = || self.index.groups().filter(|(_, group)| group.touches(segment));
        let holding = touching().filter(|(_, group)| group.has_entries_in(segment));
        let holding = holding.map(|(id, group)| (group.runs.bytes(), id));
        left.laggards.extend(holding.filter(|(bytes, _)| *bytes > bytes_max));
        // As long as one group blocks the segment, moving the others gains nothing.
        if !left.laggards.is_empty() {
            return Ok(left);
        }
        let mut files = BTreeMap::new();
        for (id, group) in touching() {
            if left.bytes > REWRITE_BYTES_MAX {
                left.more = true;
                break;
            }
            if !group.has_entries_in(segment) {
                left.add(id, group.repeated(segment));
                continue;
            }
            let bytes = group.runs.bytes();
            if left.bytes > 0 && left.bytes as u64 + bytes > REWRITE_BYTES_MAX as u64 {
                left.more = true;
                continue;
            }
            match self.restate(group, &mut files)? {
                Some(change) => left.add(id, vec![change]),
                None => left.laggards.push((bytes, id)),
            }
        }
        // One of them cannot be read back.
        if !left.laggards.is_empty() {
            left.rewrite.clear();
            left.more = false;
        }
        Ok(left)
    }

    /// Most bytes of entries of one group that are worth to be moved. None where most of the log is
    /// needed: moved to its end, they would soon be the oldest again, and again. As many as may be
    /// where those that were named do not compact, be it that nobody runs them.
    fn rewrite_bytes_max(&self) -> u64 {
        let segments = self.segments.needed_count();
        // The one that is written has no room to offer.
        let full = segments.saturating_sub(1) as u64 * self.config().segment_bytes;
        if self.index.live_bytes() > full / 2 {
            0
        } else if segments > CROWDED_TIMES * self.config().keep_segments {
            self.frame_bytes_max() as u64
        } else {
            REWRITE_BYTES_MAX as u64
        }
    }

    /// The whole state of a group as one change; nothing when its entries cannot be read back, or
    /// do not fit one frame.
    fn restate(
        &self,
        group: &GroupIndex,
        files: &mut BTreeMap<u64, D::File>,
    ) -> Result<Option<Change<'static>>, Error> {
        let mut entries: Vec<Entry> = Vec::new();
        for run in group.runs.iter() {
            let Some(found) = self.read_entries(run.place, files)? else { return Ok(None) };
            for index in run.first..=run.last {
                let Some(entry) = found.get(&index) else { return Ok(None) };
                entries.push(entry.clone());
            }
        }
        let change = Change::Restate {
            hard_state: group.cursor.hard_state,
            meta: Cow::Owned(group.meta.clone()),
            entries: entries.into(),
        };
        let fits = change.bytes_max() <= self.frame_bytes_max();
        Ok(fits.then_some(change))
    }

    /// Entries of one section by index, the last of each; nothing when the section is damaged.
    pub(crate) fn read_entries(
        &self,
        place: Place,
        files: &mut BTreeMap<u64, D::File>,
    ) -> Result<Option<BTreeMap<u64, Entry>>, Error> {
        let Some(header) = self.segments.header(place.segment) else { return Ok(None) };
        let name = name::segment(place.segment);
        let file = match files.entry(place.segment) {
            btree_map::Entry::Occupied(open) => open.into_mut(),
            btree_map::Entry::Vacant(closed) => {
                let file = self.disk().open(&name).map_err(|e| Error::io("open", &name, e))?;
                closed.insert(file)
            }
        };
        let mut bytes = vec![0; place.len as usize];
        let len =
            file.read_at(place.offset, &mut bytes).map_err(|e| Error::io("read", &name, e))?;
        if len < bytes.len() || header.salt().crc(place.offset, &bytes) != place.crc {
            return Ok(None);
        }
        let Ok(changes) = decode_section(Bytes::from(bytes)) else { return Ok(None) };
        let mut found = BTreeMap::new();
        for change in changes {
            if let Change::Append(entries) | Change::Restate { entries, .. } = change {
                found.extend(entries.iter().map(|e| (e.position.index.0, e.clone())));
            }
        }
        Ok(Some(found))
    }
}

/// Those that hold most, most first: some of them, and so many that they hold these bytes.
fn worst(mut laggards: Vec<(u64, RegionId)>, bytes: u64) -> Vec<RegionId> {
    laggards.sort_by(|a, b| b.cmp(a));
    let mut held = 0;
    let mut named = Vec::new();
    for (more, group) in laggards {
        if named.len() >= LAGGARDS_MIN && held >= bytes {
            break;
        }
        held += more;
        named.push(group);
    }
    named
}

impl Leftovers {
    fn add(&mut self, group: RegionId, changes: Vec<Change<'static>>) {
        self.bytes += changes.iter().map(Change::bytes_max).sum::<usize>();
        self.rewrite.extend(changes.into_iter().map(|change| (group, change)));
    }
}
