//! Three etcd members on loopback, with etcd's defaults but for the quota of its database, which
//! would end a long measurement.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::process::{Process, check_free};
use crate::usage::Watched;

/// Member n listens for clients on this port and n.
const CLIENT_PORT: u16 = 23_790;
/// Member n listens for members on this port and n.
const PEER_PORT: u16 = 23_800;
const MEMBERS: u16 = 3;
/// The most etcd recommends; the default of 2 GiB is full after some millions of puts.
const QUOTA_BYTES: u64 = 8 << 30;

/// A cluster; stops with this value.
pub(crate) struct Cluster {
    binary: PathBuf,
    dir: PathBuf,
    members: Vec<Process>,
}

impl Cluster {
    /// Starts it in an empty directory.
    ///
    /// # Errors
    /// When a port is taken or the binary cannot be started.
    pub(crate) fn start(binary: &Path, dir: &Path) -> anyhow::Result<Self> {
        let _ = std::fs::remove_dir_all(dir);
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let (binary, dir) = (binary.to_owned(), dir.to_owned());
        let mut cluster = Self { binary, dir, members: Vec::new() };
        cluster.launch("new")?;
        Ok(cluster)
    }

    /// Stops all members and starts them on the data they have.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        self.members.clear();
        self.launch("existing")
    }

    /// Where clients connect.
    pub(crate) fn endpoints() -> Vec<String> {
        (0..MEMBERS).map(|n| format!("127.0.0.1:{}", CLIENT_PORT + n)).collect()
    }

    /// Its processes.
    pub(crate) fn watched(&self) -> Vec<Watched> {
        let label = |(n, member): (usize, &Process)| Watched::server(format!("m{n}"), member.pid());
        self.members.iter().enumerate().map(label).collect()
    }

    /// Where its logs are.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn launch(&mut self, state: &str) -> anyhow::Result<()> {
        check_free((0..MEMBERS).flat_map(|n| [CLIENT_PORT + n, PEER_PORT + n]))?;
        let peer = |n: u16| format!("http://127.0.0.1:{}", PEER_PORT + n);
        let list: Vec<String> = (0..MEMBERS).map(|n| format!("m{n}={}", peer(n))).collect();
        for n in 0..MEMBERS {
            let url = format!("http://127.0.0.1:{}", CLIENT_PORT + n);
            let mut command = Command::new(&self.binary);
            command
                .args(["--name", &format!("m{n}")])
                .arg("--data-dir")
                .arg(self.dir.join(n.to_string()))
                .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
                .args(["--listen-peer-urls", &peer(n)])
                .args(["--initial-advertise-peer-urls", &peer(n)])
                .args(["--initial-cluster", &list.join(",")])
                .args(["--initial-cluster-state", state])
                .args(["--initial-cluster-token", "kontiki-bench"])
                .args(["--quota-backend-bytes", &QUOTA_BYTES.to_string()]);
            let log = self.dir.join(format!("{n}.log"));
            let started = Process::start(&mut command, &log);
            self.members.push(started.context("is etcd-server installed? or give --etcd PATH")?);
        }
        Ok(())
    }
}
