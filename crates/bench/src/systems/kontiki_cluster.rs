//! Three Kontiki stores on loopback, as `kontiki playground` starts them, with its defaults.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Deserialize;

use crate::process::{Process, check_free};
use crate::usage::Watched;

/// Store n listens on this port and n, n from 1.
const PORT_BASE: u16 = 23_900;
const STORES: u16 = 3;
/// How long the stores may take until they serve.
const READY_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A cluster; stops with this value.
pub(crate) struct Cluster {
    playground: Process,
    dir: PathBuf,
    state: State,
}

/// What `playground.json` says.
#[derive(Deserialize)]
struct State {
    endpoints: Vec<String>,
    stores: Vec<Store>,
}

#[derive(Deserialize)]
struct Store {
    id: u64,
    pid: Option<u32>,
}

impl Cluster {
    /// Starts it in an empty directory and waits until it serves.
    ///
    /// # Errors
    /// When a port is taken, the binary cannot be had, or the stores do not serve in time.
    pub(crate) async fn start(binary: Option<&Path>, dir: &Path) -> anyhow::Result<Self> {
        let _ = std::fs::remove_dir_all(dir);
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let binary = find_binary(binary)?;
        check_free((1..=STORES).map(|n| PORT_BASE + n))?;
        let data = dir.join("data");
        let mut command = Command::new(binary);
        // A store that dies must end the measurement, not come back as if nothing had happened.
        command
            .args(["playground", "--no-restart", "--stores", &STORES.to_string()])
            .args(["--port-base", &PORT_BASE.to_string(), "--data-dir"])
            .arg(&data);
        let mut playground = Process::start(&mut command, &dir.join("log.txt"))?;
        let file = data.join("playground.json");
        let deadline = Instant::now() + READY_WITHIN;
        while !file.exists() && !playground.has_ended() && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let cannot = || format!("kontiki does not serve; see {}", dir.display());
        let text = std::fs::read_to_string(&file).with_context(cannot)?;
        let state = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
        Ok(Self { playground, dir: dir.to_owned(), state })
    }

    /// Where clients connect.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.state.endpoints.clone()
    }

    /// Its processes.
    pub(crate) fn watched(&self) -> Vec<Watched> {
        let mut watched = vec![Watched::server("playground", self.playground.pid())];
        for store in &self.state.stores {
            if let Some(pid) = store.pid {
                watched.push(Watched::server(format!("store {}", store.id), pid));
            }
        }
        watched
    }

    /// Where its logs are.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// The binary that was named; or else the one beside this one, built, so that both are of the same
/// source.
///
/// # Errors
/// When it does not build, or nothing lies there.
pub(crate) fn find_binary(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    named.map_or_else(build, |path| Ok(path.to_owned()))
}

fn build() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let beside = this.with_file_name("kontiki");
    // Only `cargo run` says where the workspace is; without it, what lies there is taken.
    if let (Some(cargo), Some(here)) =
        (std::env::var_os("CARGO"), std::env::var_os("CARGO_MANIFEST_DIR"))
    {
        let target = this.parent().and_then(Path::parent).context("this program lies nowhere")?;
        let mut command = Command::new(cargo);
        command.args(["build", "-p", "kontiki", "--target-dir"]).arg(target).current_dir(here);
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        let status = command.status().context("run cargo")?;
        anyhow::ensure!(status.success(), "kontiki does not build: see above");
    }
    anyhow::ensure!(
        beside.exists(),
        "{} does not exist: build it, or give --kontiki PATH",
        beside.display()
    );
    Ok(beside)
}
