//! Kontiki stores as children of this program, each to be killed and started again by itself.
//!
//! `kontiki playground` restarts what dies after a pause that grows; whoever kills a hundred times
//! wants them back at once.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use kontiki_types::StoreId;

use crate::process::Process;

/// Stores of one cluster, on free ports of loopback; they stop with this value.
pub(crate) struct Stores {
    binary: PathBuf,
    dir: PathBuf,
    addresses: Vec<String>,
    processes: Vec<Process>,
    election_timeout_ms: u64,
}

impl Stores {
    /// Starts this many in an empty directory.
    ///
    /// # Errors
    /// When a port or a directory cannot be had, or the binary not be started.
    pub(crate) fn start(
        binary: PathBuf,
        dir: &Path,
        count: usize,
        election_timeout_ms: u64,
    ) -> anyhow::Result<Self> {
        let _ = std::fs::remove_dir_all(dir);
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let addresses = free_addresses(count)?;
        let dir = dir.to_owned();
        let mut stores =
            Self { binary, dir, addresses, processes: Vec::new(), election_timeout_ms };
        for n in 0..count {
            let process = stores.launch(n)?;
            stores.processes.push(process);
        }
        Ok(stores)
    }

    /// Where clients connect.
    pub(crate) fn endpoints(&self) -> &[String] {
        &self.addresses
    }

    /// Where its logs are.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Ends a store as `kill -9` does.
    pub(crate) fn kill(&mut self, store: StoreId) {
        self.processes[at(store)].kill();
    }

    /// Starts a store that was killed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn restart(&mut self, store: StoreId) -> anyhow::Result<()> {
        self.processes[at(store)] = self.launch(at(store))?;
        Ok(())
    }

    /// # Errors
    /// Names a store that ended although nobody killed it.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        let ended = self.processes.iter_mut().position(Process::has_ended);
        let dir = self.dir.display();
        ended.map_or(Ok(()), |n| anyhow::bail!("store {} died; see {dir}", n + 1))
    }

    fn launch(&self, n: usize) -> anyhow::Result<Process> {
        let cluster: Vec<String> = (1..).zip(&self.addresses).map(member).collect();
        let mut command = Command::new(&self.binary);
        // What was exported for other stores is not for these.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KONTIKI_") && name != "KONTIKI_ENGINE" {
                command.env_remove(name);
            }
        }
        command
            .arg("serve")
            .args(["--parent-pid", &std::process::id().to_string()])
            .args(["--store-id", &(n + 1).to_string()])
            .args(["--listen", &self.addresses[n]])
            .args(["--initial-cluster", &cluster.join(",")])
            .args(["--election-timeout-ms", &self.election_timeout_ms.to_string()])
            .arg("--data-dir")
            .arg(self.dir.join(format!("store-{}", n + 1)));
        Process::start(&mut command, &self.dir.join(format!("store-{}.log", n + 1)))
    }
}

fn member((id, address): (usize, &String)) -> String {
    format!("{id}={address}")
}

fn at(store: StoreId) -> usize {
    usize::try_from(store.0 - 1).expect("stores are numbered from 1")
}

/// Addresses that nobody listens on now.
///
/// # Errors
/// When the machine has no port left.
pub(crate) fn free_addresses(count: usize) -> anyhow::Result<Vec<String>> {
    // Held until all are chosen: else one could be chosen twice.
    let bound = || TcpListener::bind(("127.0.0.1", 0)).context("no free port");
    let listeners = (0..count).map(|_| bound()).collect::<anyhow::Result<Vec<_>>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect()
}
