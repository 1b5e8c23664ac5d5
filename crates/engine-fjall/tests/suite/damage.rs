//! What a power cut and a bad disk leave in the files: the first is a prefix of the batches, the
//! second is reported. Neither may ever pass as something else.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kontiki_engine::{Batch, Engine, Family, Read};
use kontiki_engine_fjall::{Error, FjallEngine};
use tempfile::TempDir;

use crate::conformance::copy_tree;

const SYNCED: u64 = 20;
const WRITTEN: u64 = 60;
const VALUE_BYTES: usize = 3000;

fn batch(number: u64) -> Batch {
    let mut batch = Batch::default();
    batch.put(Family::Meta, "number", number.to_string());
    batch.put(Family::Default, format!("row {number:04}"), vec![b'v'; VALUE_BYTES]);
    batch
}

/// A directory after `WRITTEN` batches and a sync after the `SYNCED`th, as the system has it.
fn crashed_directory() -> TempDir {
    let directory = crate::directory();
    let engine = FjallEngine::open(directory.path()).unwrap();
    for number in 1..=WRITTEN {
        engine.write(batch(number)).unwrap();
        if number == SYNCED {
            engine.sync().unwrap();
        }
    }
    let copy = crate::directory();
    copy_tree(directory.path(), copy.path());
    copy
}

/// A directory of `WRITTEN` batches in several tables, closed.
fn whole_directory() -> TempDir {
    let directory = crate::directory();
    let engine = FjallEngine::open(directory.path()).unwrap();
    for number in 1..=WRITTEN {
        engine.write(batch(number)).unwrap();
        if number % SYNCED == 0 {
            engine.sync().unwrap();
        }
    }
    directory
}

/// How many batches are there, after a check that they are exactly the first ones.
fn surviving(engine: &FjallEngine) -> u64 {
    let number = engine.get(Family::Meta, b"number").unwrap().unwrap_or(Bytes::from("0"));
    let number = std::str::from_utf8(&number).unwrap().parse().unwrap();
    for row in 1..=WRITTEN {
        let value = engine.get(Family::Default, format!("row {row:04}").as_bytes()).unwrap();
        assert_eq!(value.is_some(), row <= number, "row {row} of {number}");
    }
    number
}

#[test]
fn a_crash_leaves_the_last_sync() {
    let crashed = crashed_directory();
    let engine = FjallEngine::open(crashed.path()).unwrap();
    assert_eq!(surviving(&engine), SYNCED);
    // It goes on from there, under numbers that the batches of the last life did not have.
    engine.write(batch(SYNCED + 1)).unwrap();
    engine.sync().unwrap();
    drop(engine);
    assert_eq!(surviving(&FjallEngine::open(crashed.path()).unwrap()), SYNCED + 1);
}

/// What a sync was writing when the power went is in nobody's way.
#[test]
fn a_sync_cut_short_leaves_the_one_before() {
    let crashed = crashed_directory();
    fs::write(crashed.path().join("tables/7777"), b"half a table").unwrap();
    fs::write(crashed.path().join("v7777"), b"half a manifest").unwrap();
    fs::write(crashed.path().join(".tmpXyz"), b"half a pointer").unwrap();
    let engine = FjallEngine::open(crashed.path()).unwrap();
    assert_eq!(surviving(&engine), SYNCED);
    for number in SYNCED + 1..=WRITTEN {
        engine.write(batch(number)).unwrap();
        engine.sync().unwrap();
    }
    drop(engine);
    assert_eq!(surviving(&FjallEngine::open(crashed.path()).unwrap()), WRITTEN);
}

#[test]
fn a_file_that_is_gone_is_reported() {
    let whole = whole_directory();
    let mut files = Vec::new();
    list_files(whole.path(), &mut files);
    let mut gone = 0;
    for file in files {
        let name = file.strip_prefix(whole.path()).unwrap();
        if name == Path::new("lock") {
            continue;
        }
        let copy = crate::directory();
        copy_tree(whole.path(), copy.path());
        fs::remove_file(copy.path().join(name)).unwrap();
        match FjallEngine::open(copy.path()) {
            Err(Error::Damaged { .. }) => gone += 1,
            Err(other) => panic!("{}: {other}", name.display()),
            // An old manifest that nothing refers to any more.
            Ok(engine) => assert_eq!(surviving(&engine), WRITTEN, "{}", name.display()),
        }
    }
    assert!(gone >= 3, "pointer, manifest and a table at least: {gone}");
}

/// One flipped byte anywhere in the tables and manifests: an error at once or at the read, or no
/// difference. Never other rows.
#[test]
fn damage_never_passes_as_data() {
    let directory = whole_directory();
    let mut files = Vec::new();
    list_files(directory.path(), &mut files);
    assert!(files.iter().any(|file| file.to_string_lossy().contains("tables")), "{files:?}");
    let mut reported = 0;
    for file in files {
        let original = fs::read(&file).unwrap();
        for at in (0..original.len()).step_by((original.len() / 25).max(1)) {
            // A copy each time: an opening may tidy up what it does not understand.
            let copy = crate::directory();
            copy_tree(directory.path(), copy.path());
            let mut flipped = original.clone();
            flipped[at] ^= 0x04;
            let target = copy.path().join(file.strip_prefix(directory.path()).unwrap());
            fs::write(&target, flipped).unwrap();
            if !reads_whole_or_fails(copy.path(), &format!("{} at {at}", target.display())) {
                reported += 1;
            }
        }
    }
    assert!(reported > 50, "only {reported} flips were noticed");
}

/// Whether everything is there; `false` when an error said that it is not. Panics on other rows.
fn reads_whole_or_fails(directory: &Path, flip: &str) -> bool {
    let Ok(engine) = FjallEngine::open(directory) else { return false };
    for row in 1..=WRITTEN {
        let key = format!("row {row:04}");
        match engine.get(Family::Default, key.as_bytes()) {
            Ok(Some(value)) => assert!(value == vec![b'v'; VALUE_BYTES], "{key} changed"),
            Ok(None) => panic!("{key} vanished without a word: {flip}"),
            Err(_) => return false,
        }
    }
    true
}

fn list_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list_files(&path, files);
        } else {
            files.push(path);
        }
    }
}
