//! Damage at rest: bits flipped, sectors zeroed, files cut and deleted, writes gone astray.
//!
//! The rule: a group is recovered exactly, or quarantined; never silently something else. What was
//! confirmed durable (by a later frame or a rest) is never taken for a torn end.

use kontiki_types::RegionId;

use crate::broken::{self, Broken};
use crate::simdisk::{Crash, Effect, Operation};
use crate::{Damage, Error, Group, Log, Record, Recovered, SimDisk, Tail};

use super::model::{Model, append, hard};
use super::run::{Checked, Run, config};

/// A log with several segments, recycled ones among them, at rest.
fn at_rest(seed: u64, forgets: bool) -> Run {
    let mut run = Run::new(seed, &SimDisk::new(), config(8192)).unwrap();
    run.shape.forgets = forgets;
    for _ in 0..120 {
        run.step().unwrap();
    }
    run.sync().unwrap();
    run.log.rest().unwrap();
    run
}

/// No group is silently different from the model.
fn check(model: &Model, recovered: &Recovered) -> Checked {
    let damaged = !recovered.damage.is_empty();
    for (id, group) in &recovered.groups {
        match group {
            Group::Quarantined { .. } if damaged => {}
            Group::Quarantined { why } => {
                return Err(format!("{id} quarantined for nothing: {why}"));
            }
            Group::Whole { hard_state, snapshot, entries } => {
                let Some(known) = model.groups.get(id) else {
                    return Err(format!("{id} is back from the dead"));
                };
                let same = (hard_state, snapshot, entries)
                    == (&known.hard_state, &known.meta, &known.entries);
                if !same {
                    return Err(format!("{id} is {group:?}, was {known:?}"));
                }
            }
        }
    }
    for id in model.groups.keys() {
        if !recovered.groups.contains_key(id) && !recovered.may_hide_groups() {
            return Err(format!("{id} is gone without a word"));
        }
    }
    Ok(())
}

/// Opens a damaged copy; a second open must find the same.
fn reopen(disk: &SimDisk) -> Result<Recovered, Error> {
    let (log, first) = Log::open(disk.clone(), config(8192))?;
    drop(log);
    disk.crash(Crash::Lose, &mut || 0);
    let (_, second) = Log::open(disk.clone(), config(8192))?;
    let names = |recovered: &Recovered| recovered.quarantined().collect::<Vec<_>>();
    assert_eq!(names(&first), names(&second), "{first:?} then {second:?}");
    Ok(first)
}

/// Every byte of every file (sampled by `stride`), one flipped bit each.
fn flip_everything(seed: u64, stride: usize) -> Result<usize, String> {
    let run = at_rest(seed, true);
    let mut noticed = 0;
    let mut turn = 0_u32;
    for name in run.disk.names() {
        let len = run.disk.contents(&name).unwrap().len();
        for at in (0..len).step_by(stride) {
            turn += 1;
            let disk = run.disk.fork();
            disk.flip(&name, at as u64, 1 << (turn % 8));
            let recovered = reopen(&disk).map_err(|error| format!("{name} {at}: {error}"))?;
            check(run.model(), &recovered).map_err(|wrong| format!("{name} at {at}: {wrong}"))?;
            noticed += usize::from(!recovered.damage.is_empty());
        }
    }
    Ok(noticed)
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let mut noticed = 0;
    for seed in 0..6 {
        noticed += flip_everything(seed, 61).unwrap();
    }
    assert!(noticed > 300, "only {noticed} flips hit anything: the test lost its teeth");
}

#[test]
fn zeroed_sectors_cut_files_and_lost_files_do_not_go_unnoticed() {
    for seed in 0..8 {
        let run = at_rest(seed, true);
        for name in run.disk.names() {
            let len = run.disk.contents(&name).unwrap().len() as u64;
            for at in (0..len).step_by(512) {
                let zeroed = run.disk.fork();
                zeroed.zero(&name, at, 512);
                unnoticed(&run, &zeroed, &format!("seed {seed}: {name} zeroed at {at}"));
                let cut = run.disk.fork();
                cut.truncate(&name, at);
                unnoticed(&run, &cut, &format!("seed {seed}: {name} cut at {at} of {len}"));
            }
            // The segment before tells that there is one behind it, so the newest is missed too.
            let lost = run.disk.fork();
            crate::Disk::remove(&lost, &name).unwrap();
            crate::Disk::sync_dir(&lost).unwrap();
            unnoticed(&run, &lost, &format!("seed {seed}: {name} lost"));
        }
    }
}

/// Fails with `what` when the damaged disk is taken for a whole one.
fn unnoticed(run: &Run, disk: &SimDisk, what: &str) {
    if let Err(wrong) = check(run.model(), &reopen(disk).unwrap()) {
        panic!("{what}: {wrong}");
    }
}

/// The body of a section is one group's: its damage touches no other.
#[test]
fn a_damaged_section_quarantines_its_group_and_no_other() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), config(8192)).unwrap();
    let records: Vec<Record> = (1..=3).map(|g| append(g, 1, 1, &[b'0'; 90])).collect();
    log.write(&records).unwrap();
    log.write(&[append(1, 1, 2, b"x"), append(2, 1, 2, b"y"), append(3, 1, 2, b"z")]).unwrap();
    log.sync().unwrap();
    log.rest().unwrap();
    // Head of three sections, then the middle of the second of three equal sections.
    let at = 4096 + 56 + 3 * 24 + 100 + 50;
    disk.flip("0000000000000001.log", at, 4);
    let recovered = reopen(&disk).unwrap();
    assert_eq!(recovered.quarantined().collect::<Vec<_>>(), [RegionId(2)]);
    assert_eq!(recovered.damage, [Damage::Section { group: RegionId(2), frame: 1 }]);
}

