//! `engine`: what one apply worker gets out of a storage engine: batches of puts, then gets.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args as ClapArgs;
use kontiki_engine::{Batch, Engine, Family, MemoryEngine};
use kontiki_engine_fjall::FjallEngine;
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::Rng;
use serde::Serialize;

use crate::compare::load::{key, value};
use crate::report::write_json;

/// Flags of `engine`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Engines, in this order
    #[arg(long, value_delimiter = ',', default_value = "memory,fjall")]
    engines: Vec<String>,
    /// Puts of each engine
    #[arg(long, default_value_t = 1_000_000)]
    puts: u64,
    /// Puts in one batch
    #[arg(long, default_value_t = 128)]
    batch: u64,
    /// Bytes of a value
    #[arg(long, default_value_t = 256)]
    value_size: usize,
    /// Write the rows here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Row {
    engine: String,
    batch: u64,
    put_us: f64,
    get_us: f64,
    disk_mib: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    println!("{:<8} {:>6} {:>9} {:>9} {:>9}", "engine", "batch", "µs/put", "µs/get", "disk MiB");
    for name in &args.engines {
        let dir = tempfile::tempdir()?;
        let engine: Arc<dyn Engine> = match name.as_str() {
            "memory" => Arc::new(MemoryEngine::volatile()),
            "fjall" => Arc::new(FjallEngine::open(dir.path())?),
            other => anyhow::bail!("{other} is no engine; choose memory or fjall"),
        };
        let row = measure(name, engine.as_ref(), args)?;
        println!(
            "{:<8} {:>6} {:>9.2} {:>9.2} {:>9}",
            row.engine, row.batch, row.put_us, row.get_us, row.disk_mib
        );
        rows.push(row);
    }
    if let Some(path) = &args.json {
        write_json(&rows, path)?;
    }
    Ok(())
}

fn measure(name: &str, engine: &dyn Engine, args: &Args) -> anyhow::Result<Row> {
    let mut rng = Pcg64Mcg::new(7);
    let value = value(args.value_size, 7);
    let began = Instant::now();
    for _ in 0..args.puts / args.batch {
        let mut batch = Batch::default();
        for _ in 0..args.batch {
            batch.put(Family::Default, key(rng.next_u64() % args.puts), value.clone());
        }
        engine.write(batch)?;
    }
    let put_us = began.elapsed().as_secs_f64() * 1e6 / args.puts as f64;
    let began = Instant::now();
    let mut found = 0_u64;
    for _ in 0..args.puts {
        found +=
            u64::from(engine.get(Family::Default, &key(rng.next_u64() % args.puts))?.is_some());
    }
    let get_us = began.elapsed().as_secs_f64() * 1e6 / args.puts as f64;
    // Random keys with replacement: about 63 % of them were put.
    anyhow::ensure!(found > args.puts / 2, "only {found} keys of {} were found", args.puts);
    let disk_mib = engine.stats().disk_bytes >> 20;
    Ok(Row { engine: name.to_owned(), batch: args.batch, put_us, get_us, disk_mib })
}
