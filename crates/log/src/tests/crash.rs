//! Crashes at every operation of a run, with everything that a disk may do to what was not synced.

use crate::broken::{self, Broken};
use crate::simdisk::{Crash, Operation};
use crate::{Error, Log, SimDisk, Tail};

use super::model::{Draw, append};
use super::run::{CRASHES, Checked, Run, config};

/// Lives until the power goes after `operations`, then recovers (with the power going once more in
/// the middle of that), lives on, crashes again, and recovers.
fn live_and_die(
    seed: u64,
    operations: u64,
    crash: Crash,
    prepare: &dyn Fn(&SimDisk),
) -> Result<bool, String> {
    let disk = SimDisk::new();
    let config = config(8192);
    let Ok(mut run) = Run::new(seed, &disk, config.clone()) else {
        return Err("cannot open an empty disk".to_owned());
    };
    prepare(&disk);
    disk.power_off_after(operations);
    let mut finished = true;
    for _ in 0..60 {
        if run.step().is_err() {
            finished = false;
            break;
        }
    }
    // Chance that depends on where the power went.
    run.draw = Draw(seed ^ operations.wrapping_mul(0x5851_f42d_4c95_7f2d));
    run.crash(crash);
    disk.power_off_after(run.draw.below(12));
    if let Err(error) = Log::open(disk.clone(), config.clone())
        && !matches!(error, Error::Io { .. })
    {
        return Err(format!("interrupted recovery: {error}"));
    }
    run.crash_somehow();
    for _ in 0..3 {
        run.resume(config.clone()).map_err(|error| format!("recovery: {error}"))??;
        for _ in 0..run.draw.below(20) {
            run.step().map_err(|error| format!("life after recovery: {error}"))?;
        }
        run.crash_somehow();
    }
    Ok(finished)
}

/// Every crash point of one run, in every way.
fn enumerate(seed: u64, prepare: &dyn Fn(&SimDisk)) -> Checked {
    for crash in CRASHES {
        for operations in 0.. {
            let finished = live_and_die(seed, operations, crash, prepare)
                .map_err(|wrong| format!("seed {seed}, {operations}, {crash:?}: {wrong}"))?;
            if finished {
                break;
            }
        }
    }
    Ok(())
}

#[test]
fn nothing_synced_is_lost_whatever_the_crash() {
    for seed in 0..12 {
        enumerate(seed, &|_| ()).unwrap();
    }
}

/// The checker must find something in a few runs of a broken log.
fn assert_caught(broken: Broken) {
    let caught = (0..40).find_map(|seed| {
        let run = || std::panic::catch_unwind(|| enumerate(seed, &|_| ()));
        match broken::with(broken, run) {
            Ok(Ok(())) => None,
            Ok(Err(wrong)) => Some(wrong),
            Err(_) => Some("a panic".to_owned()),
        }
    });
    let wrong = caught.unwrap_or_else(|| panic!("{broken:?} went unnoticed"));
    println!("{broken:?}: {wrong}");
}

#[test]
fn checksums_without_salt_are_caught() {
    assert_caught(Broken::Salt);
}

/// A frame is lost and the one behind it is not; then another frame takes the place of the first,
/// and exactly its length. The one behind must not come back.
fn outlive_a_lost_frame() -> Checked {
    let disk = SimDisk::new();
    let open = || Log::open(disk.clone(), config(16384)).map_err(|error| error.to_string());
    let (mut log, _) = open()?;
    // One page exactly, so that what replaces it does not touch the page behind.
    let data = [7; 4096 - 56 - 24 - 7];
    log.write(&[append(1, 1, 1, &data)]).unwrap();
    log.write(&[append(2, 1, 1, b"behind")]).unwrap();
    let mut sectors = 0;
    disk.crash(Crash::Subset, &mut || {
        sectors += 1;
        u64::from(sectors > 8)
    });
    let (mut log, recovered) = open()?;
    assert_eq!((recovered.tail, recovered.groups.len()), (Tail::Torn { frame: 1 }, 0));
    log.write(&[append(3, 1, 1, &data)]).unwrap();
    log.sync().unwrap();
    drop(log);
    let (_, recovered) = open()?;
    let groups: Vec<u64> = recovered.groups.keys().map(|group| group.0).collect();
    if groups == [3] { Ok(()) } else { Err(format!("groups {groups:?}, wrote 3 only")) }
}

#[test]
fn what_stood_behind_a_lost_frame_never_comes_back() {
    outlive_a_lost_frame().unwrap();
    let wrong = broken::with(Broken::Erase, outlive_a_lost_frame);
    println!("{}", wrong.expect_err("a stale frame went unnoticed"));
}

#[test]
fn freeing_segments_too_early_is_caught() {
    assert_caught(Broken::Barrier);
}

#[test]
fn rotating_without_a_sync_is_caught() {
    assert_caught(Broken::SyncAtRotation);
}

#[test]
fn a_directory_that_is_never_synced_is_caught() {
    let caught =
        (0..40).find_map(|seed| enumerate(seed, &|disk| disk.lie(Operation::SyncDir)).err());
    println!("{}", caught.expect("unsynced names went unnoticed"));
}
