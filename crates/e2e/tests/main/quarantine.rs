//! A damaged log: the store starts, its replica takes no part, the others serve and refill it.

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
fn a_store_with_a_damaged_log_starts_and_is_refilled_by_the_others() {
    let dir = temporary();
    let cluster = Cluster::start(dir.path(), &[]);
    let lines: Vec<String> = (0..3000).map(|n| format!("key-{n:04}\tvalue {n}\n")).collect();
    cluster.kontiki(&["load", "-"], lines.concat().as_bytes()).ok();
    let dump = cluster.kontiki(&["dump"], b"").ok().out;
    let damaged = cluster.stores().remove(1);
    assert_eq!(cluster.end(Signal::TERM), 0);
    damage(Path::new(&damaged.dir));

    // While it is refilled the others serve, and lost nothing.
    let cluster = Cluster::start(dir.path(), &[]);
    let started = wait_for("a start with damage in the log file", SOON, || {
        let log = std::fs::read_to_string(Path::new(&damaged.dir).join("log.txt")).ok()?;
        log.lines().find(|line| line.contains("takes no part")).map(str::to_owned)
    });
    assert!(started.contains("r1"), "{started}");
    assert_eq!(cluster.kontiki(&["dump"], b"").ok().out, dump);
    cluster.kontiki(&["put", "still", "served"], b"").ok();
    healthy(&cluster, damaged.id);
    let equal = cluster.kontiki(&["status", "--compare", "-o", "plain"], b"").ok().text();
    assert!(equal.contains("all replicas hold the same"), "{equal}");

    // Its word counts again: one of the others may go.
    let other = cluster.stores().remove(2);
    other.signal(Signal::STOP);
    cluster.kontiki(&["put", "a", "quorum", "--timeout", "20s"], b"").ok();
    other.signal(Signal::CONT);
    assert_eq!(cluster.end(Signal::TERM), 0);

    // A restart knows the new replica by its name, and finds nothing to do.
    let cluster = Cluster::start(dir.path(), &[]);
    healthy(&cluster, damaged.id);
    assert_eq!(cluster.kontiki(&["get", "a"], b"").ok().text().trim_end(), "quorum");
    cluster.kontiki(&["status", "--compare"], b"").ok();
    assert_eq!(cluster.end(Signal::TERM), 0);
}

#[test]
fn a_store_that_lost_its_directory_is_refused_until_it_is_told_to_rejoin() {
    let dir = temporary();
    let cluster = Cluster::start(dir.path(), &[]);
    let lines: Vec<String> = (0..500).map(|n| format!("key-{n:04}\tvalue {n}\n")).collect();
    cluster.kontiki(&["load", "-"], lines.concat().as_bytes()).ok();
    let dump = cluster.kontiki(&["dump"], b"").ok().out;
    let lost = cluster.stores().remove(1);
    let new = |args: &[&str]| {
        let own = ["rejoin", "--store-id", "2", "--data-dir", &lost.dir];
        kontiki_e2e::run(&[&own[..], args].concat(), b"")
    };
    assert_eq!(new(&[]).code, 6, "its directory is in place");
    assert_eq!(cluster.end(Signal::TERM), 0);

    // An empty directory under the old name is nobody the others know.
    std::fs::remove_dir_all(&lost.dir).expect("removed");
    std::fs::create_dir(&lost.dir).expect("made");
    let cluster = Cluster::start(dir.path(), &[]);
    wait_for("the others to refuse it", SOON, || {
        let log = std::fs::read_to_string(Path::new(&lost.dir).join("log.txt")).ok()?;
        log.contains("kontiki rejoin").then_some(())
    });
    assert_eq!(cluster.kontiki(&["dump"], b"").ok().out, dump);
    assert_eq!(cluster.end(Signal::TERM), 0);

    std::fs::remove_dir_all(&lost.dir).expect("removed");
    new(&[]).ok();
    let cluster = Cluster::start(dir.path(), &[]);
    cluster.kontiki(&["put", "still", "served"], b"").ok();
    healthy(&cluster, lost.id);
    cluster.kontiki(&["status", "--compare"], b"").ok();
    let other = cluster.stores().remove(0);
    other.signal(Signal::STOP);
    cluster.kontiki(&["put", "a", "quorum", "--timeout", "20s"], b"").ok();
    other.signal(Signal::CONT);
    assert_eq!(cluster.end(Signal::TERM), 0);
}

/// Wait until `status` finds nothing wrong with any store.
fn healthy(cluster: &Cluster, store: u64) {
    let role = wait_for("a healthy cluster", SOON, || {
        let status = cluster.kontiki(&["status", "-o", "json"], b"");
        let role = replica_of(cluster, store)?["role"].as_str()?.to_owned();
        (status.code == 0).then_some(role)
    });
    assert!(["leader", "follower"].contains(&role.as_str()), "{role}");
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
