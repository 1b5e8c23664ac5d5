//! Tests of the suite itself: good engines pass, and each defect is caught by the right case.

use std::sync::Arc;

use super::broken::{BrokenHarness, Defect};
use super::{CASES, Harness, assert_conforms};
use crate::{Engine, Error, Fault, FaultyEngine, MemoryEngine, MemoryImageStore, SimDisk};

/// The memory engine: a crash is a restart from the last image.
struct MemoryHarness(Arc<MemoryImageStore>);

impl Harness for MemoryHarness {
    fn open(&mut self) -> Result<Arc<dyn Engine>, Error> {
        Ok(Arc::new(MemoryEngine::open(self.0.clone())?))
    }

    fn crash(&mut self, engine: Arc<dyn Engine>, _choice: u64) -> Result<Arc<dyn Engine>, Error> {
        drop(engine);
        self.open()
    }

    fn break_disk(&mut self) -> Option<Arc<dyn Engine>> {
        let faulty = FaultyEngine::new(Arc::new(MemoryEngine::volatile()));
        faulty.arm(Fault::Write { after: 0 });
        Some(Arc::new(faulty))
    }
}

/// The simulated engine: a crash keeps any prefix.
struct SimHarness(SimDisk);

impl Harness for SimHarness {
    fn open(&mut self) -> Result<Arc<dyn Engine>, Error> {
        Ok(Arc::new(self.0.open()))
    }

    fn crash(&mut self, _engine: Arc<dyn Engine>, choice: u64) -> Result<Arc<dyn Engine>, Error> {
        let count = self.0.unsynced_count() as u64;
        self.0.crash(usize::try_from(choice % (count + 1)).unwrap());
        self.open()
    }
}

#[test]
fn the_memory_engine_conforms() {
    assert_conforms(|| MemoryHarness(Arc::default()));
}

#[test]
fn the_simulated_engine_conforms() {
    assert_conforms(|| SimHarness(SimDisk::new()));
}

/// The cases that catch a defect; the first one is the case made for it.
fn catchers(defect: Defect) -> Vec<&'static str> {
    CASES
        .iter()
        .filter(|case| (case.run)(&mut BrokenHarness::new(defect)).is_err())
        .map(|case| case.name)
        .collect()
}

#[test]
fn every_defect_is_caught_and_every_case_catches() {
    let mut useful = Vec::new();
    for defect in Defect::ALL {
        let caught_by = catchers(defect);
        let made_for_it = match defect {
            Defect::None => {
                assert!(caught_by.is_empty(), "no defect, but {caught_by:?} complain");
                continue;
            }
            Defect::EndIncluded | Defect::StartExcluded | Defect::BackwardIsForward => "scan",
            Defect::BreakIgnored => "scan break",
            Defect::FirstWins => "batch order",
            Defect::FamiliesLeak => "families",
            Defect::DeleteForgotten | Defect::EmptyIsAbsent => "point",
            Defect::ZeroEndsKey | Defect::SevenBits => "keys",
            Defect::ViewFollows => "view",
            Defect::SyncForgotten | Defect::MiddleLost | Defect::LastTorn => "crash",
            Defect::BigBatchCut => "big batch",
            Defect::FailureForgiven => "poison",
            Defect::RestartForgets => "restart",
        };
        assert!(caught_by.contains(&made_for_it), "{defect:?} was caught by {caught_by:?} only");
        useful.extend(caught_by);
    }
    for case in CASES {
        assert!(
            useful.contains(&case.name),
            "\"{}\" catches no defect: it proves nothing",
            case.name
        );
    }
}
