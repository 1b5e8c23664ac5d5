//! Engines that are wrong on purpose: each has one defect a real engine could have.
//!
//! Only tests of the suite use them. The defects sit in a wrapper around the simulated engine, so
//! that "no defect" is known to pass.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::Harness;
use crate::{
    Batch, Direction, Engine, Error, Family, Fault, FaultyEngine, Op, Range, Read, SimDisk, Stats,
    View,
};

/// What is wrong with the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    None,
    /// A scan visits the row on its end bound.
    EndIncluded,
    /// A scan skips the row on its start bound.
    StartExcluded,
    /// A backward scan comes in forward order.
    BackwardIsForward,
    /// A scan goes on after the visitor broke.
    BreakIgnored,
    /// Of several operations on a key in a batch, the first wins.
    FirstWins,
    /// A delete in one family hits the neighbour too.
    FamiliesLeak,
    /// Deletes are not carried out.
    DeleteForgotten,
    /// Keys are cut at their first zero byte, as C strings are.
    ZeroEndsKey,
    /// Bytes above 0x7f are stored as another byte.
    SevenBits,
    /// A row with an empty value counts as absent.
    EmptyIsAbsent,
    /// A view shows what was written after it.
    ViewFollows,
    /// Sync does nothing.
    SyncForgotten,
    /// A crash loses a batch in the middle and keeps a later one.
    MiddleLost,
    /// A crash keeps only the first half of the last surviving batch.
    LastTorn,
    /// A big batch loses its tail.
    BigBatchCut,
    /// After a failed sync, writes and syncs are accepted again.
    FailureForgiven,
    /// What was synced in an earlier life is gone after a restart.
    RestartForgets,
}

impl Defect {
    pub(super) const ALL: [Self; 18] = [
        Self::None,
        Self::EndIncluded,
        Self::StartExcluded,
        Self::BackwardIsForward,
        Self::BreakIgnored,
        Self::FirstWins,
        Self::FamiliesLeak,
        Self::DeleteForgotten,
        Self::ZeroEndsKey,
        Self::SevenBits,
        Self::EmptyIsAbsent,
        Self::ViewFollows,
        Self::SyncForgotten,
        Self::MiddleLost,
        Self::LastTorn,
        Self::BigBatchCut,
        Self::FailureForgiven,
        Self::RestartForgets,
    ];
}

/// A harness whose engine has a defect.
pub(super) struct BrokenHarness {
    defect: Defect,
    disk: SimDisk,
    /// Every batch written since the last sync, for the defects of crashes.
    written: Arc<Mutex<Vec<Batch>>>,
}

impl BrokenHarness {
    pub(super) fn new(defect: Defect) -> Self {
        Self { defect, disk: SimDisk::new(), written: Arc::default() }
    }

    fn wrap(&self, inner: Arc<dyn Engine>) -> Arc<dyn Engine> {
        Arc::new(Broken { defect: self.defect, inner, written: self.written.clone() })
    }
}

impl Harness for BrokenHarness {
    fn open(&mut self) -> Result<Arc<dyn Engine>, Error> {
        if self.defect == Defect::RestartForgets {
            self.disk = SimDisk::new();
        }
        Ok(self.wrap(Arc::new(self.disk.open())))
    }

    fn crash(&mut self, engine: Arc<dyn Engine>, choice: u64) -> Result<Arc<dyn Engine>, Error> {
        drop(engine);
        let count = self.disk.unsynced_count();
        let keep = usize::try_from(choice % (count as u64 + 1)).unwrap();
        let mut batches = std::mem::take(&mut *self.written.lock().unwrap());
        match self.defect {
            Defect::MiddleLost => {
                self.disk.crash(0);
                batches.truncate(keep);
                if keep >= 2 {
                    batches.remove(keep / 2 - 1);
                }
                let engine = self.disk.open();
                batches.into_iter().try_for_each(|batch| engine.write(batch))?;
            }
            Defect::LastTorn => {
                self.disk.crash(keep);
                let engine = self.disk.open();
                if let Some(torn) = batches.get(keep) {
                    let mut half = Batch::default();
                    for op in &torn.ops()[..torn.len() / 2] {
                        add(&mut half, op.clone());
                    }
                    engine.write(half)?;
                }
            }
            _ => self.disk.crash(keep),
        }
        self.open()
    }

    fn break_disk(&mut self) -> Option<Arc<dyn Engine>> {
        let faulty = FaultyEngine::new(Arc::new(self.disk.open()));
        faulty.arm(Fault::Sync { after: 0 });
        Some(self.wrap(Arc::new(faulty)))
    }
}

