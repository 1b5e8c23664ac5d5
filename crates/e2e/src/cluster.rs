//! A playground of three real store processes.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

use crate::command::{Output, binary, run, wait_for};

/// How long a cluster may take to come up, or to find a new leader, on a busy machine.
const UP: Duration = Duration::from_secs(30);

/// One store, as `playground.json` tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Store {
    /// Its id.
    pub id: u64,
    /// Its process; 0 while it is down.
    pub pid: i32,
    /// Where it listens.
    pub addr: String,
    /// Its data directory.
    pub dir: String,
}

/// A running playground; ends with this value.
pub struct Cluster {
    child: Child,
    dir: PathBuf,
}

impl Cluster {
    /// Start one on this directory and wait until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(dir: &Path, extra: &[&str]) -> Self {
        let _ = std::fs::remove_file(dir.join("playground.json"));
        let child = Command::new(binary())
            .args(["playground", "--stores", "3", "--port-base", "0", "--data-dir"])
            .arg(dir)
            .args(extra)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the playground starts");
        let mut cluster = Self { child, dir: dir.to_owned() };
        wait_for("playground.json", UP, || {
            if let Ok(Some(status)) = cluster.child.try_wait() {
                let mut said = String::new();
                let _ = cluster.child.stderr.take().map(|mut err| err.read_to_string(&mut said));
                panic!("the playground ended with {status}: {said}");
            }
            cluster.json()
        });
        cluster
    }

    fn json(&self) -> Option<Value> {
        let text = std::fs::read_to_string(self.dir.join("playground.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The stores as of now.
    ///
    /// # Panics
    /// When `playground.json` is not as documented.
    pub fn stores(&self) -> Vec<Store> {
        let json = self.json().expect("playground.json is there and whole");
        let stores = json["stores"].as_array().expect("a list of stores");
        let store = |value: &Value| Store {
            id: value["id"].as_u64().expect("an id"),
            pid: i32::try_from(value["pid"].as_i64().unwrap_or(0)).expect("a pid"),
            addr: value["addr"].as_str().expect("an address").to_owned(),
            dir: value["dir"].as_str().expect("a directory").to_owned(),
        };
        stores.iter().map(store).collect()
    }

    /// `--endpoints` of this cluster.
    pub fn endpoints(&self) -> String {
        self.stores().into_iter().map(|store| store.addr).collect::<Vec<_>>().join(",")
    }

    /// One command against this cluster.
    pub fn kontiki(&self, args: &[&str], input: &[u8]) -> Output {
        let endpoints = self.endpoints();
        let mut all = vec![args[0], "--endpoints", &endpoints];
        all.extend(&args[1..]);
        run(&all, input)
    }

    /// The store that leads, once one does and all stores serve.
    ///
    /// # Panics
    /// When none does in time.
    pub fn leader(&self) -> Store {
        let id = wait_for("a leader and three stores that serve", UP, || {
            let output = self.kontiki(&["status", "-o", "json"], b"");
            let text = output.text();
            let stores: Vec<Value> =
                text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            let serving = stores.iter().filter(|store| store["serving"] == true).count();
            let leader = stores.iter().find(|store| store["leads"].as_u64() > Some(0))?;
            if serving == 3 { leader["id"].as_u64() } else { None }
        });
        self.stores().into_iter().find(|store| store.id == id).expect("it is listed")
    }

    /// Send a signal to the playground itself and wait for its exit code.
    ///
    /// # Panics
    /// When it does not end, or a store outlives it.
    pub fn end(mut self, signal: Signal) -> i32 {
        let stores = self.stores();
        signal_to(self.child.id().cast_signed(), signal);
        let status = wait_for("the end of the playground", UP, || {
            self.child.try_wait().expect("it can be waited for")
        });
        for store in stores {
            wait_for("the end of a store", UP, || (!is_alive(store.pid)).then_some(()));
        }
        status.code().unwrap_or(-1)
    }
}

impl Store {
    /// `kill -9`, `SIGSTOP`, …
    ///
    /// # Panics
    /// When there is no such process.
    pub fn signal(&self, signal: Signal) {
        signal_to(self.pid, signal);
    }
}

fn signal_to(pid: i32, signal: Signal) {
    let pid = Pid::from_raw(pid).expect("a pid is not zero");
    kill_process(pid, signal).expect("the process is there");
}

fn is_alive(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The stores go with their playground.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
