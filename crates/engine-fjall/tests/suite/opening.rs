//! Opening directories that are in use, half made, foreign, or of another version.

use std::fs;

use kontiki_engine::{Batch, Engine, Family, Read};
use kontiki_engine_fjall::{Error, FjallEngine};

#[test]
fn a_directory_in_use_is_refused_by_name() {
    let directory = crate::directory();
    let engine = FjallEngine::open(directory.path()).unwrap();

    let Err(error) = FjallEngine::open(directory.path()) else { panic!("opened twice") };

    assert!(matches!(error, Error::InUse { .. }), "{error}");
    assert!(error.to_string().contains("is in use; stop the other process"), "{error}");
    drop(engine);
    FjallEngine::open(directory.path()).unwrap();
}

#[test]
fn a_creation_that_was_cut_short_starts_again() {
    // The file `current` comes last; before it, any part of the rest may be there.
    for present in [&["lock"][..], &["lock", "v0"], &["lock", "v0", ".tmpAbc"]] {
        let directory = crate::directory();
        fs::create_dir_all(directory.path().join("tables")).unwrap();
        for name in present {
            fs::write(directory.path().join(name), b"").unwrap();
        }

        let engine = FjallEngine::open(directory.path()).unwrap();

        let mut batch = Batch::default();
        batch.put(Family::Default, "key", "value");
        engine.write(batch).unwrap();
        engine.sync().unwrap();
        drop(engine);
        let engine = FjallEngine::open(directory.path()).unwrap();
        assert!(engine.get(Family::Default, b"key").unwrap().is_some());
    }
}

#[test]
fn a_used_directory_without_its_pointer_is_damaged_not_new() {
    let directory = crate::directory();
    let engine = FjallEngine::open(directory.path()).unwrap();
    let mut batch = Batch::default();
    batch.put(Family::Default, "key", "value");
    engine.write(batch).unwrap();
    engine.sync().unwrap();
    drop(engine);
    fs::remove_file(directory.path().join("current")).unwrap();
    let opened = FjallEngine::open(directory.path());
    assert!(matches!(opened, Err(Error::Damaged { .. })), "a new store over an old one");
}

#[test]
fn a_foreign_directory_is_left_alone() {
    let directory = crate::directory();
    fs::write(directory.path().join("thesis.tex"), b"important").unwrap();
    let opened = FjallEngine::open(directory.path());
    assert!(matches!(opened, Err(Error::Damaged { .. })));
    assert!(directory.path().join("thesis.tex").exists());
}

/// What an earlier Kontiki made has a file of this name.
#[test]
fn another_version_is_named() {
    let directory = crate::directory();
    drop(FjallEngine::open(directory.path()).unwrap());
    fs::write(directory.path().join("version"), b"FJL\x03").unwrap();
    let Err(error) = FjallEngine::open(directory.path()) else { panic!("opened") };
    assert!(error.to_string().contains("another format (storage format 1)"), "{error}");
}

#[test]
fn a_file_in_place_of_the_directory_is_an_io_error() {
    let directory = crate::directory();
    let path = directory.path().join("file");
    fs::write(&path, b"").unwrap();
    assert!(matches!(FjallEngine::open(&path), Err(Error::Io { .. })));
}

#[test]
fn blocks_stay_in_memory_as_far_as_the_owner_allows() {
    const ROWS: u32 = 20_000;
    let key = |row: u32| row.to_be_bytes();
    let directory = crate::directory();
    let mut batch = Batch::default();
    for row in 0..ROWS {
        batch.put(Family::Default, key(row).to_vec(), vec![7; 250]);
    }
    let engine = FjallEngine::open(directory.path()).unwrap();
    engine.write(batch).unwrap();
    engine.sync().unwrap();
    drop(engine);
    let held_after_reading_all = |cache_bytes| {
        let engine = FjallEngine::open_with(directory.path(), cache_bytes).unwrap();
        for row in 0..ROWS {
            assert!(engine.get(Family::Default, &key(row)).unwrap().is_some());
        }
        engine.stats().memory_bytes
    };
    let (small, large) = (held_after_reading_all(1 << 20), held_after_reading_all(64 << 20));
    assert!(small < 2 << 20, "{small} bytes held where 1 MiB is allowed");
    assert!(large > 4 << 20, "only {large} of 5 MB of rows are held");
}
