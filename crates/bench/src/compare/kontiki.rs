//! Three Kontiki stores, started by `kontiki playground`, and its client library.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use kontiki_client::{Batch, Options};

use super::load::{Client, Target, Workload, key, value};
use crate::process::Process;

const PORT_BASE: u16 = 23_900;
const BATCH_PUTS: u64 = 100;
const PRELOADERS: u64 = 16;

/// A cluster; stops with this value.
pub(crate) struct Cluster {
    client: kontiki_client::Client,
    _playground: Process,
}

impl Cluster {
    pub(crate) async fn start(binary: Option<&Path>, dir: &Path) -> anyhow::Result<Self> {
        let _ = std::fs::remove_dir_all(dir);
        std::fs::create_dir_all(dir)?;
        let binary = binary.map_or_else(build, |path| Ok(path.to_owned()))?;
        let mut command = Command::new(binary);
        command
            .args(["playground", "--stores", "3", "--port-base", &PORT_BASE.to_string()])
            .arg("--data-dir")
            .arg(dir.join("data"));
        let mut playground = Process::start(&mut command, &dir.join("log.txt"))?;
        let ready = dir.join("data").join("playground.json");
        for _ in 0..300 {
            if ready.exists() || playground.has_ended() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let text = std::fs::read_to_string(&ready)
            .with_context(|| format!("kontiki does not serve; see {}", dir.display()))?;
        let json: serde_json::Value = serde_json::from_str(&text)?;
        let endpoints: Vec<String> = serde_json::from_value(json["endpoints"].clone())?;
        let client = kontiki_client::Client::connect(endpoints, Options::default()).await?;
        Ok(Self { client, _playground: playground })
    }

    pub(crate) async fn preload(&self, workload: &Workload) -> anyhow::Result<()> {
        let value = value(workload.value_size, 1);
        let mut tasks = Vec::new();
        for worker in 0..PRELOADERS {
            let (client, keys, value) = (self.client.clone(), workload.keys, value.clone());
            tasks.push(tokio::spawn(async move {
                let mut first = worker * BATCH_PUTS;
                while first < keys {
                    let mut batch = Batch::new();
                    for number in first..keys.min(first + BATCH_PUTS) {
                        batch = batch.put(key(number), value.clone());
                    }
                    client.batch(batch).await?;
                    first += PRELOADERS * BATCH_PUTS;
                }
                Ok::<(), kontiki_client::Error>(())
            }));
        }
        for task in tasks {
            task.await??;
        }
        Ok(())
    }
}

/// Build the binary that lies beside this one, so that both are of the same source.
fn build() -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("kontiki");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--release", "--quiet", "-p", "kontiki"]);
    let built = command.status().is_ok_and(|status| status.success());
    anyhow::ensure!(built && beside.exists(), "kontiki is not built: give --kontiki PATH");
    Ok(beside)
}

impl Target for Cluster {
    type Client = kontiki_client::Client;

    fn client(&self, _n: usize) -> Self::Client {
        self.client.clone()
    }
}

impl Client for kontiki_client::Client {
    async fn put(&mut self, key: Bytes, value: Bytes) -> anyhow::Result<()> {
        kontiki_client::Client::put(self, key, value).await?;
        Ok(())
    }

    async fn get(&mut self, key: Bytes) -> anyhow::Result<()> {
        let value = kontiki_client::Client::get(self, key).await?;
        anyhow::ensure!(value.is_some(), "a preloaded key is missing");
        Ok(())
    }
}
