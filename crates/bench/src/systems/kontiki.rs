//! A running Kontiki, through its client library as users have it: one client for all callers,
//! which gathers what is asked at once into batches.

use std::sync::Arc;

use bytes::Bytes;
use kontiki_client::{Batch, Options};

use super::{Deal, PRELOADERS};
use crate::closed_loop::{Client, REQUEST_MAX, Target};
use crate::workload::{Workload, key, rng};

/// The connection to a cluster.
pub(crate) struct System(kontiki_client::Client);

impl System {
    /// Connects.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub(crate) async fn connect(endpoints: &[String]) -> anyhow::Result<Self> {
        let options = Options { deadline: REQUEST_MAX, ..Options::default() };
        Ok(Self(kontiki_client::Client::connect(endpoints.iter().cloned(), options).await?))
    }

    pub(crate) async fn preload(&self, workload: &Workload) -> anyhow::Result<()> {
        let deal = Arc::new(Deal::new(workload.keys));
        let mut tasks = Vec::with_capacity(PRELOADERS);
        for worker in 0..PRELOADERS {
            let (client, deal) = (self.0.clone(), Arc::clone(&deal));
            let (values, mut rng) = (workload.values.clone(), rng(0, worker as u64));
            tasks.push(tokio::spawn(async move {
                while let Some(numbers) = deal.next() {
                    let mut batch = Batch::new();
                    for number in numbers {
                        batch.push(key(number), Some(values.draw(&mut rng)));
                    }
                    client.batch(batch).await?;
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

impl Target for System {
    type Client = kontiki_client::Client;

    fn client(&self, _n: usize) -> Self::Client {
        self.0.clone()
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
