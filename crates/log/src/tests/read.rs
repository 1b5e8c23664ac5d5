//! Entries read back: those that were logged last, whole or not at all.

use kontiki_types::{Index, RegionId};

use crate::simdisk::{Effect, Operation};
use crate::{Error, Log, SimDisk};

use super::model::{append, compact};
use super::run::config;

fn read(log: &mut Log<SimDisk>, after: u64, to: u64, bytes_max: usize) -> Option<Vec<Vec<u8>>> {
    let entries = log.entries(RegionId(1), Index(after), Index(to), bytes_max).unwrap();
    entries.map(|entries| entries.iter().map(|entry| entry.data.to_vec()).collect())
}

#[test]
fn what_replaced_an_entry_is_read_and_what_was_compacted_is_not() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk, config(8192)).unwrap();
    for index in 1..=9 {
        log.write(&[append(1, 1, index, &[1, 1])]).unwrap();
    }
    assert_eq!(log.write(&[append(1, 2, 8, &[2, 2])]).unwrap().suffixes_cut, 1);
    log.sync().unwrap();
    assert_eq!(read(&mut log, 6, 8, 1000), Some(vec![vec![1, 1], vec![2, 2]]));
    assert_eq!(read(&mut log, 6, 9, 1000), None, "9 went when 8 was replaced");
    assert_eq!(read(&mut log, 6, 8, 1), Some(vec![vec![1, 1]]), "one always fits");
    assert_eq!(log.write(&[append(1, 2, 9, &[3, 3])]).unwrap().suffixes_cut, 0);
    log.write(&[compact(1, 1, 7)]).unwrap();
    assert_eq!(read(&mut log, 6, 9, 1000), None);
    assert_eq!(read(&mut log, 6, 9, 1), None, "8 fits, but 7 comes before it");
    assert_eq!(read(&mut log, 7, 8, 1000), Some(vec![vec![2, 2]]));
    assert_eq!(log.entries(RegionId(2), Index(0), Index(1), 1).unwrap(), None);
}

#[test]
fn damage_is_told_from_absence() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), config(8192)).unwrap();
    log.write(&[append(1, 1, 1, &[7])]).unwrap();
    log.sync().unwrap();
    assert_eq!(read(&mut log, 0, 1, 1000), Some(vec![vec![7]]));
    log.rest().unwrap();
    for offset in 4096..8192 {
        disk.flip("0000000000000001.log", offset, 1);
    }
    let error = log.entries(RegionId(1), Index(0), Index(1), 1000).unwrap_err();
    assert!(matches!(error, Error::Damaged { group: RegionId(1) }), "{error}");
}

#[test]
fn what_many_turns_logged_in_one_frame_is_read_once() {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), config(65_536)).unwrap();
    let turns: Vec<_> = (1..=20).map(|index| append(1, 1, index, &[1])).collect();
    assert_eq!(log.write(&turns).unwrap().frames, 1);
    log.write(&[append(1, 1, 21, &[1])]).unwrap();
    log.sync().unwrap();
    disk.inject(Operation::Read, 2, Effect::Error);
    assert_eq!(read(&mut log, 0, 10, 1000), Some(vec![vec![1]; 10]));
    assert_eq!(read(&mut log, 10, 20, 1000), Some(vec![vec![1]; 10]));
    assert!(log.entries(RegionId(1), Index(0), Index(21), 1000).is_err(), "the second read");
    log.rest().unwrap();
    disk.inject(Operation::Read, 1, Effect::Error);
    assert!(log.entries(RegionId(1), Index(0), Index(1), 1000).is_err(), "nothing is kept at rest");
}
