//! Where segments come from and where they go: rotation, the pool, recycling, rewriting, laggards.

use kontiki_types::{Index, RegionId};

use crate::limits::FRAME_BYTES_TARGET;
use crate::simdisk::Crash;
use crate::{Collected, Log, Record, SimDisk, prepare_segment, remove_segments};

use super::model::{Draw, Model, append, compact, hard};
use super::run::config;

/// A log whose host keeps the pool full.
fn tend(log: &mut Log<SimDisk>, disk: &SimDisk) {
    let removable = log.take_removable();
    remove_segments(disk, &removable).unwrap();
    while let Some(request) = log.segment_request() {
        let prepared = prepare_segment(disk, &request).unwrap();
        log.add_ready(prepared);
    }
}

/// Writes what the log then must hold, durably, and frees what it can.
fn write_and_collect(log: &mut Log<SimDisk>, model: &mut Model, records: &[Record]) -> Collected {
    for record in records {
        model.apply(record);
    }
    log.write(records).unwrap();
    log.sync().unwrap();
    let collected = log.collect().unwrap();
    assert_eq!(collected.laggards, [], "too much to rewrite");
    collected
}

#[test]
fn with_a_tended_pool_no_writer_waits_and_files_are_recycled() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), config(8192)).unwrap();
    for index in 1..400 {
        log.write(&[append(1, 1, index, &[7; 600]), compact(1, 1, index)]).unwrap();
        log.sync().unwrap();
        log.collect().unwrap();
        tend(&mut log, &disk);
    }
    let stats = log.stats();
    assert!(stats.rotations > 40, "{stats:?}");
    assert_eq!(stats.prepared_inline, 0, "{stats:?}");
    // One written, up to three kept, two ready, two spare.
    assert!(disk.names().len() <= 8, "{:?}", disk.names());
}

#[test]
fn leftovers_of_idle_groups_are_rewritten_and_survive() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), config(8192)).unwrap();
    let mut model = Model::default();
    let mut write = |log: &mut _, records: &_| write_and_collect(log, &mut model, records);
    write(&mut log, &[hard(1, 3), append(1, 2, 1, b"idle"), append(1, 3, 2, b"too")]);
    write(&mut log, &[hard(2, 1), append(2, 1, 1, b"x"), append(2, 1, 2, b"y"), compact(2, 1, 1)]);
    for index in 1..200 {
        write(&mut log, &[append(3, 1, index, &[7; 600]), compact(3, 1, index)]);
    }
    let stats = log.stats();
    assert!(stats.retired > 20 && stats.segments <= 4 && stats.rewritten_bytes > 0, "{stats:?}");
    disk.crash(Crash::Lose, &mut || 0);
    let (_, recovered) = Log::open(disk, config(8192)).unwrap();
    assert_eq!(Model::of(&recovered), Some(model));
}

#[test]
fn a_hard_state_that_holds_a_segment_back_is_said_again_without_the_entries() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), config(8192)).unwrap();
    let mut model = Model::default();
    let mut write = |log: &mut _, records: &_| write_and_collect(log, &mut model, records);
    // Voted once, and keeps its last eleven entries, which nearly fill a segment.
    write(&mut log, &[hard(1, 3)]);
    let mut rewritten = 0;
    for index in 1..200 {
        let compacted = (index > 11).then(|| compact(1, 3, index - 11));
        let records: Vec<_> =
            [append(1, 3, index, &[7; 600])].into_iter().chain(compacted).collect();
        let collected = write(&mut log, &records);
        assert!(collected.rewritten_bytes < 600, "{collected:?}");
        rewritten += collected.rewritten_bytes;
    }
    let stats = log.stats();
    assert!(stats.retired > 20 && stats.segments <= 4 && rewritten > 0, "{stats:?}");
    disk.crash(Crash::Lose, &mut || 0);
    let (_, recovered) = Log::open(disk, config(8192)).unwrap();
    assert_eq!(Model::of(&recovered), Some(model));
}

#[test]
fn a_group_with_too_much_to_rewrite_is_named_and_compaction_frees_its_segments() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk, config(8192)).unwrap();
    for index in 1..40 {
        log.write(&[append(9, 1, index, &[7; 600])]).unwrap();
    }
    log.sync().unwrap();
    let collected = log.collect().unwrap();
    assert_eq!(collected.laggards, [RegionId(9)]);
    assert_eq!((collected.retired, collected.rewritten_bytes), (0, 0));
    let before = log.stats().segments;
    log.write(&[compact(9, 1, 39)]).unwrap();
    let collected = log.collect().unwrap();
    assert_eq!(collected.retired, before - 1, "all but the one being written");
}

#[test]
fn a_segment_prepared_too_late_is_not_written_out_of_order() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), config(8192)).unwrap();
    log.write(&[append(1, 1, 1, &[1; 600])]).unwrap();
    log.sync().unwrap();
    let late = log.segment_request().unwrap();
    for index in 2..30 {
        log.write(&[append(1, 1, index, &[1; 600])]).unwrap();
    }
    assert!(log.stats().prepared_inline > 2);
    log.add_ready(prepare_segment(&disk, &late).unwrap());
    assert_eq!(log.stats().ready, 0, "its number is below that of the active segment");
    log.sync().unwrap();
    assert_eq!(log.take_removable(), Vec::<String>::new(), "kept as a spare");
    let again = log.segment_request().unwrap();
    assert!(again.recycle.is_some(), "{again:?}");
    disk.crash(Crash::Lose, &mut || 0);
    let (_, recovered) = Log::open(disk, config(8192)).unwrap();
    assert_eq!(Model::of(&recovered).unwrap().groups[&RegionId(1)].entries.len(), 29);
}

