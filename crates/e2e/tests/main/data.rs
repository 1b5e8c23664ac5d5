//! What users put in comes out again, through every command, kills and restarts.

use std::time::{Duration, Instant};

use kontiki_e2e::{Cluster, wait_for};
use rustix::process::Signal;

use crate::temporary;

#[test]
fn data_of_any_bytes_survives_commands_kills_and_restarts() {
    let dir = temporary();
    let cluster = Cluster::start(dir.path(), &[]);

    cluster.kontiki(&["put", "hello", "world"], b"").ok();
    assert_eq!(cluster.kontiki(&["get", "hello"], b"").ok().text().trim_end(), "world");
    assert_eq!(cluster.kontiki(&["get", "missing"], b"").code, 1);
    cluster.kontiki(&["cas", "hello", "--expect", "world", "--update", "there"], b"").ok();
    assert_eq!(cluster.kontiki(&["cas", "hello", "--absent", "--update", "x"], b"").code, 1);
    cluster.kontiki(&["put", "--hex", "00ff0a09", "0d0a00"], b"").ok();
    cluster.kontiki(&["put", "degrees", "-5"], b"").ok();
    cluster.kontiki(&["cas", "degrees", "--expect", "-5", "--update", "-6.5"], b"").ok();
    assert_eq!(cluster.kontiki(&["get", "degrees"], b"").ok().text().trim_end(), "-6.5");
    cluster.kontiki(&["delete", "degrees"], b"").ok();

    // What load reads, dump writes, binary keys and values included.
    let lines: Vec<String> = (0..1000).map(|n| format!("key-{n:04}\tvalue {n}\n")).collect();
    let lines = lines.concat();
    let file = dir.path().join("records.tsv");
    std::fs::write(&file, &lines).expect("written");
    cluster.kontiki(&["load", file.to_str().expect("text")], b"").ok();
    let dump = cluster.kontiki(&["dump"], b"").ok().out;
    assert_eq!(dump.split(|&byte| byte == b'\n').count(), 1003);
    let again = dir.path().join("again.tsv");
    std::fs::write(&again, &dump).expect("written");
    cluster.kontiki(&["delete-range", "--prefix", "key-"], b"").ok();
    assert_eq!(cluster.kontiki(&["get", "key-0500"], b"").code, 1);
    cluster.kontiki(&["load", again.to_str().expect("text")], b"").ok();
    assert_eq!(cluster.kontiki(&["dump"], b"").ok().out, dump);

    // The same as JSON.
    let json = cluster.kontiki(&["dump", "-o", "json"], b"").ok().out;
    cluster.kontiki(&["delete-range", "--all"], b"").ok();
    cluster.kontiki(&["load", "-", "--format", "jsonl"], &json).ok();
    assert_eq!(cluster.kontiki(&["dump"], b"").ok().out, dump);

    // The leader dies; the others go on; it comes back.
    let leader = cluster.leader();
    let options = std::fs::read_to_string(format!("/proc/{}/environ", leader.pid)).expect("runs");
    assert!(options.contains("MIMALLOC_PURGE_DELAY=1000"), "the store did not start itself anew");
    leader.signal(Signal::KILL);
    let killed = Instant::now();
    cluster.kontiki(&["put", "after", "the kill"], b"").ok();
    let outage = killed.elapsed();
    assert!(outage < Duration::from_secs(8), "no write for {outage:?} after a kill");
    wait_for("the store to be started again", Duration::from_secs(20), || {
        let now = cluster.stores().into_iter().find(|store| store.id == leader.id)?;
        (now.pid != 0 && now.pid != leader.pid).then_some(())
    });
    cluster.leader();
    let dump = cluster.kontiki(&["dump"], b"").ok().out;

    // Everything ends on SIGTERM, and a new start finds the data.
    assert_eq!(cluster.end(Signal::TERM), 0);
    let cluster = Cluster::start(dir.path(), &[]);
    assert_eq!(cluster.kontiki(&["dump"], b"").ok().out, dump);
    assert_eq!(cluster.end(Signal::INT), 0);
}
