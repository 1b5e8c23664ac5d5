//! What goes wrong with the disks of a machine, apart from losing power.
//!
//! An error that the disk reports is an excuse: the process may end, and comes back. Damage that it
//! does not report is found at the next start, and the store may then stay away for good; how many
//! stores may be damaged is a budget of the run ([`crate::env::Env::may_rot`]), for no protocol
//! survives the loss of a majority.

use std::cmp::Ordering;

use kontiki_log::simdisk::{Effect, Operation, SECTOR_BYTES};

use crate::env::Env;
use crate::marks::Mark;

use super::Machine;

/// Most operations of a disk until one fails.
const PATIENCE_MAX: u64 = 20;
/// How much rarer reads are.
const READS_PER_PATIENCE: u64 = 8;
/// Room that a full disk still has, at most.
const ROOM_BYTES_MAX: u64 = 64 * 1024;

/// What can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskFault {
    /// A write fails, whole or in part.
    FailWrite,
    /// A sync fails and forgets what it should have kept.
    FailSync,
    /// A read of the log or of a spool fails while the store runs.
    FailRead,
    /// The next start cannot read something.
    FailReadAtStart,
    /// The engine fails once.
    FailEngine,
    /// There is no more room, until [`Machine::make_room`].
    Full,
    /// A byte or a sector of the log is not what it was, and nobody knows.
    Rot,
    /// A write of the log lands elsewhere, and nobody knows.
    Misdirect,
}

/// What is wrong with the disks.
#[derive(Clone, Copy, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub(super) struct Ailments {
    /// An operation was made to fail in this life.
    fails: bool,
    /// There is no room.
    is_full: bool,
    /// The next start cannot read something.
    is_unreadable: bool,
    /// Something on the medium is damaged.
    is_rotten: bool,
    /// A write went elsewhere: what it should have kept may be lost without a trace.
    is_misdirected: bool,
}

impl Ailments {
    /// An error is no surprise.
    pub(super) fn is_excuse(self) -> bool {
        self.fails || self.is_full || self.is_damaged()
    }

    /// What was durable may not be there any more.
    pub(super) fn is_damaged(self) -> bool {
        self.is_rotten || self.is_misdirected
    }

    /// It may be gone without a trace.
    pub(super) fn may_forget(self) -> bool {
        self.is_misdirected
    }
}

impl Machine {
    /// Something goes wrong with a disk.
    pub fn spoil(&mut self, fault: DiskFault, env: &mut Env) {
        let nth = self.rng.below(PATIENCE_MAX) + 1;
        match fault {
            DiskFault::FailWrite => {
                let effect = if self.rng.chance(500) {
                    Effect::Error
                } else {
                    Effect::Partial(self.rng.index(4 * SECTOR_BYTES))
                };
                self.log_disk.inject(Operation::Write, nth, effect);
                self.ailments.fails = true;
            }
            DiskFault::FailSync => {
                let dir = self.rng.chance(100);
                let operation = if dir { Operation::SyncDir } else { Operation::Sync };
                self.log_disk.inject(operation, nth.div_ceil(4), Effect::Error);
                self.ailments.fails = true;
            }
            DiskFault::FailRead => self.fail_read(nth),
            DiskFault::FailReadAtStart => self.ailments.is_unreadable = true,
            DiskFault::FailEngine => {
                if let Some(running) = &self.running {
                    running.rows.store.fail_after(nth / 2);
                    self.ailments.fails = true;
                }
            }
            DiskFault::Full => {
                let room = self.rng.below(ROOM_BYTES_MAX);
                self.log_disk.set_capacity(Some(self.log_disk.used_bytes() + room));
                self.ailments.is_full = true;
            }
            DiskFault::Rot => self.rot(env),
            DiskFault::Misdirect => {
                if self.running.is_some() && env.may_rot(self.id) {
                    let sectors = i64::try_from(self.rng.below(64)).expect("few") - 32;
                    let by = (2 * sectors + 1) * i64::try_from(SECTOR_BYTES).expect("few");
                    self.log_disk.inject(Operation::Write, nth, Effect::Misdirect(by));
                    self.ailments.is_misdirected = true;
                }
            }
        }
    }

    /// Reads are rare while a store runs: the next one fails, or one soon after.
    fn fail_read(&mut self, nth: u64) {
        if self.running.is_some() {
            let nth = nth.div_ceil(READS_PER_PATIENCE);
            self.log_disk.inject(Operation::Read, nth, Effect::Error);
            self.spools.disk().inject(Operation::Read, nth, Effect::Error);
            self.ailments.fails = true;
        }
    }

    /// There is room again.
    pub fn make_room(&mut self) {
        self.log_disk.set_capacity(None);
        self.ailments.is_full = false;
    }

    /// Nothing new goes wrong with the disks, nor what was to: a store that fails long after the
    /// last fault may be one too many. What is damaged stays so.
    pub(super) fn heal_disks(&mut self) {
        self.make_room();
        self.log_disk.withdraw();
        self.spools.disk().withdraw();
        if let Some(running) = &self.running {
            running.rows.store.spare();
        }
        self.ailments.is_unreadable = false;
    }

    /// A life ends: what was to fail in it does not any more.
    pub(super) fn forget_failures(&mut self) {
        self.ailments.fails = false;
    }

    /// The start of a life may not be able to read.
    pub(super) fn fail_start(&mut self) {
        if std::mem::take(&mut self.ailments.is_unreadable) {
            let nth = self.rng.below(6) + 1;
            self.log_disk.inject(Operation::Read, nth, Effect::Error);
            self.ailments.fails = true;
        }
    }

    /// Damages a place that the log itself says to be durable. Damage behind that cannot be told
    /// from a write that a crash tore.
    fn rot(&mut self, env: &mut Env) {
        let mut files: Vec<_> = self.log_disk.names();
        files.retain(|name| self.noted_bytes(name) > 0);
        if files.is_empty() || !env.may_rot(self.id) {
            return;
        }
        let name = self.rng.pick(&files).clone();
        let noted = self.noted_bytes(&name);
        let offset = self.rng.below(noted);
        env.tell(format_args!("{}: {name} rots at {offset}", self.id));
        env.marks.hit(Mark::DiskRotted);
        if self.rng.chance(700) {
            let bit = self.rng.below(8);
            self.log_disk.flip(&name, offset, 1 << bit);
        } else {
            // Not beyond it: there stands the frame that says so.
            let sector = SECTOR_BYTES as u64;
            let start = offset / sector * sector;
            self.log_disk.zero(&name, start, sector.min(noted - start));
        }
        self.ailments.is_rotten = true;
    }

    /// Bytes of a file that a durable frame says to be durable, up to the last that is not zero.
    fn noted_bytes(&self, name: &str) -> u64 {
        let Some((newest, end)) = &self.noted else { return 0 };
        let end = match name.cmp(newest) {
            Ordering::Less => usize::MAX,
            Ordering::Equal => usize::try_from(*end).expect("an offset in memory"),
            Ordering::Greater => 0,
        };
        let mut contents = self.log_disk.contents(name).unwrap_or_default();
        contents.truncate(end);
        contents.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1)
    }
}
