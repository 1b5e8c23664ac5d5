//! The log alone, on its simulated disk: orders of crashes that chance almost never finds.

use bytes::Bytes;
use kontiki_log::simdisk::{Crash, Effect, Operation};
use kontiki_log::{Config, Group, Log, Record, Recovered, SimDisk, remove_segments};
use kontiki_types::{Entry, EntryKind, Index, Membership, Position, RegionId, SnapshotMeta, Term};

/// A segment of a few frames.
const SEGMENT_BYTES: u64 = 16 * 1024;
/// An entry whose frame is one page exactly, so that what replaces it does not touch the page
/// behind: the head of a frame, the head of a section and the head of an entry go with it.
const PAGE_DATA: usize = 4096 - 56 - 24 - 7;
/// Sectors of a page.
const PAGE_SECTORS: u32 = 8;

/// A frame is lost and the one behind it is not; then another frame takes the place of the first,
/// and exactly its length. The one behind must not come back.
pub(super) fn lost_frame() -> Result<(), String> {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk)?;
    write(&mut log, &[append(1, 1, PAGE_DATA)])?;
    write(&mut log, &[append(2, 1, 1)])?;
    let mut sectors = 0;
    disk.crash(Crash::Subset, &mut || {
        sectors += 1;
        u64::from(sectors > PAGE_SECTORS)
    });
    let (mut log, _) = open(&disk)?;
    write(&mut log, &[append(3, 1, PAGE_DATA)])?;
    log.sync().map_err(text)?;
    drop(log);
    let (_, recovered) = open(&disk)?;
    let found: Vec<u64> = recovered.groups.keys().map(|group| group.0).collect();
    if found == [3] { Ok(()) } else { Err(format!("logs of {found:?}, written was 3 only")) }
}

/// A log is compacted, and the power goes before the note of it is durable. The entries must still
/// be there.
pub(super) fn unsynced_note() -> Result<(), String> {
    const LAST: u64 = 40;
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk)?;
    for index in 1..=LAST {
        write(&mut log, &[append(1, index, 1000)])?;
        log.sync().map_err(text)?;
    }
    let position = Position::new(Term(1), Index(LAST));
    let to = SnapshotMeta { position, membership: Membership::of_voters(3) };
    write(&mut log, &[Record::Compact { group: RegionId(1), to }])?;
    log.collect().map_err(text)?;
    remove_segments(&disk, &log.take_removable()).map_err(text)?;
    disk.crash(Crash::Lose, &mut || 0);
    let (_, recovered) = open(&disk)?;
    holds(&recovered, LAST)
}

/// A sync fails, and the caller tries it once more. Whatever is called durable then must be there.
pub(super) fn failed_sync() -> Result<(), String> {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk)?;
    write(&mut log, &[append(1, 1, 10)])?;
    log.sync().map_err(text)?;
    write(&mut log, &[append(1, 2, 10)])?;
    disk.inject(Operation::Sync, 1, Effect::Error);
    let _ = log.sync();
    let durable = if log.sync().is_ok() { 2 } else { 1 };
    disk.crash(Crash::Lose, &mut || 0);
    let (_, recovered) = open(&disk)?;
    holds(&recovered, durable)
}

fn open(disk: &SimDisk) -> Result<(Log<SimDisk>, Recovered), String> {
    let config =
        Config { segment_bytes: SEGMENT_BYTES, ready_segments: 2, keep_segments: 3, salt: 77 };
    Log::open(disk.clone(), config).map_err(text)
}

fn write(log: &mut Log<SimDisk>, records: &[Record]) -> Result<(), String> {
    log.write(records).map(|_| ()).map_err(text)
}

/// One entry of so many bytes.
fn append(group: u64, index: u64, bytes: usize) -> Record {
    let position = Position::new(Term(1), Index(index));
    let data = Bytes::from(vec![7; bytes]);
    let entry = Entry { position, kind: EntryKind::Normal, data };
    Record::Append { group: RegionId(group), entries: vec![entry] }
}

/// The log of the first group ends at this index, or begins after it.
fn holds(recovered: &Recovered, last: u64) -> Result<(), String> {
    match recovered.groups.get(&RegionId(1)) {
        Some(Group::Whole { entries, snapshot, .. }) => {
            let found = entries.last().map_or(snapshot.position, |entry| entry.position).index;
            if found >= Index(last) { Ok(()) } else { Err(format!("ends at {found}, not {last}")) }
        }
        other => Err(format!("found {other:?}, damage {:?}", recovered.damage)),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