struct Broken {
    defect: Defect,
    inner: Arc<dyn Engine>,
    written: Arc<Mutex<Vec<Batch>>>,
}

impl Broken {
    fn key(&self, key: &[u8]) -> Bytes {
        match self.defect {
            Defect::ZeroEndsKey => {
                let cut = key.split(|&byte| byte == 0).next().unwrap_or_default();
                if cut.is_empty() { Bytes::from_static(b"\0") } else { Bytes::copy_from_slice(cut) }
            }
            Defect::SevenBits => key.iter().map(|byte| byte & 0x7f).collect(),
            _ => Bytes::copy_from_slice(key),
        }
    }

    fn forgive(&self, outcome: Result<(), Error>) -> Result<(), Error> {
        match outcome {
            Err(Error::Poisoned { .. }) if self.defect == Defect::FailureForgiven => Ok(()),
            outcome => outcome,
        }
    }

    fn distort(&self, batch: &Batch) -> Batch {
        let mut ops: Vec<Op> = batch.ops().to_vec();
        match self.defect {
            Defect::FirstWins => ops.reverse(),
            Defect::DeleteForgotten => ops.retain(|op| matches!(op, Op::Put { .. })),
            Defect::BigBatchCut => ops.truncate(16_384),
            Defect::FamiliesLeak => {
                let leaked: Vec<Op> = ops
                    .iter()
                    .filter_map(|op| match op {
                        Op::Delete { family, key } => {
                            let next = (family.index() + 1) % Family::COUNT;
                            Some(Op::Delete { family: Family::ALL[next], key: key.clone() })
                        }
                        Op::Put { .. } => None,
                    })
                    .collect();
                ops.extend(leaked);
            }
            _ => {}
        }
        let mut distorted = Batch::default();
        for op in ops {
            let key = self.key(op.key());
            add(
                &mut distorted,
                match op {
                    Op::Put { family, value, .. } => Op::Put { family, key, value },
                    Op::Delete { family, .. } => Op::Delete { family, key },
                },
            );
        }
        distorted
    }
}

fn add(batch: &mut Batch, op: Op) {
    match op {
        Op::Put { family, key, value } => batch.put(family, key, value),
        Op::Delete { family, key } => batch.delete(family, key),
    }
}

impl Read for Broken {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let found = self.inner.get(family, &self.key(key))?;
        Ok(found.filter(|value| self.defect != Defect::EmptyIsAbsent || !value.is_empty()))
    }

    fn scan(
        &self,
        family: Family,
        range: &Range,
        direction: Direction,
        visit: &mut dyn FnMut(&Bytes, &Bytes) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut wide = range.clone();
        let mut towards = direction;
        match self.defect {
            Defect::EndIncluded => {
                wide.end = wide.end.map(|end| Bytes::from([&end[..], b"\0"].concat()));
            }
            Defect::BackwardIsForward => towards = Direction::Forward,
            _ => {}
        }
        self.inner.scan(family, &wide, towards, &mut |key, value| {
            if self.defect == Defect::StartExcluded && *key == range.start {
                return ControlFlow::Continue(());
            }
            match visit(key, value) {
                ControlFlow::Break(()) if self.defect == Defect::BreakIgnored => {
                    ControlFlow::Continue(())
                }
                flow => flow,
            }
        })
    }
}

impl Engine for Broken {
    fn write(&self, batch: Batch) -> Result<(), Error> {
        let batch = self.distort(&batch);
        self.written.lock().unwrap().push(batch.clone());
        self.forgive(self.inner.write(batch))
    }

    fn sync(&self) -> Result<(), Error> {
        if self.defect == Defect::SyncForgotten {
            return Ok(());
        }
        self.forgive(self.inner.sync())?;
        self.written.lock().unwrap().clear();
        Ok(())
    }

    fn view(&self) -> Result<Box<dyn View>, Error> {
        if self.defect == Defect::ViewFollows {
            return Ok(Box::new(Follower(self.inner.clone())));
        }
        self.inner.view()
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }
}

/// A "view" that is the engine itself.
struct Follower(Arc<dyn Engine>);

impl View for Follower {}

impl Read for Follower {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.0.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        range: &Range,
        direction: Direction,
        visit: &mut dyn FnMut(&Bytes, &Bytes) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.0.scan(family, range, direction, visit)
    }
}
