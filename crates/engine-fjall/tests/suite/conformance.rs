//! The conformance suite on a real directory. A crash is a copy of the directory taken while the
//! engine is open: what the operating system has, without any farewell of the engine.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use kontiki_engine::conformance::{Harness, assert_conforms};
use kontiki_engine::{Engine, Error};
use kontiki_engine_fjall::FjallEngine;
use tempfile::TempDir;

struct FjallHarness {
    directory: TempDir,
}

impl FjallHarness {
    fn new() -> Self {
        Self { directory: crate::directory() }
    }
}

impl Harness for FjallHarness {
    fn open(&mut self) -> Result<Arc<dyn Engine>, Error> {
        let engine = FjallEngine::open(self.directory.path());
        Ok(Arc::new(engine.map_err(|error| Error::backend("open", error))?))
    }

    fn crash(&mut self, engine: Arc<dyn Engine>, _choice: u64) -> Result<Arc<dyn Engine>, Error> {
        let copy = crate::directory();
        copy_tree(self.directory.path(), copy.path());
        drop(engine);
        self.directory = copy;
        self.open()
    }

    fn break_disk(&mut self) -> Option<Arc<dyn Engine>> {
        let engine = self.open().unwrap();
        // A sync that cannot write its table must not promise anything.
        fs::remove_dir_all(self.directory.path().join("tables")).unwrap();
        Some(engine)
    }
}

/// Copies a directory as it is at this moment.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

#[test]
fn the_fjall_engine_conforms() {
    assert_conforms(FjallHarness::new);
}
