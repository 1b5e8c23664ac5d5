//! The closed loop: every client sends, waits, and sends the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::ValueEnum;
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::Rng;

use crate::histogram::Latencies;
use crate::report::Row;

/// What one client does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Op {
    /// Overwrite a random key
    Put,
    /// Linearizable read of a random key
    Get,
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
        }
    }
}

/// What all runs share.
pub(crate) struct Workload {
    pub(crate) keys: u64,
    pub(crate) value_size: usize,
    pub(crate) warmup: Duration,
    pub(crate) seconds: Duration,
}

/// A system under load.
pub(crate) trait Target {
    /// What one client holds.
    type Client: Client + Send + 'static;

    /// The connection of client number `n`.
    fn client(&self, n: usize) -> Self::Client;
}

/// One client of a system.
pub(crate) trait Client {
    fn put(&mut self, key: Bytes, value: Bytes) -> impl Future<Output = anyhow::Result<()>> + Send;
    fn get(&mut self, key: Bytes) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// 16 bytes, spread evenly over the key space.
pub(crate) fn key(number: u64) -> Bytes {
    Bytes::from(format!("{number:016}"))
}

/// Bytes that do not compress.
pub(crate) fn value(size: usize, seed: u64) -> Bytes {
    let mut bytes = vec![0; size];
    Pcg64Mcg::new(u128::from(seed) | 1).fill_bytes(&mut bytes);
    Bytes::from(bytes)
}

const WARM: u8 = 0;
const MEASURE: u8 = 1;
const STOP: u8 = 2;

struct Done {
    latencies: Latencies,
    errors: u64,
}

pub(crate) async fn run<T: Target>(
    target: &T,
    system: &str,
    op: Op,
    clients: usize,
    workload: &Workload,
) -> Row {
    let phase = Arc::new(AtomicU8::new(WARM));
    let value = value(workload.value_size, 7);
    let mut tasks = Vec::with_capacity(clients);
    for n in 0..clients {
        let client = target.client(n);
        let (phase, value, keys) = (Arc::clone(&phase), value.clone(), workload.keys);
        tasks.push(tokio::spawn(client_loop(client, op, n as u64, keys, value, phase)));
    }
    tokio::time::sleep(workload.warmup).await;
    let started = Instant::now();
    phase.store(MEASURE, Ordering::SeqCst);
    tokio::time::sleep(workload.seconds).await;
    phase.store(STOP, Ordering::SeqCst);
    let seconds = started.elapsed().as_secs_f64();

    let mut latencies = Latencies::new();
    let mut errors = 0;
    for task in tasks {
        match task.await {
            Ok(done) => {
                latencies.add(&done.latencies);
                errors += done.errors;
            }
            Err(_) => errors += 1,
        }
    }
    Row {
        system: system.to_owned(),
        op: op.name().to_owned(),
        clients,
        ops_per_s: latencies.count() as f64 / seconds,
        p50_ms: latencies.quantile_ms(0.5),
        p99_ms: latencies.quantile_ms(0.99),
        p999_ms: latencies.quantile_ms(0.999),
        errors,
    }
}

/// Counts what ends inside the measured window; a failed request is an error, not a latency.
async fn client_loop<C: Client>(
    mut client: C,
    op: Op,
    number: u64,
    keys: u64,
    value: Bytes,
    phase: Arc<AtomicU8>,
) -> Done {
    let mut done = Done { latencies: Latencies::new(), errors: 0 };
    let mut rng = Pcg64Mcg::new(u128::from(number * 2 + 1) * 0x9E37_79B9_7F4A_7C15);
    loop {
        let key = key(rng.next_u64() % keys);
        let began = Instant::now();
        let result = match op {
            Op::Put => client.put(key, value.clone()).await,
            Op::Get => client.get(key).await,
        };
        let took = began.elapsed();
        match (phase.load(Ordering::Relaxed), result) {
            (WARM, _) => {}
            (MEASURE, Ok(())) => done.latencies.record(took),
            (MEASURE, Err(_)) => done.errors += 1,
            _ => return done,
        }
    }
}
