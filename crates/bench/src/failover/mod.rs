//! `failover`: how long nobody is acknowledged when the leader dies, and when it hands over.
//!
//! Three stores, each a process, fsync on. A few writers put all the time, as callers of one client
//! that retries: what fails for one of them is counted. Then, as often as asked:
//!
//! - **kill**: the leader's process is ended by SIGKILL, at a random moment; a put begins right
//!   after. What it takes until it is acknowledged is the figure: the time to the next
//!   acknowledged write, that client's search for the new leader included. The store comes back
//!   and catches up before the next kill.
//! - **transfer**: the leader is asked to hand over; the figure is the longest time in which no
//!   writer at all was acknowledged, from the order until a write that began under the new leader
//!   is acknowledged. Beside it stand the same in as long a calm right after, and what a sync cost
//!   at that time ([`probe`]).

mod probe;
mod writers;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use clap::Args as ClapArgs;
use kontiki_client::{Client, Options};
use kontiki_types::{RegionId, StoreId};
use rand_pcg::Pcg64;
use serde::Serialize;

use crate::samples::Samples;
use crate::systems::kontiki_cluster::find_binary;
use crate::systems::kontiki_stores::Stores;
use crate::workload::{below, key, rng};
use probe::Probe;
use writers::Writers;

/// Stores of the cluster.
const STORES: usize = 3;
/// How long the cluster may take to be whole again.
const WHOLE_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Between two questions to the new leader whether it leads already.
const ASK_EVERY: Duration = Duration::from_millis(1);
/// How far behind a replica may be and count as caught up: what is on its way at any moment.
const BEHIND_MAX: u64 = 1000;

/// Flags of `failover`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// How often the leader is killed
    #[arg(long, default_value_t = 100)]
    kills: u64,
    /// How often it hands over; of a hundred the p99 would be an outlier
    #[arg(long, default_value_t = 500)]
    transfers: u64,
    /// Callers that write all the time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    writers: u64,
    /// Election timeout of the stores; the default of `kontiki serve`
    #[arg(long, default_value_t = 500)]
    election_timeout_ms: u64,
    /// The kontiki binary [default: the one beside this program, built by `cargo run`]
    #[arg(long)]
    kontiki: Option<PathBuf>,
    /// Where the stores keep their data, emptied first [default: a temporary directory]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Write the figures here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    election_timeout_ms: u64,
    kill_p50_ms: f64,
    kill_p99_ms: f64,
    transfer_p50_ms: f64,
    transfer_p99_ms: f64,
    /// The longest silence in as long a time in which nothing happened: what the machine does to
    /// callers anyway.
    calm_p50_ms: f64,
    calm_p99_ms: f64,
    /// What one sync cost while leaders handed over.
    sync_p50_ms: f64,
    sync_p99_ms: f64,
    failed_requests: u64,
}

/// A transfer of leadership.
struct Handed {
    /// The longest time in which no writer was acknowledged.
    silence: Duration,
    /// From the order until a write under the new leader was acknowledged.
    took: Duration,
}

/// A cluster under writes.
struct Scene {
    stores: Stores,
    client: Client,
    writers: Writers,
    rng: Pcg64,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let temporary = tempfile::Builder::new().prefix("kontiki-failover-").tempdir()?;
    let dir = args.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let binary = find_binary(args.kontiki.as_deref())?;
    let stores = Stores::start(binary, &dir.join("kontiki"), STORES, args.election_timeout_ms)?;
    let client = Client::connect(stores.endpoints().iter().cloned(), Options::default()).await?;
    // Everything here is over once the cluster serves a write.
    client.put(key(0), Bytes::from_static(b"first")).await.context("the first write")?;
    let writers = Writers::start(&client, args.writers);
    let mut scene = Scene { stores, client, writers, rng: rng(1, 1) };

