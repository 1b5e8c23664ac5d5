//! What little an idle group has is written once more, so that old segments can go: cut off
//! anywhere, done again and again, and after a write that failed.

use kontiki_types::{Index, RegionId};

use crate::simdisk::{Crash, Effect, Operation};
use crate::{Error, Log, Record, SimDisk, prepare_segment, remove_segments};

use super::model::{Draw, Model, append, compact, hard};
use super::run::{CRASHES, config};

/// Wrote two entries at the very beginning.
const IDLE: u64 = 1;
/// Fills segments, and needs nothing of what it wrote.
const BUSY: u64 = 2;

struct Life {
    disk: SimDisk,
    log: Log<SimDisk>,
    model: Model,
    /// Next entry of the busy group.
    next: u64,
}

impl Life {
    fn new() -> Self {
        let disk = SimDisk::new();
        let (log, _) = Log::open(disk.clone(), config(8192)).unwrap();
        let mut life = Self { disk, log, model: Model::default(), next: 1 };
        let idle = [hard(IDLE, 3), append(IDLE, 2, 1, b"idle"), append(IDLE, 3, 2, b"too")];
        life.write(&idle).unwrap();
        life
    }

    fn write(&mut self, records: &[Record]) -> Result<(), Error> {
        self.log.write(records)?;
        self.log.sync()?;
        for record in records {
            self.model.apply(record);
        }
        Ok(())
    }

    /// The busy group writes until something must be rewritten.
    fn fill(&mut self) -> Result<(), Error> {
        while self.log.stats().segments <= self.log.config().keep_segments {
            let next = self.next;
            self.write(&[append(BUSY, 1, next, &[7; 600]), compact(BUSY, 1, next)])?;
            self.next += 1;
        }
        Ok(())
    }

    /// Frees the oldest segment, and uses its file again as soon as the log allows.
    fn rewrite(&mut self) -> Result<usize, Error> {
        let collected = self.log.collect()?;
        assert_eq!(collected.laggards, [], "what is needed cannot be read back");
        self.recycle()?;
        self.log.sync()?;
        self.recycle()?;
        Ok(collected.rewritten_bytes)
    }

    fn recycle(&mut self) -> Result<(), Error> {
        while let Some(request) = self.log.segment_request() {
            match prepare_segment(&self.disk, &request) {
                Ok(prepared) => self.log.add_ready(prepared),
                Err(error) => {
                    self.log.prepare_failed();
                    return Err(error);
                }
            }
        }
        remove_segments(&self.disk, &self.log.take_removable())
    }

    /// What a restart finds.
    fn recovered(&self) -> Result<Model, String> {
        let opened = Log::open(self.disk.clone(), config(8192));
        let (_, recovered) = opened.map_err(|error| error.to_string())?;
        Model::of(&recovered).ok_or_else(|| format!("{recovered:?}"))
    }
}

/// The power goes after this many operations of a rewrite and of what follows it.
fn cut_off(operations: u64, crash: Crash) -> Result<bool, String> {
    let mut life = Life::new();
    life.fill().unwrap();
    life.disk.power_off_after(operations);
    let finished = life.rewrite().and_then(|_| life.fill()).is_ok();
    let mut draw = Draw(operations);
    life.disk.crash(crash, &mut || draw.next());
    let (found, group) = (life.recovered()?, RegionId(IDLE));
    if found.groups.get(&group) == life.model.groups.get(&group) {
        Ok(finished)
    } else {
        Err(format!("{operations}, {crash:?}: {found:?}"))
    }
}

/// Known Raft bug 61: a rewrite that was cut off lost the entries it was moving.
#[test]
fn a_rewrite_cut_off_anywhere_loses_nothing() {
    for crash in CRASHES {
        let finished = (0..1000).find(|&at| cut_off(at, crash).unwrap());
        assert!(finished > Some(20), "it took {finished:?} operations");
    }
}

/// Known Raft bug 62: the index still named the old place, whose file had become another one.
#[test]
fn what_was_moved_is_found_where_it_stands_now() {
    let mut life = Life::new();
    let mut moves = 0;
    for round in 1..=12 {
        life.fill().unwrap();
        if round % 3 == 0 {
            // A newer leader replaces the last entry between two moves.
            life.write(&[append(IDLE, 3 + round, 2, b"replaced")]).unwrap();
        }
        moves += u64::from(life.rewrite().unwrap() > 0);
        let read = life.log.entries(RegionId(IDLE), Index(0), Index(2), 1000).unwrap();
        let held = &life.model.groups[&RegionId(IDLE)].entries;
        assert_eq!(read.as_ref(), Some(held), "after {moves} moves");
    }
    assert!(moves > 3, "moved {moves} times");
    assert_eq!(life.recovered(), Ok(life.model));
}

/// Known Raft bug 25: what failed to be written stayed in the cache in front of the log.
#[test]
fn a_failed_append_is_in_neither_index_nor_file() {
    let mut life = Life::new();
    for effect in [Effect::Error, Effect::Partial(40), Effect::Partial(9999)] {
        life.disk.inject(Operation::Write, 1, effect);
        life.write(&[append(IDLE, 3, 3, b"lost")]).unwrap_err();
    }
    for _ in 0..4 {
        life.fill().unwrap();
        life.rewrite().unwrap();
    }
    assert_eq!(life.recovered(), Ok(life.model));
}
