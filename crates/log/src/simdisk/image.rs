//! The contents of a simulated disk: what the process sees, what the medium holds, what is between.
//!
//! Called by the handles under one lock. A crash is the only place where the two views meet again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::fault::{Effect, Faults, Operation, Verdict, injected};
use super::{SECTOR_BYTES, to_usize};

/// What a crash does to everything that was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// All of it is lost.
    Lose,
    /// All of it reached the medium: as when only the process dies.
    Keep,
    /// All of it but the last write of each file, which is torn between its sectors.
    TearLast,
    /// Each sector in any state it went through, each directory operation kept or lost.
    Subset,
}

/// One write on its way to the medium.
#[derive(Clone, Debug)]
struct Pending {
    offset: usize,
    bytes: Vec<u8>,
}

impl Pending {
    /// Copies the part of this write that lies in `start..end` into `target`, extending it.
    fn apply(&self, target: &mut Vec<u8>, start: usize, end: usize) {
        let from = start.max(self.offset);
        let to = end.min(self.offset + self.bytes.len());
        if from >= to {
            return;
        }
        if target.len() < to {
            target.resize(to, 0);
        }
        target[from..to].copy_from_slice(&self.bytes[from - self.offset..to - self.offset]);
    }

    fn sectors(&self) -> std::ops::Range<usize> {
        let end = self.offset + self.bytes.len();
        self.offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES)
    }
}

#[derive(Clone, Default, Debug)]
struct Inode {
    durable: Vec<u8>,
    seen: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
enum DirChange {
    Link { name: String, inode: u64 },
    Unlink { name: String, inode: u64 },
    Move { from: String, to: String, inode: u64 },
}

impl DirChange {
    /// Applies to names that may lack earlier changes.
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Link { name, inode } => {
                names.insert(name.clone(), *inode);
            }
            Self::Unlink { name, inode } => {
                if names.get(name) == Some(inode) {
                    names.remove(name);
                }
            }
            Self::Move { from, to, inode } => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
        }
    }
}

/// The whole disk.
#[derive(Clone, Default, Debug)]
pub(super) struct Image {
    pub(super) faults: Faults,
    life: u64,
    next_inode: u64,
    names: BTreeMap<String, u64>,
    names_durable: BTreeMap<String, u64>,
    dir_changes: Vec<DirChange>,
    inodes: BTreeMap<u64, Inode>,
}

impl Image {
    pub(super) fn create(&mut self, name: &str) -> io::Result<(u64, u64)> {
        if self.faults.on(Operation::Create)? != Verdict::Do {
            return Err(injected());
        }
        let inode = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(inode, Inode::default());
        self.change(DirChange::Link { name: name.to_owned(), inode });
        Ok((inode, self.life))
    }

    pub(super) fn open(&mut self, name: &str) -> io::Result<(u64, u64)> {
        self.faults.check_power()?;
        Ok((self.lookup(name)?, self.life))
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let verdict = self.faults.on(Operation::Rename)?;
        let inode = self.lookup(from)?;
        self.change_unless(
            verdict,
            DirChange::Move { from: from.to_owned(), to: to.to_owned(), inode },
        )
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        let verdict = self.faults.on(Operation::Remove)?;
        let inode = self.lookup(name)?;
        self.change_unless(verdict, DirChange::Unlink { name: name.to_owned(), inode })
    }

    pub(super) fn sync_dir(&mut self) -> io::Result<()> {
        match self.faults.on(Operation::SyncDir)? {
            Verdict::Do => {
                self.names_durable = self.names.clone();
                self.dir_changes.clear();
                self.drop_orphans();
                Ok(())
            }
            Verdict::Pretend => Ok(()),
            Verdict::Spoil(_) => {
                // What was to become durable is forgotten without a word at the next crash.
                self.dir_changes.clear();
                Err(injected())
            }
        }
    }

    pub(super) fn list(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    pub(super) fn write(
        &mut self,
        inode: u64,
        life: u64,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        self.check_life(life)?;
        let verdict = self.faults.on(Operation::Write)?;
        let (offset, bytes, result) = match verdict {
            Verdict::Do => (offset, bytes, Ok(())),
            Verdict::Pretend => return Ok(()),
            Verdict::Spoil(Effect::Error) => return Err(injected()),
            Verdict::Spoil(Effect::Partial(len)) => {
                (offset, bytes.get(..len).unwrap_or(bytes), Err(injected()))
            }
            Verdict::Spoil(Effect::Misdirect(by)) => {
                (offset.saturating_add_signed(by), bytes, Ok(()))
            }
        };
        let offset = to_usize(offset);
        self.check_capacity(inode, offset + bytes.len())?;
        let pending = Pending { offset, bytes: bytes.to_vec() };
        let file = self.inode(inode);
        pending.apply(&mut file.seen, 0, usize::MAX);
        file.pending.push(pending);
        result
    }

    pub(super) fn read(
        &mut self,
        inode: u64,
        life: u64,
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        self.check_life(life)?;
        if self.faults.on(Operation::Read)? != Verdict::Do {
            return Err(injected());
        }
        let bytes = self.inode(inode).seen.get(to_usize(offset)..).unwrap_or_default();
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        Ok(len)
    }

    pub(super) fn sync(&mut self, inode: u64, life: u64) -> io::Result<()> {
        self.check_life(life)?;
        let verdict = self.faults.on(Operation::Sync)?;
        let file = self.inode(inode);
        match verdict {
            Verdict::Do => {
                // Not simply what is seen: bytes that a failed sync dropped are seen and clean.
                for write in file.pending.drain(..) {
                    write.apply(&mut file.durable, 0, usize::MAX);
                }
                Ok(())
            }
            Verdict::Pretend => Ok(()),
            Verdict::Spoil(_) => {
                // The cache keeps the bytes and calls them clean; the medium never gets them.
                file.pending.clear();
                Err(injected())
            }
        }
    }

    pub(super) fn file_len(&mut self, inode: u64, life: u64) -> io::Result<u64> {
        self.check_life(life)?;
        Ok(self.inode(inode).seen.len() as u64)
    }

    pub(super) fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let inode = self.names.get(name)?;
        self.inodes.get(inode).map(|file| file.seen.clone())
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.inodes.values().map(|file| file.seen.len() as u64).sum()
    }

