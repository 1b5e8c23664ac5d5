//! The real binary under real conditions: real sockets, real files, `kill -9`, nonsense.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use kontiki_e2e::{Cluster, run, wait_for};
use rustix::process::Signal;
use serde_json::Value;

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

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

    // The leader dies; the others go on; it comes back.
    let leader = cluster.leader();
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

#[test]
fn chaos_finds_nothing_lost_doubled_or_stale() {
    let dir = temporary();
    let json = dir.path().join("chaos.json");
    let json = json.to_str().expect("text");
    for (engine, pause) in [("fjall", None), ("memory", None), ("fjall", Some("2s"))] {
        let mut args = vec!["chaos", "--kill", "1s", "--for", "8s"];
        args.extend(["--engine", engine, "--json", json]);
        args.extend(pause.iter().flat_map(|pause| ["--pause", pause]));
        let words = "/usr/share/dict/words";
        if Path::new(words).exists() {
            args.extend(["--input", words]);
        }
        let output = run(&args, b"");
        let report = std::fs::read_to_string(json).unwrap_or_default();
        assert_eq!(output.code, 0, "{engine}: {report}\n{output:?}");
        let report: Value = serde_json::from_str(&report).expect("a report");
        for zero in ["lost", "doubled", "stale_reads"] {
            assert_eq!(report[zero], 0, "{engine}: {report}");
        }
        assert_eq!(report["replicas_equal"], true, "{engine}: {report}");
        let faults = report["kills"].as_u64().zip(report["pauses"].as_u64());
        assert!(faults.is_some_and(|(kills, pauses)| kills + pauses >= 3), "{engine}: {report}");
        assert!(report["acked"].as_u64() > Some(100), "{engine}: {report}");
    }
}

#[test]
fn nonsense_on_every_port_changes_nothing() {
    let dir = temporary();
    let cluster = Cluster::start(dir.path(), &[]);
    cluster.kontiki(&["put", "k", "v"], b"").ok();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let settings = [&preface[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    // A data frame that claims sixteen megabytes; a truncated request; a gRPC message cut short.
    let huge = [&settings[..], &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1], &[7; 4096]].concat();
    let noise: Vec<u8> =
        (0..65_536_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    let nonsense: [&[u8]; 6] =
        [b"", b"GET / HTTP/1.1\r\n\r\n", &preface[..10], &settings, &huge, &noise];
    for store in cluster.stores() {
        for bytes in nonsense {
            let mut stream = TcpStream::connect(&store.addr).expect("it listens");
            stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
            // The store may close while we still write, or say nothing at all.
            let _ = stream.write_all(bytes);
            let _ = stream.read(&mut [0; 1024]);
        }
    }
    let pids: Vec<i32> = cluster.stores().iter().map(|store| store.pid).collect();
    assert_eq!(cluster.kontiki(&["get", "k"], b"").ok().text().trim_end(), "v");
    let after: Vec<i32> = cluster.stores().iter().map(|store| store.pid).collect();
    assert_eq!(after, pids, "a store died of nonsense");
}

#[test]
fn oversized_requests_get_a_clear_error() {
    let dir = temporary();
    let cluster = Cluster::start(dir.path(), &[]);
    let key = "k".repeat(5000);
    let output = cluster.kontiki(&["put", &key, "v"], b"");
    assert_eq!(output.code, 2, "{output:?}");
    let value = vec![b'v'; 1024 * 1024 + 1];
    let output = cluster.kontiki(&["put", "k", "-"], &value);
    assert_eq!(output.code, 2, "{output:?}");
    let output = cluster.kontiki(&["put", "k", "-"], &value[1..]);
    assert_eq!(output.code, 0, "{output:?}");
    let output = cluster.kontiki(&["get", "k", "-o", "plain"], b"").ok();
    assert!(output.out.len() >= 1024 * 1024, "{} bytes", output.out.len());
}

#[test]
fn directories_in_use_of_others_or_of_newer_releases_are_refused() {
    let dir = temporary();
    let cluster = Cluster::start(dir.path(), &[]);
    let store = cluster.stores().remove(0);
    let peers: Vec<String> =
        cluster.stores().iter().map(|store| format!("{}={}", store.id, store.addr)).collect();
    let peers = peers.join(",");
    let serve = |data_dir: &str, cluster_id: &str| {
        let id = store.id.to_string();
        run(
            &[
                "serve",
                "--store-id",
                &id,
                "--cluster-id",
                cluster_id,
                "--data-dir",
                data_dir,
                "--listen",
                "127.0.0.1:0",
                "--initial-cluster",
                &peers,
            ],
            b"",
        )
    };
    let output = serve(&store.dir, "1");
    assert_ne!(output.code, 0, "{output:?}");
    assert!(output.err.contains("in use"), "{output:?}");

    // A copy, so that only the identity stands in the way.
    let copy = dir.path().join("copy");
    std::fs::create_dir(&copy).expect("made");
    let ident = Path::new(&store.dir).join("IDENT");
    std::fs::copy(&ident, copy.join("IDENT")).expect("copied");
    let copy_dir = copy.to_str().expect("text");
    let output = serve(copy_dir, "99");
    assert_ne!(output.code, 0, "{output:?}");
    assert!(output.err.contains("belongs to"), "{output:?}");

    let text = std::fs::read_to_string(&ident).expect("read");
    std::fs::write(copy.join("IDENT"), text.replace("format 1", "format 9")).expect("written");
    let output = serve(copy_dir, "1");
    assert_ne!(output.code, 0, "{output:?}");
    assert!(output.err.contains("newer"), "{output:?}");
}

#[test]
fn a_configuration_with_an_unknown_key_is_refused_by_name() {
    let dir = temporary();
    let file = dir.path().join("store.toml");
    std::fs::write(&file, "store_id = 1\ndata_dri = \"x\"\n").expect("written");
    let output = run(&["serve", "--config", file.to_str().expect("text")], b"");
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.err.contains("data_dri"), "{output:?}");
}
