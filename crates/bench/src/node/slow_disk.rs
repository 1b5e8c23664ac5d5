//! A disk whose syncs take at least so long: a hard disk, or a volume across a network, as far as
//! group commit can tell. The disk under it syncs as well.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use kontiki_host::disk::{RealDisk, RealFile};
use kontiki_log::{Disk, File};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct SlowDisk {
    pub(super) disk: RealDisk,
    pub(super) sync_min: Duration,
}

/// A file on it.
pub(super) struct SlowFile {
    file: RealFile,
    sync_min: Duration,
}

impl SlowDisk {
    fn slow(&self, file: RealFile) -> SlowFile {
        SlowFile { file, sync_min: self.sync_min }
    }
}

/// Do this, and be back no sooner than after `least`.
fn slowly<T>(least: Duration, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    let rest = least.saturating_sub(began.elapsed());
    if !rest.is_zero() {
        thread::sleep(rest);
    }
    done
}

impl Disk for SlowDisk {
    type File = SlowFile;

    fn create(&self, name: &str) -> io::Result<SlowFile> {
        self.disk.create(name).map(|file| self.slow(file))
    }

    fn open(&self, name: &str) -> io::Result<SlowFile> {
        self.disk.open(name).map(|file| self.slow(file))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        slowly(self.sync_min, || self.disk.sync_dir())
    }
}

impl File for SlowFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn sync(&mut self) -> io::Result<()> {
        slowly(self.sync_min, || self.file.sync())
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
