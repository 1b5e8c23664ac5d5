//! The conformance suite on a real directory. A crash is a copy of the directory taken while the
//! engine is open: what the operating system has, without any farewell of the engine.

use std::fs;
use std::io;
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

/// Copies a directory as it is at one moment, although a compactor may be at work in it: when the
/// pointer to the manifest moved or a file went meanwhile, the copy is begun again.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    const ATTEMPTS_MAX: usize = 100;
    let pointer = || fs::read(from.join("current")).ok();
    for _ in 0..ATTEMPTS_MAX {
        let before = pointer();
        let copied = copy_files(from, to);
        if copied.is_ok() && pointer() == before {
            return;
        }
        fs::remove_dir_all(to).unwrap();
        fs::create_dir(to).unwrap();
    }
    panic!("{} never holds still", from.display());
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy_files(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

#[test]
fn the_fjall_engine_conforms() {
    assert_conforms(FjallHarness::new);
}
