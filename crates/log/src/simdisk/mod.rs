//! A disk that forgets: files in memory that outlive a crash, with every fault a disk can have.
//!
//! Used by the simulator and by the tests of the log; production never sees it. It is pure: what a
//! crash keeps is drawn from the caller's numbers, and latency is the simulator's business.
//!
//! # What it models
//! - Writes reach the medium when `sync` returns. At a crash each 512-byte **sector** that unsynced
//!   writes touched is found in any of the states it went through since the last sync: so a write
//!   may be kept, lost or torn, and later writes may survive earlier ones in other sectors.
//! - Creations, renames and removals reach the medium when `sync_dir` returns. At a crash each is
//!   kept or lost on its own, which is harsher than a journaling file system.
//! - Handles from before a crash fail for ever.
//! - Faults: an operation fails, a write lands in part or elsewhere, a failed sync drops what it
//!   should have kept (and then claims to be fine), bits flip, space runs out, the power goes after
//!   a given number of operations, an operation lies.

mod fault;
mod image;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

pub use fault::{Effect, Operation};
pub use image::Crash;

use crate::disk::{Disk, File};
use image::Image;

/// Sectors are written whole or not at all.
pub const SECTOR_BYTES: usize = 512;

/// A simulated directory. Clones are handles to the same one; [`SimDisk::fork`] copies it.
#[derive(Clone, Default, Debug)]
pub struct SimDisk {
    image: Arc<Mutex<Image>>,
}

impl SimDisk {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk of its own with the same contents, durable and not, and without faults.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut image = self.lock().clone();
        image.faults = fault::Faults::default();
        Self { image: Arc::new(Mutex::new(image)) }
    }

    /// Power goes and comes back: `crash` says what happens to what was not synced, `draw` gives
    /// the random numbers. Faults that were waiting are gone; the capacity stays.
    pub fn crash(&self, crash: Crash, draw: &mut dyn FnMut() -> u64) {
        self.lock().crash(crash, draw);
    }

    /// Operations that changed something or tried to (all but reads and lists), so far.
    pub fn operations(&self) -> u64 {
        self.lock().faults.operations()
    }

    /// After this many more operations the power is gone: everything fails until [`Self::crash`].
    pub fn power_off_after(&self, operations: u64) {
        self.lock().faults.power_off_after(operations);
    }

    /// The `nth` operation of this kind from now (1: the next) has this effect.
    pub fn inject(&self, operation: Operation, nth: u64, effect: Effect) {
        assert!(nth > 0, "the next operation is the first");
        self.lock().faults.inject(operation, nth, effect);
    }

    /// What was injected and has not come does not come.
    pub fn withdraw(&self) {
        self.lock().faults.withdraw();
    }

    /// Every operation of this kind says that it is done and does nothing, from now on.
    pub fn lie(&self, operation: Operation) {
        self.lock().faults.lie(operation);
    }

    /// Files may hold this many bytes in all; no limit when `None`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().faults.capacity = bytes;
    }

    /// Flips the bits of `mask` in one byte, on the medium and in the cache.
    ///
    /// # Panics
    /// When there is no such file or byte.
    pub fn flip(&self, name: &str, offset: u64, mask: u8) {
        let at = to_usize(offset);
        self.lock().edit(name, |bytes| {
            assert!(at < bytes.len(), "flip {name} at {at} of {}", bytes.len());
            for byte in bytes.iter_mut().skip(at).take(1) {
                *byte ^= mask;
            }
        });
    }

    /// Fills a range with zeroes, on the medium and in the cache.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn zero(&self, name: &str, offset: u64, len: u64) {
        self.lock().edit(name, |bytes| {
            bytes.iter_mut().skip(to_usize(offset)).take(to_usize(len)).for_each(|byte| *byte = 0);
        });
    }

    /// Shortens a file, on the medium and in the cache.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn truncate(&self, name: &str, len: u64) {
        self.lock().edit(name, |bytes| bytes.truncate(to_usize(len)));
    }

    /// What a reader sees of a file.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().contents(name)
    }

    /// Names of all files, in order.
    pub fn names(&self) -> Vec<String> {
        self.lock().list()
    }

    /// Bytes of all files.
    pub fn used_bytes(&self) -> u64 {
        self.lock().used_bytes()
    }

    fn lock(&self) -> MutexGuard<'_, Image> {
        self.image.lock().expect("no code panics while it holds the image")
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn create(&self, name: &str) -> io::Result<SimFile> {
        let (inode, life) = self.lock().create(name)?;
        Ok(SimFile { image: Arc::clone(&self.image), inode, life })
    }

    fn open(&self, name: &str) -> io::Result<SimFile> {
        let (inode, life) = self.lock().open(name)?;
        Ok(SimFile { image: Arc::clone(&self.image), inode, life })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let image = self.lock();
        image.faults.check_power()?;
        Ok(image.list())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.lock().rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock().remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.lock().sync_dir()
    }
}

/// A handle to a file of a [`SimDisk`]; useless after a crash.
#[derive(Debug)]
pub struct SimFile {
    image: Arc<Mutex<Image>>,
    inode: u64,
    life: u64,
}

impl SimFile {
    fn lock(&self) -> MutexGuard<'_, Image> {
        self.image.lock().expect("no code panics while it holds the image")
    }
}

impl File for SimFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.lock().write(self.inode, self.life, offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.lock().read(self.inode, self.life, offset, buffer)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.lock().sync(self.inode, self.life)
    }

    fn len(&self) -> io::Result<u64> {
        self.lock().file_len(self.inode, self.life)
    }
}

/// Simulated files are small; an offset beyond memory is a bug of the caller.
fn to_usize(offset: u64) -> usize {
    usize::try_from(offset).expect("simulated files fit in memory")
}
