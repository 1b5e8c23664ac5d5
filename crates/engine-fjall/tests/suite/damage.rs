//! What a power cut and a bad disk leave in the files: the first is repaired to a prefix of the
//! batches, the second is reported. Neither may ever pass as whole.

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

/// A directory after `WRITTEN` batches, of which `SYNCED` were synced, as the system has it.
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

fn batch(number: u64) -> Batch {
    let mut batch = Batch::default();
    batch.put(Family::Meta, "number", number.to_string());
    batch.put(Family::Default, format!("row {number:04}"), vec![b'v'; VALUE_BYTES]);
    batch
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

fn journal(directory: &Path) -> PathBuf {
    directory.join("0.jnl")
}

/// Bytes of the journal that hold batches.
fn used_bytes(journal: &[u8]) -> usize {
    journal.iter().rposition(|&byte| byte != 0).unwrap() + 1
}

/// Where the row of a batch lies in the journal.
fn position_of(journal: &[u8], number: u64) -> usize {
    let key = format!("row {number:04}");
    journal.windows(key.len()).position(|window| window == key.as_bytes()).unwrap()
}

#[test]
fn a_torn_end_is_cut_to_whole_batches() {
    let crashed = crashed_directory();
    let original = fs::read(journal(crashed.path())).unwrap();
    let used = used_bytes(&original);
    let after_sync = position_of(&original, SYNCED + 2);
    for at in (after_sync..used).step_by((used - after_sync) / 8) {
        // A page that never reached the disk, with later pages that did; a file that ends early;
        // and garbage as from a half written sector.
        let mut hole = original.clone();
        hole[at..(at + 4096).min(used)].fill(0);
        let short = original[..at].to_vec();
        let mut garbage = original.clone();
        garbage[at..(at + 512).min(used)].fill(0x5a);
        for (what, bytes) in [("hole", hole), ("short", short), ("garbage", garbage)] {
            let directory = crate::directory();
            copy_tree(crashed.path(), directory.path());
            fs::write(journal(directory.path()), bytes).unwrap();

            let engine = FjallEngine::open(directory.path()).unwrap();

            let number = surviving(&engine);
            assert!((SYNCED..WRITTEN).contains(&number), "{what} at {at}: {number} batches");
            // It goes on, and what it writes now is found behind the cut.
            engine.write(batch(number + 1)).unwrap();
            engine.sync().unwrap();
            drop(engine);
            let engine = FjallEngine::open(directory.path()).unwrap();
            assert_eq!(surviving(&engine), number + 1, "{what} at {at}");
        }
    }
}

#[test]
fn damage_to_what_was_synced_is_reported() {
    let crashed = crashed_directory();
    let original = fs::read(journal(crashed.path())).unwrap();
    let synced = position_of(&original, SYNCED);
    for at in (1..synced + VALUE_BYTES / 2).step_by(2003) {
        let mut flipped = original.clone();
        flipped[at] ^= 0x10;
        let short = original[..at].to_vec();
        for (what, bytes) in [("flipped", flipped), ("short", short)] {
            fs::write(journal(crashed.path()), bytes).unwrap();
            match FjallEngine::open(crashed.path()) {
                Err(Error::Damaged { .. }) => {}
                Err(other) => panic!("{what} at {at}: {other}"),
                Ok(engine) => panic!("{what} at {at}: opened with {} batches", surviving(&engine)),
            }
        }
    }
    fs::remove_file(journal(crashed.path())).unwrap();
    assert!(matches!(FjallEngine::open(crashed.path()), Err(Error::Damaged { .. })), "no journal");
}

/// A journal that is not the newest was synced whole: what it lost in the middle is not a torn end.
#[test]
fn damage_to_a_sealed_journal_is_reported() {
    /// fjall seals a journal at 64 MB, when it flushes a memtable.
    const BATCHES: u64 = 2000;
    const BIG_VALUE_BYTES: usize = 64 << 10;
    let directory = crate::directory();
    let engine = FjallEngine::open(directory.path()).unwrap();
    for number in 0..BATCHES {
        let mut batch = Batch::default();
        // The rows of `Meta` stay in memory, and so this journal stays on disk.
        batch.put(Family::Meta, "number", number.to_string());
        batch.put(Family::Default, (number % 100).to_string(), vec![b'v'; BIG_VALUE_BYTES]);
        engine.write(batch).unwrap();
    }
    engine.sync().unwrap();
    drop(engine);
    let sealed = journal(directory.path());
    assert!(directory.path().join("1.jnl").exists(), "no journal was sealed");
    let original = fs::read(&sealed).unwrap();
    for at in [10, used_bytes(&original) / 2, used_bytes(&original) - 3] {
        let mut flipped = original.clone();
        flipped[at] ^= 1;
        fs::write(&sealed, flipped).unwrap();
        let opened = FjallEngine::open(directory.path());
        assert!(matches!(opened, Err(Error::Damaged { .. })), "flipped byte {at}");
    }
    fs::write(&sealed, original).unwrap();
    let engine = FjallEngine::open(directory.path()).unwrap();
    let number = engine.get(Family::Meta, b"number").unwrap().unwrap();
    assert_eq!(number, (BATCHES - 1).to_string());
}

/// One flipped byte anywhere in the tables and catalogues: an error at once or at the read, or no
/// difference. Never other rows.
#[test]
fn damage_to_tables_never_passes_as_data() {
    let directory = crate::directory();
    let engine = FjallEngine::open(directory.path()).unwrap();
    for number in 1..=WRITTEN {
        engine.write(batch(number)).unwrap();
    }
    engine.sync().unwrap();
    engine.flush_to_tables().unwrap();
    drop(engine);
    let mut files = Vec::new();
    list_files(&directory.path().join("keyspaces"), &mut files);
    assert!(files.iter().any(|file| file.to_string_lossy().contains("tables")), "{files:?}");
    let mut reported = 0;
    for file in files {
        let original = fs::read(&file).unwrap();
        for at in (0..original.len()).step_by((original.len() / 5).max(1)) {
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
    assert!(reported > 10, "only {reported} flips were noticed");
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