/// With its head unreadable a frame may have touched anyone; later sections prove who is whole.
#[test]
fn an_unreadable_frame_spares_groups_whose_chain_is_whole() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), config(8192)).unwrap();
    log.write(&[hard(1, 1), hard(2, 1), hard(3, 1)]).unwrap();
    log.write(&[hard(2, 2)]).unwrap();
    log.write(&[hard(1, 3), hard(2, 3)]).unwrap();
    log.sync().unwrap();
    log.rest().unwrap();
    let first_frame = 56 + 3 * 24 + 3 * 5_u64;
    disk.flip("0000000000000001.log", 4096 + first_frame.next_multiple_of(8) + 17, 1);
    let recovered = reopen(&disk).unwrap();
    assert_eq!(recovered.damage, [Damage::Unreadable { first: 2, last: 2 }]);
    // 1 continued from frame 1; 2 from the lost frame 2; of 3 nothing is known.
    assert_eq!(recovered.quarantined().collect::<Vec<_>>(), [RegionId(2), RegionId(3)]);
}

/// Without a rest the last frame may be torn or damaged: then it is dropped, and said so.
#[test]
fn damage_to_an_unconfirmed_end_is_reported_as_torn() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), config(8192)).unwrap();
    log.write(&[hard(1, 1)]).unwrap();
    log.sync().unwrap();
    log.write(&[hard(1, 2)]).unwrap();
    log.sync().unwrap();
    let unconfirmed = disk.fork();
    unconfirmed.flip("0000000000000001.log", 4096 + 88 + 82, 1);
    let recovered = reopen(&unconfirmed).unwrap();
    assert_eq!(recovered.tail, Tail::Torn { frame: 2 });
    assert_eq!(recovered.quarantined().count(), 0);
    log.rest().unwrap();
    disk.flip("0000000000000001.log", 4096 + 88 + 82, 1);
    let recovered = reopen(&disk).unwrap();
    assert_eq!(recovered.tail, Tail::Whole);
    assert_eq!(recovered.quarantined().collect::<Vec<_>>(), [RegionId(1)]);
}

#[test]
fn misdirected_writes_do_not_go_unnoticed() {
    for seed in 0..60_u64 {
        let mut run = Run::new(seed, &SimDisk::new(), config(8192)).unwrap();
        for _ in 0..40 {
            run.step().unwrap();
        }
        run.sync().unwrap();
        // Some frame to come lands 8 bytes, a sector, or a page away, before or behind.
        let by = [8, -8, 512, -512, 4096, -2048][usize::try_from(seed % 6).unwrap()];
        run.disk.inject(Operation::Write, 1 + seed % 5, Effect::Misdirect(by));
        for _ in 0..8 {
            run.write().unwrap();
            run.sync().unwrap();
        }
        run.log.rest().unwrap();
        check(run.model(), &reopen(&run.disk.fork()).unwrap()).unwrap();
    }
}

/// Quarantine outlives the segments that show why, until the group is forgotten.
#[test]
fn quarantine_stays_until_the_group_is_forgotten() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), config(8192)).unwrap();
    log.write(&[hard(1, 1), hard(2, 1)]).unwrap();
    log.sync().unwrap();
    log.rest().unwrap();
    disk.flip("0000000000000001.log", 4096 + 56 + 48 + 2, 1);
    let (mut log, recovered) = Log::open(disk.clone(), config(8192)).unwrap();
    assert_eq!(recovered.quarantined().collect::<Vec<_>>(), [RegionId(1)]);
    let refused = log.write(&[hard(1, 5)]).unwrap_err();
    assert!(matches!(refused, Error::Quarantined { group: RegionId(1) }), "{refused}");
    for index in 1..60 {
        log.write(&[append(2, 1, index, &[0; 900]), super::model::compact(2, 1, index)]).unwrap();
        log.sync().unwrap();
        log.collect().unwrap();
    }
    log.sync().unwrap();
    assert!(log.stats().retired > 5, "{:?}", log.stats());
    let (mut log, recovered) = Log::open(disk.clone(), config(8192)).unwrap();
    assert_eq!(recovered.quarantined().collect::<Vec<_>>(), [RegionId(1)]);
    assert_eq!(recovered.damage, [], "the damaged segment is gone");
    log.write(&[Record::Forget { group: RegionId(1) }, hard(1, 7)]).unwrap();
    log.sync().unwrap();
    let (_, recovered) = Log::open(disk, config(8192)).unwrap();
    assert_eq!(recovered.quarantined().count(), 0);
    assert!(matches!(recovered.groups[&RegionId(1)], Group::Whole { .. }));
}

fn assert_caught(broken: Broken) {
    let caught = (0..10).find_map(|seed| {
        let run = || std::panic::catch_unwind(|| flip_everything(seed, 61));
        match broken::with(broken, run) {
            Ok(Ok(_)) => None,
            Ok(Err(wrong)) => Some(wrong),
            Err(_) => Some("a panic".to_owned()),
        }
    });
    let wrong = caught.unwrap_or_else(|| panic!("{broken:?} went unnoticed"));
    println!("{broken:?}: {wrong}");
}

#[test]
fn ignoring_the_watermark_is_caught() {
    assert_caught(Broken::Watermark);
}

#[test]
fn ignoring_the_chain_of_sections_is_caught() {
    assert_caught(Broken::Chain);
}