    let probe = Probe::start(&dir)?;
    let (mut transfers, mut calms) = (Samples::default(), Samples::default());
    for n in 1..=args.transfers {
        let handed = scene.transfer().await.with_context(|| format!("transfer {n}"))?;
        transfers.record(handed.silence);
        calms.record(scene.calm(handed.took).await.with_context(|| format!("after transfer {n}"))?);
    }
    transfers.sort();
    print("transfer", &transfers);
    calms.sort();
    print("calm in between", &calms);
    let syncs = probe.stop()?;
    print("sync meanwhile", &syncs);
    let mut kills = Samples::default();
    for n in 1..=args.kills {
        let took = scene.kill().await.with_context(|| format!("kill {n}"))?;
        println!("kill {n}: {:.0} ms", took.as_secs_f64() * 1e3);
        kills.record(took);
    }
    kills.sort();
    print("kill", &kills);
    let failed = scene.writers.stop().await;
    println!("{} requests failed{}", failed.count, failed.first_in_words());
    let report = Report {
        election_timeout_ms: args.election_timeout_ms,
        kill_p50_ms: kills.quantile_ms(0.5),
        kill_p99_ms: kills.quantile_ms(0.99),
        transfer_p50_ms: transfers.quantile_ms(0.5),
        transfer_p99_ms: transfers.quantile_ms(0.99),
        calm_p50_ms: calms.quantile_ms(0.5),
        calm_p99_ms: calms.quantile_ms(0.99),
        sync_p50_ms: syncs.quantile_ms(0.5),
        sync_p99_ms: syncs.quantile_ms(0.99),
        failed_requests: failed.count,
    };
    println!("{}", serde_json::to_string(&report)?);
    if let Some(path) = &args.json {
        let text = serde_json::to_vec_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

fn print(what: &str, samples: &Samples) {
    let at = |quantile| samples.quantile_ms(quantile);
    println!(
        "{} of {what}: p50 {:.1}, p90 {:.1}, p99 {:.1}, longest {:.1} ms",
        samples.count(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
}

impl Scene {
    /// Kills the leader, and tells when the next write was acknowledged. The cluster is whole again
    /// when it returns.
    async fn kill(&mut self) -> anyhow::Result<Duration> {
        let (_, leader) = self.whole().await?;
        self.at_a_random_moment().await;
        self.stores.kill(leader);
        let began = Instant::now();
        let written = self.client.put(key(1), Bytes::from_static(b"after the kill")).await;
        let took = began.elapsed();
        if let Err(error) = written {
            self.writers.count_failure(&error);
        }
        self.stores.restart(leader)?;
        self.stores.check()?;
        Ok(took)
    }

    /// Lets the leader hand over, and tells how long nobody was acknowledged.
    async fn transfer(&mut self) -> anyhow::Result<Handed> {
        let (region, leader) = self.whole().await?;
        let to = StoreId(leader.0 % STORES as u64 + 1);
        self.at_a_random_moment().await;
        let began = Instant::now();
        self.client.transfer_leader(region, Some(to)).await.context("order a transfer")?;
        let deadline = began + WHOLE_WITHIN;
        while self.leader_by(to).await != Some(to) {
            anyhow::ensure!(Instant::now() < deadline, "{to} does not lead");
            tokio::time::sleep(ASK_EVERY).await;
        }
        let silence = self.silence_until_a_write(began).await;
        Ok(Handed { silence, took: began.elapsed() })
    }

    /// How long nobody was acknowledged in so much time, though nothing happened.
    async fn calm(&mut self, time: Duration) -> anyhow::Result<Duration> {
        self.whole().await?;
        self.at_a_random_moment().await;
        let began = Instant::now();
        tokio::time::sleep(time).await;
        Ok(self.silence_until_a_write(began).await)
    }

    /// The longest time without an acknowledgement, until that of a write that begins now.
    async fn silence_until_a_write(&self, began: Instant) -> Duration {
        if let Err(error) = self.client.put(key(1), Bytes::from_static(b"now")).await {
            self.writers.count_failure(&error);
        }
        self.writers.longest_silence(began)
    }

    /// The moments at which things happen are spread over the time between two heartbeats.
    async fn at_a_random_moment(&mut self) {
        tokio::time::sleep(Duration::from_micros(below(&mut self.rng, 200_000))).await;
    }

    /// Waits until every store serves, agrees on the leader, and has caught up.
    async fn whole(&mut self) -> anyhow::Result<(RegionId, StoreId)> {
        let deadline = Instant::now() + WHOLE_WITHIN;
        loop {
            if let Some(found) = self.look().await {
                return Ok(found);
            }
            self.stores.check()?;
            let dir = self.stores.dir().display();
            anyhow::ensure!(Instant::now() < deadline, "the cluster is not whole; see {dir}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&self) -> Option<(RegionId, StoreId)> {
        let mut seen = Vec::with_capacity(STORES);
        for endpoint in self.stores.endpoints() {
            let status = self.client.status_of(endpoint).await.ok()?;
            let replica = status.replicas.first()?;
            let region = replica.region.as_ref()?.id;
            seen.push((region, replica.leader_store_id, replica.term, replica.applied_index));
        }
        let &(region, leader, term, _) = seen.first()?;
        let agree = seen.iter().all(|one| (one.0, one.1, one.2) == (region, leader, term));
        let applied = || seen.iter().map(|one| one.3);
        let close = applied().max()?.saturating_sub(applied().min()?) <= BEHIND_MAX;
        (agree && close && leader > 0).then_some((RegionId(region), StoreId(leader)))
    }

    /// Who leads, in the eyes of this store.
    async fn leader_by(&self, store: StoreId) -> Option<StoreId> {
        let endpoint = &self.stores.endpoints()[usize::try_from(store.0 - 1).ok()?];
        let status = self.client.status_of(endpoint).await.ok()?;
        status.replicas.first().map(|replica| StoreId(replica.leader_store_id))
    }
}
