//! Which operation of a simulated disk goes wrong, and how.
//!
//! Asked by the image before each operation. Faults are placed by count, never by chance, so that a
//! test can walk through every operation of a run; chance belongs to the simulator's seed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Kinds of operations that can be made to fail.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Operation {
    /// Creating a file.
    Create,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
    /// Syncing the directory.
    SyncDir,
    /// Writing to a file.
    Write,
    /// Reading from a file.
    Read,
    /// Syncing a file.
    Sync,
}

/// What happens instead of the operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It fails with an I/O error and nothing is changed. A failed sync also forgets what it should
    /// have kept, and later syncs succeed without it, as real kernels do.
    Error,
    /// A write lands up to this many bytes and fails. Other operations: as `Error`.
    Partial(usize),
    /// A write lands this many bytes further on (negative: before), and says that it went well.
    /// Other operations: as `Error`.
    Misdirect(i64),
}

/// Faults that wait for their operation.
#[derive(Clone, Default, Debug)]
pub(super) struct Faults {
    /// Most bytes of all files.
    pub(super) capacity: Option<u64>,
    done: u64,
    power_off_at: Option<u64>,
    counts: BTreeMap<Operation, u64>,
    waiting: BTreeMap<(Operation, u64), Effect>,
    lies: BTreeSet<Operation>,
}

/// How the image goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// As asked.
    Do,
    /// Say that it is done, do nothing.
    Pretend,
    /// With this effect.
    Spoil(Effect),
}

impl Faults {
    pub(super) fn operations(&self) -> u64 {
        self.done
    }

    pub(super) fn power_off_after(&mut self, operations: u64) {
        self.power_off_at = Some(self.done + operations);
    }

    pub(super) fn inject(&mut self, operation: Operation, nth: u64, effect: Effect) {
        let count = self.counts.get(&operation).copied().unwrap_or(0);
        self.waiting.insert((operation, count + nth), effect);
    }

    pub(super) fn lie(&mut self, operation: Operation) {
        self.lies.insert(operation);
    }

    /// What waits for its operation does not come.
    pub(super) fn withdraw(&mut self) {
        self.waiting.clear();
    }

    /// Power is back: what was to come does not come.
    pub(super) fn reset(&mut self) {
        self.power_off_at = None;
        self.waiting.clear();
    }

    pub(super) fn check_power(&self) -> io::Result<()> {
        match self.power_off_at {
            Some(at) if self.done >= at => Err(io::Error::other("the power is off")),
            _ => Ok(()),
        }
    }

    /// Counts the operation and says what becomes of it.
    pub(super) fn on(&mut self, operation: Operation) -> io::Result<Verdict> {
        self.check_power()?;
        if operation != Operation::Read {
            self.done += 1;
        }
        let count = self.counts.entry(operation).or_default();
        *count += 1;
        if self.lies.contains(&operation) {
            return Ok(Verdict::Pretend);
        }
        Ok(self.waiting.remove(&(operation, *count)).map_or(Verdict::Do, Verdict::Spoil))
    }
}

/// The error of an injected fault.
pub(super) fn injected() -> io::Error {
    io::Error::other("injected fault")
}
