//! `kontiki bench`: a closed loop of puts or gets against a running cluster. For comparisons with
//! other systems there is the program `kontiki-bench`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use kontiki_client::Client;
use serde::Serialize;

use crate::chaos::dice::Dice;
use crate::connect::Connect;
use crate::duration_arg;
use crate::exit::{Code, Failure};
use crate::output::{Form, count_text, table};

/// Latencies are recorded with three digits.
const DIGITS: u8 = 3;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Op {
    /// Store values.
    Put,
    /// Read linearizably.
    Get,
}

/// Measure puts and gets of a closed loop of clients
///
/// Writes keys that begin with `bench/`; `kontiki delete-range --prefix bench/` removes them.
#[derive(clap::Args, Debug)]
pub(crate) struct Bench {
    /// What to measure, one after the other
    #[arg(value_name = "OP", default_values = ["put", "get"])]
    ops: Vec<Op>,
    /// Clients, each with one operation under way
    #[arg(long, short, env = "KONTIKI_CLIENTS", value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,
    /// How long each operation is measured, after a tenth of it to warm up
    #[arg(long = "for", id = "for", env = "KONTIKI_FOR", value_name = "DURATION", value_parser = duration_arg::parse, default_value = "5s")]
    length: Duration,
    /// Bytes of a value
    #[arg(long, env = "KONTIKI_VALUE_BYTES", value_name = "BYTES", default_value_t = 256)]
    value_bytes: usize,
    /// Different keys
    #[arg(long, env = "KONTIKI_KEYS", value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,
    /// Seed of the order of keys
    #[arg(long, env = "KONTIKI_SEED", value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    connect: Connect,
}

/// What was measured.
#[derive(Serialize, Debug)]
struct Measured {
    op: Op,
    clients: u32,
    ops_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
    errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_error: Option<String>,
}

impl Bench {
    /// Measures.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.connect.client().await?;
        let mut all = Vec::new();
        for &op in &self.ops {
            all.push(self.measure(&client, op).await?);
        }
        let mut out = self.connect.out(Form::Table, false);
        match out.form {
            Form::Json => all.iter().try_for_each(|measured| out.json(measured))?,
            Form::Table | Form::Plain => {
                let columns = [
                    "op",
                    "clients>",
                    "ops/s>",
                    "p50 ms>",
                    "p99 ms>",
                    "p99.9 ms>",
                    "max ms>",
                    "errors>",
                ];
                let mut rows = table(&columns);
                for m in &all {
                    let ms = |ms: f64| format!("{ms:.2}");
                    rows.add_row([
                        format!("{:?}", m.op).to_lowercase(),
                        m.clients.to_string(),
                        count_text(whole(m.ops_per_s)),
                        ms(m.p50_ms),
                        ms(m.p99_ms),
                        ms(m.p999_ms),
                        ms(m.max_ms),
                        count_text(m.errors),
                    ]);
                }
                out.line(&rows.to_string())?;
            }
        }
        out.finish()?;
        match all.iter().find_map(|measured| measured.first_error.as_deref()) {
            None => Ok(()),
            Some(why) => Err(Failure::new(Code::Verification, format!("errors, the first: {why}"))),
        }
    }

    async fn measure(&self, client: &Client, op: Op) -> Result<Measured, Failure> {
        let warm_until = Instant::now() + self.length / 10;
        let run = Arc::new(Run {
            client: client.clone(),
            op,
            value: Bytes::from(vec![b'v'; self.value_bytes]),
            key_count: self.keys as usize,
            warm_until,
            until: warm_until + self.length,
            errors: AtomicU64::new(0),
        });
        let tasks: Vec<_> = (0..self.clients)
            .map(|number| {
                tokio::spawn(one_client(run.clone(), Dice::new(self.seed, u64::from(number))))
            })
            .collect();
        let mut latencies = new_histogram();
        let mut first_error = None;
        for task in tasks {
            let (part, error) =
                task.await.map_err(|error| Failure::machine("a client task", error))?;
            latencies.add(part).expect("both histograms have the same bounds");
            first_error = first_error.or(error);
        }
        let ms = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
        Ok(Measured {
            op,
            clients: self.clients,
            ops_per_s: latencies.len() as f64 / self.length.as_secs_f64(),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            p999_ms: ms(0.999),
            max_ms: latencies.max() as f64 / 1000.0,
            errors: run.errors.load(Relaxed),
            first_error,
        })
    }
}

/// What the clients of one measurement share.
struct Run {
    client: Client,
    op: Op,
    value: Bytes,
    key_count: usize,
    warm_until: Instant,
    until: Instant,
    errors: AtomicU64,
}

async fn one_client(run: Arc<Run>, mut dice: Dice) -> (Histogram<u64>, Option<String>) {
    let mut latencies = new_histogram();
    let mut first_error = None;
    loop {
        let began = Instant::now();
        if began >= run.until {
            return (latencies, first_error);
        }
        let key = format!("bench/{:08}", dice.below(run.key_count));
        let done = match run.op {
            Op::Put => run.client.put(&key, run.value.clone()).await,
            Op::Get => run.client.get(&key).await.map(drop),
        };
        match done {
            Err(error) => {
                run.errors.fetch_add(1, Relaxed);
                first_error.get_or_insert_with(|| error.to_string());
            }
            Ok(()) if began >= run.warm_until => {
                let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                latencies.saturating_record(micros);
            }
            Ok(()) => {}
        }
    }
}

fn new_histogram() -> Histogram<u64> {
    const MICROS_MAX: u64 = 120_000_000;
    Histogram::new_with_bounds(1, MICROS_MAX, DIGITS).expect("the bounds are in order")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people: not negative, and far below 2^53"
)]
fn whole(rate: f64) -> u64 {
    rate as u64
}