#[test]
fn very_many_records_become_several_frames() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), config(8192)).unwrap();
    let records: Vec<Record> = (1..=30).map(|index| append(1, 1, index, &[1; 500])).collect();
    let stats = log.write(&records).unwrap();
    assert!(stats.frames > 3 && stats.rotations > 3, "{stats:?}");
    log.sync().unwrap();
    disk.crash(Crash::Lose, &mut || 0);
    let (_, recovered) = Log::open(disk, config(8192)).unwrap();
    assert_eq!(Model::of(&recovered).unwrap().groups[&RegionId(1)].entries.len(), 30);
}

#[test]
fn a_frame_ends_at_its_target_but_for_a_larger_record() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), config(16 << 20)).unwrap();
    let large = vec![1; FRAME_BYTES_TARGET * 2];
    let half = vec![2; FRAME_BYTES_TARGET / 2 - 1000];
    let records = [
        append(1, 1, 1, &large),
        append(2, 1, 1, &half),
        append(3, 1, 1, &half),
        append(4, 1, 1, &half),
    ];
    assert_eq!(log.write(&records).unwrap().frames, 3, "the large one, two halves, the last half");
    log.sync().unwrap();
    disk.crash(Crash::Lose, &mut || 0);
    let (_, recovered) = Log::open(disk, config(16 << 20)).unwrap();
    assert_eq!(Model::of(&recovered).unwrap().groups.len(), 4);
}

#[test]
fn what_is_said_of_a_group_besides_entries_is_not_cut_in_two() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), config(16 << 20)).unwrap();
    log.write(&[hard(1, 5), append(1, 5, 1, b"old")]).unwrap();
    // As an heir is born: behind what fills a frame more and more.
    let forget = || Record::Forget { group: RegionId(1) };
    let mut lens = Vec::new();
    let mut frames = Vec::new();
    for (index, spare) in (1..).zip((0..2000).step_by(40)) {
        let large = vec![2; FRAME_BYTES_TARGET - 2000 + spare];
        let records = [append(2, 1, index, &large), forget(), append(1, 5, 1, b"new"), hard(1, 5)];
        frames.push(log.write(&records).unwrap().frames);
        lens.extend(log.index.group(RegionId(1)).unwrap().runs.iter().map(|run| run.place.len));
    }
    assert!(frames.contains(&1) && frames.contains(&2), "{frames:?}");
    assert!(lens.iter().all(|len| *len == lens[0]), "cut in two: {lens:?}");
}

#[test]
fn groups_that_compact_when_they_are_named_stay_within_the_log() {
    for groups in [50, 500, 2000] {
        let disk = SimDisk::new();
        let (mut log, _) = Log::open(disk.clone(), config(1 << 20)).unwrap();
        let keep = log.config().keep_segments;
        let mut last = vec![0; groups];
        let mut draw = Draw(1);
        let mut named = Vec::new();
        let mut peak = 0;
        for _ in 0..1500 {
            let end = |group: RegionId| last[usize::try_from(group.0 - 1).unwrap()];
            let compact = |group: RegionId| compact(group.0, 1, end(group));
            let mut records: Vec<_> = named.drain(..).map(compact).collect();
            for _ in 0..100 {
                let group = draw.below(groups as u64);
                let index = &mut last[usize::try_from(group).unwrap()];
                *index += 1;
                records.push(append(group + 1, 1, *index, &[7; 300]));
            }
            log.write(&records).unwrap();
            log.sync().unwrap();
            named = log.collect().unwrap().laggards;
            tend(&mut log, &disk);
            peak = peak.max(log.stats().segments);
        }
        assert!(peak <= 2 * keep + 2, "{groups} groups: {peak} segments, {keep} are to be kept");
    }
}

#[test]
fn a_large_group_that_nobody_compacts_is_moved_when_the_log_is_twice_too_long() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), config(4 << 20)).unwrap();
    for index in 1..=3 {
        log.write(&[append(9, 1, index, &vec![9; 1 << 20])]).unwrap();
    }
    let mut named = 0;
    for index in 1..100 {
        log.write(&[append(1, 1, index, &vec![7; 1 << 20]), compact(1, 1, index)]).unwrap();
        log.sync().unwrap();
        named += log.collect().unwrap().laggards.len();
        tend(&mut log, &disk);
    }
    let keep = log.config().keep_segments;
    assert!(named > 1 && log.stats().segments <= 2 * keep + 2, "{named} {:?}", log.stats());
    let read = log.entries(RegionId(9), Index(0), Index(3), usize::MAX).unwrap().unwrap();
    assert!(read.len() == 3 && read.iter().all(|entry| entry.data[..] == vec![9; 1 << 20]));
}

#[test]
fn zeroes_at_the_end_of_the_log_are_part_of_it() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), config(4 << 20)).unwrap();
    let mut model = Model::default();
    // Longer than what is read at once, and pages of them in the last frame of a used segment.
    for (index, len) in [(1, 5), (2, 1_500_000), (3, 70_000)] {
        let record = append(1, 1, index, &vec![0; len]);
        model.apply(&record);
        log.write(&[record]).unwrap();
        log.sync().unwrap();
    }
    disk.crash(Crash::Lose, &mut || 0);
    let (_, recovered) = Log::open(disk, config(4 << 20)).unwrap();
    assert_eq!(Model::of(&recovered), Some(model));
}
