//! The conformance suite on a real directory. A crash is a copy of the directory taken while the
//! engine is open: what the operating system has, without any farewell of the engine.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt;
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
        // A sync that cannot find the journal must not promise anything.
        for entry in fs::read_dir(self.directory.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "jnl") {
                fs::remove_file(path).unwrap();
            }
        }
        Some(engine)
    }
}

/// Copies a directory as it is at this moment; zeros at the end of a file become a hole, because
/// an empty journal is 64 MiB of them.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            copy_file(&entry.path(), &target);
        }
    }
}

fn copy_file(from: &Path, to: &Path) {
    const BLOCK: usize = 64 << 10;
    let mut from = File::open(from).unwrap();
    let to = File::create(to).unwrap();
    let (zeros, mut block) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut at = 0;
    loop {
        let count = from.read(&mut block).unwrap();
        if count == 0 {
            break;
        }
        if block[..count] != zeros[..count] {
            to.write_all_at(&block[..count], at).unwrap();
        }
        at += count as u64;
    }
    to.set_len(at).unwrap();
}

#[test]
fn the_fjall_engine_conforms() {
    assert_conforms(FjallHarness::new);
}
