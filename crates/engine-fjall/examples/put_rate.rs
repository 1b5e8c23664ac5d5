//! How fast the engine takes batches and answers gets on this machine.
//!
//! Run with `cargo run --release -p kontiki-engine-fjall --example put_rate -- [directory]`.
//! It writes batches of 128 puts of 256 bytes in random key order, syncs now and then from a
//! second thread as a store does, and prints rates, latencies and the CPU it took.

#![expect(clippy::print_stdout, reason = "a program that reports on its standard output")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kontiki_engine::{Batch, Engine, Family, Read};
use kontiki_engine_fjall::FjallEngine;

const BATCHES: u64 = 20_000;
const PUTS_PER_BATCH: u64 = 128;
const VALUE_BYTES: usize = 256;
const GETS: u64 = 300_000;
const SYNC_EVERY: Duration = Duration::from_millis(500);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let temporary = tempfile::TempDir::new()?;
    let directory = std::env::args().nth(1).map_or(temporary.path().to_path_buf(), Into::into);
    let engine = FjallEngine::open(&directory)?;

    let stop = AtomicBool::new(false);
    let (writes, syncs) = std::thread::scope(|scope| {
        let syncer = std::thread::Builder::new()
            .name("syncer".into())
            .spawn_scoped(scope, || sync_until(&engine, &stop))?;
        let writes = write_batches(&engine);
        stop.store(true, Ordering::Relaxed);
        let syncs = syncer.join().map_err(|_| "the syncing thread panicked")??;
        Ok::<_, Box<dyn std::error::Error>>((writes?, syncs))
    })?;
    report("write", &writes, PUTS_PER_BATCH, "put");
    report("sync ", &syncs, 1, "sync");
    report("get hot ", &read_keys(&engine, BATCHES / 100)?, 1, "get");
    report("get any ", &read_keys(&engine, BATCHES)?, 1, "get");
    report("get none", &read_absent(&engine)?, 1, "get");
    let start = Instant::now();
    let mut rows = 0_u64;
    engine.view()?.scan(
        Family::Default,
        &kontiki_engine::Range::all(),
        kontiki_engine::Direction::Forward,
        &mut |_, _| {
            rows += 1;
            std::ops::ControlFlow::Continue(())
        },
    )?;
    let micros = start.elapsed().as_secs_f64() * 1e6 / rows as f64;
    println!("scan: {rows} rows, {micros:.2} us a row");
    println!("{:?}, cpu of the process {:.1} s", engine.stats(), cpu_seconds()?);
    drop(engine);
    let start = Instant::now();
    let engine = FjallEngine::open(&directory)?;
    println!("reopen: {:?}, {:?}", start.elapsed(), engine.stats());
    Ok(())
}

fn write_batches(engine: &FjallEngine) -> Result<Vec<Duration>, kontiki_engine::Error> {
    let mut times = Vec::new();
    for batch_number in 0..BATCHES {
        // One buffer for all values of a batch, as they arrive in one Raft entry.
        let frame = Bytes::from(vec![
            u8::try_from(batch_number % 251).unwrap_or_default();
            VALUE_BYTES * 128
        ]);
        let mut batch = Batch::default();
        for put in 0..PUTS_PER_BATCH {
            let at = usize::try_from(put).unwrap_or_default() * VALUE_BYTES;
            let value = frame.slice(at..at + VALUE_BYTES);
            batch.put(Family::Default, key(batch_number * PUTS_PER_BATCH + put), value);
        }
        batch.put(Family::Meta, "applied", batch_number.to_be_bytes().to_vec());
        let start = Instant::now();
        engine.write(batch)?;
        times.push(start.elapsed());
    }
    Ok(times)
}

fn read_keys(
    engine: &FjallEngine,
    batches: u64,
) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    let count = batches * PUTS_PER_BATCH;
    let mut times = Vec::new();
    for number in 0..GETS {
        let key = key(scatter(number) % count);
        let start = Instant::now();
        let value = engine.get(Family::Default, &key)?;
        times.push(start.elapsed());
        if value.is_none_or(|value| value.len() != VALUE_BYTES) {
            return Err("a written row is missing".into());
        }
    }
    Ok(times)
}

fn read_absent(engine: &FjallEngine) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    let mut times = Vec::new();
    for number in 0..GETS {
        let key = key(number + BATCHES * PUTS_PER_BATCH);
        let start = Instant::now();
        let value = engine.get(Family::Default, &key)?;
        times.push(start.elapsed());
        if value.is_some() {
            return Err("a row that was never written".into());
        }
    }
    Ok(times)
}

fn sync_until(
    engine: &FjallEngine,
    stop: &AtomicBool,
) -> Result<Vec<Duration>, kontiki_engine::Error> {
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(SYNC_EVERY);
        let start = Instant::now();
        engine.sync()?;
        times.push(start.elapsed());
    }
    Ok(times)
}

/// A key of the usual shape, in an order that is not the order of writing.
fn key(number: u64) -> Bytes {
    Bytes::from(format!("r\0\0\0user{:016x}", scatter(number)))
}

fn scatter(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn report(name: &str, times: &[Duration], per_call: u64, unit: &str) {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let total: Duration = times.iter().sum();
    let at = |permille: usize| {
        sorted.get(sorted.len().saturating_sub(1) * permille / 1000).copied().unwrap_or_default()
    };
    let calls = times.len() as f64;
    let rate = calls / total.as_secs_f64();
    let each = total.as_secs_f64() * 1e6 / (calls * per_call as f64);
    println!(
        "{name}: {rate:.0} calls/s, {each:.2} us a {unit}; \
         p50 {:?} p99 {:?} p999 {:?} max {:?}",
        at(500),
        at(990),
        at(999),
        at(1000)
    );
}

/// User and system time of this process so far, in seconds.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    Ok((ticks(12).unwrap_or_default() + ticks(13).unwrap_or_default()) / TICKS_PER_SECOND)
}