    /// Changes a file behind everyone's back.
    pub(super) fn edit(&mut self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let inode = self.lookup(name).expect("the file to damage exists");
        let file = self.inode(inode);
        let on_medium = file.durable.len() == file.seen.len();
        change(&mut file.seen);
        // A byte that is not on the medium yet is damaged on its way.
        if on_medium {
            change(&mut file.durable);
        }
    }

    pub(super) fn crash(&mut self, crash: Crash, draw: &mut dyn FnMut() -> u64) {
        for file in self.inodes.values_mut() {
            file.crash(crash, draw);
        }
        let changes = std::mem::take(&mut self.dir_changes);
        self.names = std::mem::take(&mut self.names_durable);
        for change in &changes {
            let kept = match crash {
                Crash::Lose => false,
                Crash::Keep | Crash::TearLast => true,
                Crash::Subset => draw().is_multiple_of(2),
            };
            if kept {
                change.apply(&mut self.names);
            }
        }
        self.names_durable = self.names.clone();
        self.drop_orphans();
        self.faults.reset();
        self.life += 1;
    }

    fn change_unless(&mut self, verdict: Verdict, change: DirChange) -> io::Result<()> {
        match verdict {
            Verdict::Do => self.change(change),
            Verdict::Pretend => {}
            Verdict::Spoil(_) => return Err(injected()),
        }
        Ok(())
    }

    fn change(&mut self, change: DirChange) {
        change.apply(&mut self.names);
        self.dir_changes.push(change);
    }

    fn lookup(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn inode(&mut self, inode: u64) -> &mut Inode {
        self.inodes.entry(inode).or_default()
    }

    fn check_life(&self, life: u64) -> io::Result<()> {
        if life == self.life {
            return Ok(());
        }
        Err(io::Error::other("this handle is from before the crash"))
    }

    fn check_capacity(&mut self, inode: u64, end: usize) -> io::Result<()> {
        let Some(capacity) = self.faults.capacity else { return Ok(()) };
        let growth = end.saturating_sub(self.inode(inode).seen.len()) as u64;
        if growth > 0 && self.used_bytes() + growth > capacity {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }

    /// Frees files that no name leads to any more, now or after a crash.
    fn drop_orphans(&mut self) {
        let named: BTreeSet<u64> =
            self.names.values().chain(self.names_durable.values()).copied().collect();
        let moving: BTreeSet<u64> = self
            .dir_changes
            .iter()
            .map(|change| match change {
                DirChange::Link { inode, .. }
                | DirChange::Unlink { inode, .. }
                | DirChange::Move { inode, .. } => *inode,
            })
            .collect();
        self.inodes.retain(|inode, _| named.contains(inode) || moving.contains(inode));
    }
}

impl Inode {
    fn crash(&mut self, crash: Crash, draw: &mut dyn FnMut() -> u64) {
        let pending = std::mem::take(&mut self.pending);
        match crash {
            Crash::Lose => {}
            // Not simply what was seen: a failed sync leaves bytes in view that never arrive.
            Crash::Keep => {
                for write in &pending {
                    write.apply(&mut self.durable, 0, usize::MAX);
                }
            }
            Crash::TearLast => {
                let Some((last, rest)) = pending.split_last() else { return self.restart() };
                for write in rest {
                    write.apply(&mut self.durable, 0, usize::MAX);
                }
                self.settle(std::slice::from_ref(last), draw);
            }
            Crash::Subset => self.settle(&pending, draw),
        }
        self.restart();
    }

    /// Leaves each sector in one of the states that the writes took it through.
    fn settle(&mut self, writes: &[Pending], draw: &mut dyn FnMut() -> u64) {
        let sectors: BTreeSet<usize> = writes.iter().flat_map(Pending::sectors).collect();
        for sector in sectors {
            let touching: Vec<&Pending> =
                writes.iter().filter(|write| write.sectors().contains(&sector)).collect();
            let kept = to_usize(draw() % (touching.len() as u64 + 1));
            for write in touching.into_iter().take(kept) {
                let start = sector * SECTOR_BYTES;
                write.apply(&mut self.durable, start, start + SECTOR_BYTES);
            }
        }
    }

    fn restart(&mut self) {
        self.seen.clone_from(&self.durable);
    }
}
