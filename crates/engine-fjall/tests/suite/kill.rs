//! A process that is killed in the middle of writing: what it was told is synced, is there, and
//! what else is there is whole batches.
//!
//! The child is this test binary again, told by an environment variable to write for ever. The
//! values are large, so that tables are written and merged while it dies.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use kontiki_engine::{Batch, Engine, Family, Read};
use kontiki_engine_fjall::FjallEngine;

const DIRECTORY_VARIABLE: &str = "KONTIKI_TEST_KILL_DIRECTORY";
const SLOTS: u64 = 64;
const VALUE_BYTES: usize = 64 << 10;

/// Batches a child syncs before it dies: 64 KiB each.
const BATCHES_PER_LIFE: [u64; 4] = [3, 700, 1500, 40];

#[test]
fn nothing_synced_is_lost_when_the_process_is_killed() {
    let directory = crate::directory();
    let mut least = 0;
    for batches in BATCHES_PER_LIFE {
        let told = run_and_kill(directory.path(), least + batches);
        assert!(told >= least + batches, "the child said {told}");
        let engine = FjallEngine::open(directory.path()).unwrap();
        least = check(&engine);
        assert!(least >= told, "{least} batches are there, {told} were synced");
    }
}

/// Starts a child, waits until it says it synced `until`, kills it, and returns what it said last.
fn run_and_kill(directory: &Path, until: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--nocapture"])
        .env(DIRECTORY_VARIABLE, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = 0;
    for line in lines {
        let line = line.unwrap();
        let Some(number) = line.strip_prefix("synced ") else { continue };
        told = number.parse().unwrap();
        if told >= until {
            // SIGKILL; what is still in the pipe is read on below.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    told
}

/// Not a test by itself: writes for ever when it is the child.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY_VARIABLE) else { return };
    let engine = FjallEngine::open(Path::new(&directory)).unwrap();
    let first = check(&engine) + 1;
    for number in first.. {
        let mut batch = Batch::default();
        for family in Family::ALL {
            batch.put(family, "number", number.to_be_bytes().to_vec());
        }
        batch.put(Family::Default, slot_key(number), value(number));
        engine.write(batch).unwrap();
        if number % 17 == 0 {
            engine.sync().unwrap();
            writeln!(std::io::stdout(), "synced {number}").unwrap();
        }
    }
}

/// The number of the last batch, after a check that the rows are those of all batches up to it.
fn check(engine: &FjallEngine) -> u64 {
    let numbers = Family::ALL.map(|family| engine.get(family, b"number").unwrap());
    let [number, ..] = numbers.clone();
    assert!(numbers.iter().all(|other| *other == number), "torn batch: {numbers:?}");
    let Some(number) = number else { return 0 };
    let number = u64::from_be_bytes(number[..].try_into().unwrap());
    for newest in (1..=number).rev().take(usize::try_from(SLOTS).unwrap()) {
        let found = engine.get(Family::Default, &slot_key(newest)).unwrap();
        assert!(found.is_some_and(|found| found == value(newest)), "slot of {newest} of {number}");
    }
    number
}

fn slot_key(number: u64) -> Vec<u8> {
    (number % SLOTS).to_be_bytes().to_vec()
}

fn value(number: u64) -> Vec<u8> {
    let mut value = vec![number.to_le_bytes()[0]; VALUE_BYTES];
    value.extend_from_slice(&number.to_be_bytes());
    value
}
