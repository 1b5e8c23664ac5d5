//! The log itself: frames of records into the active segment, one sync for all.
//!
//! Called by the host's log-writer thread and by nobody else. It never waits, never retries, and
//! never says that something is durable unless a sync that began after the write went well.

use std::collections::BTreeMap;

use kontiki_types::{Entry, RegionId};

use crate::broken::{self, Broken};
use crate::change::{Change, entry_bytes_max};
use crate::frame::{Builder, HEAD_BYTES, Marks, Salt, align};
use crate::header::HEADER_BYTES;
use crate::index::{Index, Place};
use crate::limits::{ENTRY_OVERHEAD_BYTES, FRAME_BYTES_MAX, FRAME_BYTES_TARGET, PAGE_BYTES};
use crate::prepare::{Prepared, SegmentRequest, prepare_segment};
use crate::segments::Segments;
use crate::{Config, Disk, Error, File, Record, Recovered, Stats, WriteStats, name, recover};

/// The shared write-ahead log of a store.
///
/// # Invariants
/// - Frames are numbered without gaps, and all unsynced frames stand in the active segment.
/// - Every segment from `oldest` on is there; a file is touched again only once a frame that says
///   that the log does not need it is durable.
#[derive(Debug)]
pub struct Log<D: Disk> {
    disk: D,
    config: Config,
    /// What is live, and where every group stands.
    pub(crate) index: Index,
    /// What is written, full, ready, free.
    pub(crate) segments: Segments<D::File>,
    /// What the next frame says. Its `synced` is the newest frame known durable.
    marks: Marks,
    /// Newest frame that a later one must confirm to be durable.
    to_confirm: u64,
    /// Newest frame that the log itself says to be durable.
    confirmed: u64,
    /// A sync failed, or a write that could not be taken back.
    poisoned: bool,
    builder: Builder,
    /// The oldest and the newest segment when laggards were named last.
    pub(crate) named_for: (u64, u64),
    /// The entries of the section that was read back last, by index.
    pub(crate) recent: Option<(Place, BTreeMap<u64, Entry>)>,
    pub(crate) stats: Stats,
}

impl<D: Disk> Log<D> {
    /// Opens the log in this directory, or begins one, and returns what it holds. All of it is
    /// durable. Prepares a segment on the spot when there is none.
    ///
    /// # Errors
    /// When the disk refuses, or the directory was written by a newer release, or files of another
    /// log are mixed in. Damage is no error: it is in [`Recovered`].
    pub fn open(disk: D, config: Config) -> Result<(Self, Recovered), Error> {
        config.check()?;
        let opened = recover::open(&disk, &config)?;
        let replayed = opened.replayed;
        let recovered =
            Recovered { groups: replayed.groups, tail: opened.tail, damage: replayed.damage };
        let mut log = Self {
            disk,
            config,
            index: replayed.index,
            segments: opened.segments,
            marks: Marks {
                seq: opened.next,
                synced: opened.next - 1,
                oldest: opened.oldest,
                start: opened.start,
                next: 0,
            },
            to_confirm: opened.next - 1,
            confirmed: 0,
            poisoned: false,
            builder: Builder::default(),
            named_for: (0, 0),
            recent: None,
            stats: Stats::default(),
        };
        // What is quarantined stays so, even when the segments that show why are gone.
        let marks: Vec<_> = replayed
            .fresh
            .into_iter()
            .map(|(group, why)| (group, Change::Quarantine(why.into())))
            .collect();
        if !marks.is_empty() {
            log.write_changes(&marks)?;
            log.sync()?;
        }
        Ok((log, recovered))
    }

    /// Writes the records, in order, as one frame, or as several when they are very many. NOT
    /// durable before [`Self::sync`] returns.
    ///
    /// # Errors
    /// [`Error::Io`]: nothing was logged, the same call may be tried again. [`Error::TooLarge`] and
    /// [`Error::Quarantined`]: nothing was logged. Anything that went wrong after a part was logged
    /// poisons the log.
    ///
    /// # Panics
    /// When a record cannot follow what was logged for its group: a bug of the caller, found before
    /// it reaches the disk.
    pub fn write(&mut self, records: &[Record]) -> Result<WriteStats, Error> {
        let changes = self.split(records)?;
        self.write_changes(&changes)
    }

