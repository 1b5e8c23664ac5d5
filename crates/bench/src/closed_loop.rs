//! The closed loop: every client sends, waits for the answer, and sends the next.
//!
//! Called by `compare` and `load`, once per run. A run has three phases; what *ends* in the
//! measured one counts, a failure as an error and never as a latency. Every request ends: clients
//! are given a time limit by the system's own means (see [`REQUEST_MAX`]), so that a hung server
//! shows as errors and not as a run that never ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::report::Row;
use crate::samples::Samples;
use crate::usage::{Snapshot, Used, Watch};
use crate::workload::{Op, Workload, below, key, rng};

/// How long a request may take; the same for every system.
pub(crate) const REQUEST_MAX: Duration = Duration::from_secs(5);
/// What a client waits after a failure: a refused request must not spin.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(1);

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

    /// Linearizable; a missing key is an error, because all keys were loaded.
    fn get(&mut self, key: Bytes) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What is run now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    /// Name of the system, for the row.
    pub(crate) system: &'a str,
    pub(crate) op: Op,
    pub(crate) clients: usize,
    /// Seeds the clients; another one takes other keys.
    pub(crate) round: u64,
    pub(crate) workload: &'a Workload,
    /// Whose CPU time is taken.
    pub(crate) watch: &'a Watch,
}

/// What came of a run.
pub(crate) struct Measured {
    pub(crate) row: Row,
    pub(crate) used: Used,
    /// The first failure that was counted.
    pub(crate) error: Option<String>,
}

impl Measured {
    /// The run in one line.
    pub(crate) fn print_line(&self) {
        let row = &self.row;
        let error = self.error.as_ref().map(|error| format!(", first of them: {error}"));
        println!(
            "{:<8} {:<4} {:>5} clients: {:>8.0}/s, p50 {:.2} p99 {:.2} ms, {:.2} cores, {} errors{}",
            row.system,
            row.op,
            row.clients,
            row.ops_per_s,
            row.p50_ms,
            row.p99_ms,
            self.used.cores(),
            row.errors,
            error.unwrap_or_default()
        );
    }
}

const WARM: u8 = 0;
const MEASURE: u8 = 1;
const STOP: u8 = 2;

#[derive(Default)]
struct Done {
    samples: Samples,
    errors: u64,
    error: Option<String>,
}

/// Runs it, on the runtime of the caller.
pub(crate) async fn run<T: Target>(target: &T, run: Run<'_>) -> Measured {
    let phase = Arc::new(AtomicU8::new(WARM));
    let mut tasks = Vec::with_capacity(run.clients);
    for n in 0..run.clients {
        let (client, phase) = (target.client(n), Arc::clone(&phase));
        let rng = rng(run.round, n as u64);
        tasks.push(tokio::spawn(client_loop(client, run.op, run.workload.clone(), rng, phase)));
    }
    tokio::time::sleep(run.workload.warmup).await;
    let before = Snapshot::take(run.watch);
    let started = Instant::now();
    phase.store(MEASURE, Ordering::SeqCst);
    tokio::time::sleep(run.workload.seconds).await;
    phase.store(STOP, Ordering::SeqCst);
    let seconds = started.elapsed().as_secs_f64();
    let after = Snapshot::take(run.watch);

    let mut all = Done::default();
    for task in tasks {
        match task.await {
            Ok(done) => {
                all.samples.add(&done.samples);
                all.errors += done.errors;
                all.error = all.error.or(done.error);
            }
            Err(panicked) => {
                all.errors += 1;
                all.error = Some(panicked.to_string());
            }
        }
    }
    all.samples.sort();
    let row = Row::new(&run, &all.samples, seconds, all.errors);
    let used = before.used_until(&after, all.samples.count(), seconds);
    Measured { row, used, error: all.error }
}

async fn client_loop<C: Client>(
    mut client: C,
    op: Op,
    workload: Workload,
    mut rng: rand_pcg::Pcg64,
    phase: Arc<AtomicU8>,
) -> Done {
    let mut done = Done::default();
    while phase.load(Ordering::Relaxed) != STOP {
        let key = key(below(&mut rng, workload.keys));
        let value = workload.values.draw(&mut rng);
        let began = Instant::now();
        let result = match op {
            Op::Put => client.put(key, value).await,
            Op::Get => client.get(key).await,
        };
        let took = began.elapsed();
        let measured = phase.load(Ordering::Relaxed) == MEASURE;
        match result {
            Ok(()) if measured => done.samples.record(took),
            Ok(()) => {}
            Err(error) => {
                if measured {
                    done.errors += 1;
                    done.error.get_or_insert_with(|| format!("{error:#}"));
                }
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Values;

    /// Answers after a millisecond; every tenth request of a client fails.
    struct Fake;

    impl Target for Fake {
        type Client = FakeClient;

        fn client(&self, _n: usize) -> FakeClient {
            FakeClient(0)
        }
    }

    struct FakeClient(u64);

    impl Client for FakeClient {
        async fn put(&mut self, key: Bytes, value: Bytes) -> anyhow::Result<()> {
            assert_eq!((key.len(), value.len()), (16, 64));
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.0 += 1;
            anyhow::ensure!(!self.0.is_multiple_of(10), "the tenth");
            Ok(())
        }

        async fn get(&mut self, _key: Bytes) -> anyhow::Result<()> {
            anyhow::bail!("gets are not asked for");
        }
    }

    #[tokio::test]
    async fn counts_what_ends_in_the_window_and_errors_apart() {
        let workload = Workload {
            keys: 1000,
            values: Values::new(64),
            warmup: Duration::from_millis(50),
            seconds: Duration::from_millis(400),
        };
        let (op, clients, round) = (Op::Put, 4, 1);
        let planned = Run {
            system: "fake",
            op,
            clients,
            round,
            workload: &workload,
            watch: &Watch::default(),
        };
        let measured = run(&Fake, planned).await;
        let ops = measured.row.ops_per_s * 0.4;
        // Four clients of at most one request a millisecond; a busy machine makes fewer.
        assert!((4.0..=1700.0).contains(&ops), "{ops} requests in 0.4 s");
        assert!(measured.row.p50_ms >= 1.0, "p50 {}", measured.row.p50_ms);
        let share = measured.row.errors as f64 / (ops + measured.row.errors as f64);
        assert!((0.02..0.2).contains(&share), "every tenth fails, not {share}");
        assert_eq!(measured.error.as_deref(), Some("the tenth"));
    }
}
