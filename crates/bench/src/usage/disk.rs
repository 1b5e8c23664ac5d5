//! What the kernel tells of the disk under the data: writes and flushes of the whole device, by
//! whomever. A flush is what a sync waits for, so operations per flush say how well syncs are
//! shared.
//!
//! Partitions and stacked devices do not count flushes; then there is no figure.

use std::fs;
use std::os::linux::fs::MetadataExt;
use std::path::Path;

/// Numbers of a device since boot, or between two snapshots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Device {
    pub(super) writes: u64,
    pub(super) flushes: u64,
}

impl Device {
    /// The device on which this path lies.
    pub(super) fn under(path: &Path) -> Option<Self> {
        let device = fs::metadata(path).ok()?.st_dev();
        Self::find(&fs::read_to_string("/proc/diskstats").ok()?, numbers(device))
    }

    /// What happened between.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            writes: self.writes.saturating_sub(before.writes),
            flushes: self.flushes.saturating_sub(before.flushes),
        }
    }

    fn find(diskstats: &str, (major, minor): (u64, u64)) -> Option<Self> {
        diskstats.lines().find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
            if (number(0)?, number(1)?) != (major, minor) {
                return None;
            }
            let flushes = number(18).filter(|&flushes| flushes > 0)?;
            Some(Self { writes: number(7)?, flushes })
        })
    }
}

/// Major and minor of a device number, as glibc packs them.
fn numbers(device: u64) -> (u64, u64) {
    let major = (device >> 8 & 0xfff) | (device >> 32 & !0xfff);
    let minor = (device & 0xff) | (device >> 12 & !0xff);
    (major, minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATS: &str = "\
 253       0 vda 10 0 80 5 200 30 4000 70 0 60 75 0 0 0 0 90 12
 253       1 vda1 10 0 80 5 199 30 4000 70 0 60 75 0 0 0 0 0 0
   7       0 loop0 0 0 0 0 0";

    #[test]
    fn finds_the_device_and_its_flushes() {
        let found = Device::find(STATS, (253, 0)).unwrap();
        assert_eq!(found, Device { writes: 200, flushes: 90 });
        let later = Device { writes: 230, flushes: 100 };
        assert_eq!(later.since(&found), Device { writes: 30, flushes: 10 });
    }

    #[test]
    fn what_counts_no_flushes_gives_none() {
        assert_eq!(Device::find(STATS, (253, 1)), None);
        assert_eq!(Device::find(STATS, (7, 0)), None);
        assert_eq!(Device::find(STATS, (8, 0)), None);
    }

    #[test]
    fn device_numbers_come_apart() {
        assert_eq!(numbers(0xfd00), (253, 0));
        assert_eq!(numbers(0x0801), (8, 1));
    }
}