    /// Makes everything written durable. Does nothing when everything is.
    ///
    /// # Errors
    /// Any error poisons the log: every later call fails with [`Error::Poisoned`], because what a
    /// disk holds after a failed sync is unknown and a second sync would lie about it.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.check_poison()?;
        let last = self.marks.seq - 1;
        if self.marks.synced == last {
            return Ok(());
        }
        let active = self.segments.active_mut();
        let number = active.header.number;
        if let Err(error) = active.file.sync() {
            self.poisoned = !broken::is(Broken::Poison);
            return Err(Error::io("sync", &name::segment(number), error));
        }
        self.marks.synced = last;
        self.stats.syncs += 1;
        Ok(())
    }

    /// Notes in the log, without a sync, that everything written is durable, unless a frame says so
    /// already. Call it when there is nothing else to do, and before a clean stop: damage to the
    /// last frames is then known for damage and not taken for a torn write.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn rest(&mut self) -> Result<(), Error> {
        self.check_poison()?;
        self.recent = None;
        let everything_is_durable = self.marks.synced + 1 == self.marks.seq;
        if everything_is_durable && self.confirmed < self.to_confirm {
            // On a page of its own (in the next segment, if need be): a sector that goes bad must
            // not take the last frame and the note of it at once.
            let active = self.segments.active_mut();
            let page = active.offset.next_multiple_of(PAGE_BYTES);
            if page + 2 * HEAD_BYTES as u64 <= active.header.bytes {
                active.offset = page;
            } else {
                self.rotate()?;
            }
            self.write_frame(&[], &mut WriteStats::default())?;
        }
        Ok(())
    }

    /// Where the next frame goes: the file, and the offset in it.
    ///
    /// # Panics
    /// Never: an open log has a segment that it writes.
    pub fn position(&self) -> (String, u64) {
        let active = self.segments.active().expect("an open log has an active segment");
        (name::segment(active.header.number), active.offset)
    }

    /// How many segments the pool lacks. Ask after a sync.
    pub fn wants_segments(&self) -> usize {
        if self.poisoned || self.segments.is_requested() || !self.active_is_synced() {
            return 0;
        }
        self.segments.lacking(&self.config)
    }

    /// The next segment to prepare, when one is wanted and none is being prepared. Run
    /// [`crate::prepare_segment`] with it on another thread, then call [`Self::add_ready`] or
    /// [`Self::prepare_failed`].
    pub fn segment_request(&mut self) -> Option<SegmentRequest> {
        if self.wants_segments() == 0 {
            return None;
        }
        self.segments.set_requested(true);
        Some(self.segments.request(&self.config, self.marks.synced))
    }

    /// Takes a prepared segment into the pool.
    pub fn add_ready(&mut self, prepared: Prepared<D::File>) {
        assert!(self.segments.is_requested(), "no segment was asked for");
        self.segments.set_requested(false);
        self.segments.add_ready(prepared);
    }

    /// The segment that was asked for could not be made; another may be asked for. Until one is
    /// made, a full segment makes its writer wait.
    pub fn prepare_failed(&mut self) {
        assert!(self.segments.is_requested(), "no segment was asked for");
        self.segments.set_requested(false);
    }

    /// Files that are neither needed nor wanted for the pool: remove them with
    /// [`crate::remove_segments`] on another thread. Each is named once.
    pub fn take_removable(&mut self) -> Vec<String> {
        self.segments.take_removable(&self.config, self.freed_through())
    }

    /// Numbers about the log.
    pub fn stats(&self) -> Stats {
        Stats {
            segments: self.segments.needed_count(),
            ready: self.segments.ready_count(),
            groups: self.index.len(),
            last_frame: self.marks.seq - 1,
            synced_frame: self.marks.synced,
            ..self.stats
        }
    }

    /// How many frames these records would become.
    #[cfg(test)]
    pub(crate) fn frame_count(&self, records: &[Record]) -> Result<usize, Error> {
        let changes = self.split(records)?;
        let (mut rest, mut count) = (&changes[..], 0);
        while !rest.is_empty() {
            rest = &rest[self.changes_that_fit(rest)?..];
            count += 1;
        }
        Ok(count)
    }

    /// Settings it was opened with.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The directory.
    pub(crate) fn disk(&self) -> &D {
        &self.disk
    }

    /// Refuses to go on after a failed sync.
    pub(crate) fn check_poison(&self) -> Result<(), Error> {
        if self.poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// The log needs nothing before this segment any more, whose first frame is `start`; the next
    /// frame will be the first to say so.
    pub(crate) fn advance(&mut self) {
        let (oldest, first) = self.segments.free_oldest(self.marks.seq);
        self.marks.oldest = oldest;
        self.marks.start = first.unwrap_or(self.marks.seq);
        self.to_confirm = self.marks.seq;
    }

    /// Frames up to this one may free files by what they say.
    fn freed_through(&self) -> u64 {
        if broken::is(Broken::Barrier) { u64::MAX } else { self.marks.synced }
    }

    /// A segment made now may testify that the active one was in use.
    fn active_is_synced(&self) -> bool {
        let first = self.segments.active().and_then(|active| active.first);
        first.is_some_and(|first| first <= self.marks.synced)
    }

    /// The changes that the records ask for; appends too large for one frame become several.
    fn split<'a>(&self, records: &'a [Record]) -> Result<Vec<(RegionId, Change<'a>)>, Error> {
        let max = self.frame_bytes_max();
        let mut changes = Vec::with_capacity(records.len());
        for record in records {
            let group = record.group();
            let change = Change::of(record);
            let Record::Append { entries, .. } = record else {
                changes.push((group, change));
                continue;
            };
            if change.bytes_max() <= max {
                changes.push((group, change));
                continue;
            }
            let mut rest = entries.as_slice();
            while !rest.is_empty() {
                let (part, behind) = rest.split_at(entries_that_fit(rest, max)?);
                changes.push((group, Change::Append(part.into())));
                rest = behind;
            }
        }
        Ok(changes)
    }

    /// Most bytes of changes, by their upper bounds, in one frame.
    pub(crate) fn frame_bytes_max(&self) -> usize {
        let segment = usize::try_from(self.config.segment_bytes - HEADER_BYTES)
            .expect("a segment fits in memory");
        segment.min(FRAME_BYTES_MAX) - 2 * HEAD_BYTES - ENTRY_OVERHEAD_BYTES
    }

    /// Writes changes as one frame, or several when they do not fit one.
    pub(crate) fn write_changes(
        &mut self,
        changes: &[(RegionId, Change<'_>)],
    ) -> Result<WriteStats, Error> {
        self.check_poison()?;
        let mut stats = WriteStats::default();
        let mut rest = changes;
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(self.changes_that_fit(rest)?);
            let result = self.write_frame(part, &mut stats);
            if let Err(error) = result {
                // Frames of this call stand in the log already: the caller cannot try again.
                self.poisoned |= stats.frames > 0;
                return Err(error);
            }
            rest = behind;
        }
        Ok(stats)
    }

    /// How many changes go into the next frame; at least one.
    fn changes_that_fit(&self, changes: &[(RegionId, Change<'_>)]) -> Result<usize, Error> {
        let max = self.frame_bytes_max();
        let target = max.min(FRAME_BYTES_TARGET);
        let mut bytes = 0;
        for (count, (_, change)) in changes.iter().enumerate() {
            let more = change.bytes_max() + crate::frame::SECTION_HEAD_BYTES;
            if count == 0 && change.bytes_max() > max {
                return Err(Error::TooLarge { bytes: more as u64, max: max as u64 });
            }
            let may_end = || bytes + more > max || may_part(&changes[..=count]);
            if count > 0 && bytes + more > target && may_end() {
                return Ok(count);
            }
            bytes += more;
        }
        Ok(changes.len())
    }

    /// Writes one frame.
    fn write_frame(
        &mut self,
        changes: &[(RegionId, Change<'_>)],
        stats: &mut WriteStats,
    ) -> Result<(), Error> {
        let order = by_group(changes);
        self.check(changes, &order)?;
        self.build(changes, &order);
        if !self.has_room() {
            self.rotate()?;
            stats.rotations += 1;
            self.build(changes, &order);
        }
        let seq = self.marks.seq;
        let (salt, offset) = self.append_built(stats)?;
        for ((at, section), run) in self.builder.placed(offset).zip(groups_of(changes, &order)) {
            let place =
                Place { segment: salt.number, offset: at, len: section.len, crc: section.crc };
            for (group, change) in run.iter().map(|&at| &changes[at]) {
                assert!(*group == section.group, "a change of {group} in {section:?}");
                let cuts = self.index.apply(*group, change, seq, place);
                stats.suffixes_cut += u64::from(cuts);
            }
        }
        if !changes.is_empty() {
            self.to_confirm = seq;
        }
        Ok(())
    }

    /// What was built fits the active segment and leaves room for the frame that ends it.
    fn has_room(&self) -> bool {
        let active = self.segments.active().expect("an open log has an active segment");
        align(active.offset + self.builder.len()) + HEAD_BYTES as u64 <= active.header.bytes
    }

    /// Every change may follow what its group logged before.
    fn check(&self, changes: &[(RegionId, Change<'_>)], order: &[usize]) -> Result<(), Error> {
        for run in groups_of(changes, order) {
            let group = changes[run[0]].0;
            let mut cursor = self.index.cursor(group);
            for (_, change) in run.iter().map(|&at| &changes[at]) {
                if cursor.quarantined && !matches!(change, Change::Forget | Change::Quarantine(_)) {
                    return Err(Error::Quarantined { group });
                }
                cursor.step(group, change);
            }
        }
        Ok(())
    }

    /// Puts the changes into the builder, one section per group.
    fn build(&mut self, changes: &[(RegionId, Change<'_>)], order: &[usize]) {
        self.builder.begin(groups_of(changes, order).count());
        for run in groups_of(changes, order) {
            let group = changes[run[0]].0;
            for (_, change) in run.iter().map(|&at| &changes[at]) {
                change.encode(self.builder.body());
            }
            self.builder.end_section(group, self.index.last_frame(group));
        }
    }

    /// Writes what was built as the next frame of the active segment; returns where it stands.
    fn append_built(&mut self, stats: &mut WriteStats) -> Result<(Salt, u64), Error> {
        let active = self.segments.active_mut();
        let (offset, header) = (active.offset, active.header);
        let frame = self.builder.len();
        let bytes = self.builder.seal(self.marks, header.salt(), offset);
        let written = bytes.len() as u64;
        assert!(offset + written <= header.bytes, "a frame beyond the end of {header:?}");
        if let Err(error) = active.file.write_at(offset, bytes) {
            // All of it may have arrived nevertheless. It must not be found again behind a frame
            // that takes its place, so its head is blotted out.
            let taken_back = active.file.write_at(offset, &[0; HEAD_BYTES]);
            self.poisoned |= taken_back.is_err();
            return Err(Error::io("write", &name::segment(header.number), error));
        }
        active.first.get_or_insert(self.marks.seq);
        active.offset = align(offset + frame);
        self.marks.seq += 1;
        self.confirmed = self.marks.synced;
        stats.frames += 1;
        stats.bytes += written;
        self.stats.frames += 1;
        self.stats.bytes += written;
        Ok((header.salt(), offset))
    }

    /// Goes on in the next segment. The last frame of this one says which that is, so that it
    /// cannot vanish unnoticed.
    fn rotate(&mut self) -> Result<(), Error> {
        if self.segments.ready_count() == 0 {
            let request = self.segments.request(&self.config, self.marks.synced);
            let prepared = prepare_segment(&self.disk, &request)?;
            self.segments.add_ready(prepared);
            self.stats.prepared_inline += 1;
        }
        self.marks.next = self.segments.next_ready().expect("a segment is ready");
        self.builder.begin(0);
        let ended = self.append_built(&mut WriteStats::default());
        self.marks.next = 0;
        ended?;
        // Frames of the next segment then prove that those of this one were durable. An error
        // poisons, so this segment is never written behind its end.
        if !broken::is(Broken::SyncAtRotation) {
            self.sync()?;
        }
        let rotated = self.segments.rotate();
        assert!(rotated, "a segment was ready");
        self.stats.rotations += 1;
        Ok(())
    }
}

/// Whether a frame may end before the last of these: not in the midst of what is said of a group
/// besides entries, such as the birth of an heir.
fn may_part(changes: &[(RegionId, Change<'_>)]) -> bool {
    let [.., (before, last), (group, next)] = changes else { return false };
    before != group || matches!((last, next), (Change::Append(_), Change::Append(_)))
}

/// The places of the changes, those of one group together, each group's in order.
fn by_group(changes: &[(RegionId, Change<'_>)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..changes.len()).collect();
    order.sort_by_key(|&at| changes[at].0);
    order
}

/// `order` in parts of one group each.
fn groups_of<'a>(
    changes: &'a [(RegionId, Change<'_>)],
    order: &'a [usize],
) -> impl Iterator<Item = &'a [usize]> + 'a {
    order.chunk_by(|&a, &b| changes[a].0 == changes[b].0)
}

/// How many of the entries fit one frame.
fn entries_that_fit(entries: &[Entry], max: usize) -> Result<usize, Error> {
    let mut bytes = ENTRY_OVERHEAD_BYTES;
    for (count, entry) in entries.iter().enumerate() {
        bytes += entry_bytes_max(entry);
        if bytes > max {
            if count == 0 {
                return Err(Error::TooLarge { bytes: bytes as u64, max: max as u64 });
            }
            return Ok(count);
        }
    }
    Ok(entries.len())
}
