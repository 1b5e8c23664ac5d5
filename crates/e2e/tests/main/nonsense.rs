//! What cannot be meant gets a clear error and changes nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use kontiki_e2e::{Cluster, run};

use crate::temporary;

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

#[test]
fn endpoints_that_are_none_are_a_mistake_of_the_caller() {
    for bad in ["nonsense", "", "http://host", "host name:1"] {
        let output = run(&["get", "k", "--endpoints", bad], b"");
        assert_eq!(output.code, 2, "{bad}: {output:?}");
        assert!(output.err.contains("host:port"), "{bad}: {output:?}");
    }
}

#[test]
fn a_store_whose_port_is_taken_touches_nothing() {
    let dir = temporary();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("an address").to_string();
    let data = dir.path().join("data");
    let data_dir = data.to_str().expect("text");
    let peers = format!("1={taken}");
    let args = ["serve", "--store-id", "1", "--data-dir", data_dir, "--initial-cluster", &peers];
    let output = run(&args, b"");
    assert_eq!(output.code, 6, "{output:?}");
    assert!(output.err.contains("cannot listen"), "{output:?}");
    assert!(!data.exists(), "it made its directory");
}
