//! A damaged log: the store starts, its replica takes no part, the others serve.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kontiki_e2e::{Cluster, wait_for};
use rustix::process::Signal;
use serde_json::Value;

use crate::temporary;

/// How long a replica may take to be as it should.
const SOON: Duration = Duration::from_secs(30);
/// Bytes that are flipped.
const DAMAGE_BYTES: u64 = 512;

#[test]
fn a_store_with_a_damaged_log_starts_and_takes_no_part() {
    let dir = temporary();
    let cluster = Cluster::start(dir.path(), &[]);
    let lines: Vec<String> = (0..3000).map(|n| format!("key-{n:04}\tvalue {n}\n")).collect();
    cluster.kontiki(&["load", "-"], lines.concat().as_bytes()).ok();
    let dump = cluster.kontiki(&["dump"], b"").ok().out;
    let damaged = cluster.stores().remove(1);
    assert_eq!(cluster.end(Signal::TERM), 0);
    damage(Path::new(&damaged.dir));

    let cluster = Cluster::start(dir.path(), &[]);
    let replica = wait_for("a quarantined replica", SOON, || {
        let replica = replica_of(&cluster, damaged.id)?;
        (replica["role"] == "quarantined").then_some(replica)
    });
    assert!(replica["quarantine"].as_str().is_some_and(|why| !why.is_empty()), "{replica}");

    // The others serve, and lost nothing.
    assert_eq!(cluster.kontiki(&["dump"], b"").ok().out, dump);
    cluster.kontiki(&["put", "still", "served"], b"").ok();

    // They are two of three: without one of them nothing is acknowledged, for the third has no say.
    let other = cluster.stores().remove(2);
    other.signal(Signal::STOP);
    let refused = cluster.kontiki(&["put", "no", "quorum", "--timeout", "2s"], b"");
    assert!([3, 4].contains(&refused.code), "{refused:?}");
    other.signal(Signal::CONT);
    cluster.kontiki(&["put", "a", "quorum", "--timeout", "20s"], b"").ok();
    assert_eq!(cluster.end(Signal::TERM), 0);
}

/// The one replica of a store, as `status` shows it.
fn replica_of(cluster: &Cluster, store: u64) -> Option<Value> {
    let text = cluster.kontiki(&["status", "-o", "json"], b"").text();
    let mut rows = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let row = rows.find(|row| row["id"] == store)?;
    row["replicas"].get(0).cloned()
}

/// Flips bytes in the middle of what the log of a store holds.
fn damage(store_dir: &Path) {
    let (path, used) = segments(&store_dir.join("log"))
        .into_iter()
        .max_by_key(|(_, used)| *used)
        .expect("a log has segments");
    let file = OpenOptions::new().read(true).write(true).open(&path).expect("it opens");
    let mut bytes = vec![0; usize::try_from(DAMAGE_BYTES).expect("few")];
    file.read_exact_at(&mut bytes, used / 2).expect("read");
    for byte in &mut bytes {
        *byte ^= 0x55;
    }
    file.write_all_at(&bytes, used / 2).expect("written");
}

/// Segments of a log, each with the place of its last byte that is not zero.
fn segments(log_dir: &Path) -> Vec<(PathBuf, u64)> {
    let entries = std::fs::read_dir(log_dir).expect("a log directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let segments = paths.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
    let used = |path: &Path| {
        let bytes = std::fs::read(path).expect("read");
        bytes.iter().rposition(|&byte| byte != 0).unwrap_or(0) as u64
    };
    segments.map(|path| (path.clone(), used(&path))).collect()
}
