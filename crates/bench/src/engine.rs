//! `engine`: what one apply worker gets out of a storage engine: batches of puts, a sync at the
//! end, then gets, a third of which find nothing. One thread, keys drawn from as many as there are
//! puts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args as ClapArgs;
use kontiki_engine::{Batch, Engine, Family, MemoryEngine};
use kontiki_engine_fjall::FjallEngine;
use serde::Serialize;

use crate::report::write_json;
use crate::workload::{Values, below, key, rng};

/// Flags of `engine`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Engines, in this order
    #[arg(long, value_delimiter = ',', default_value = "memory,fjall")]
    engines: Vec<String>,
    /// Puts of each engine
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    puts: u64,
    /// Puts in one batch
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..))]
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
    let (mut rng, values) = (rng(1, 1), Values::new(args.value_size));
    let batches = args.puts.div_ceil(args.batch);
    let puts = batches * args.batch;
    let began = Instant::now();
    for _ in 0..batches {
        let mut batch = Batch::default();
        for _ in 0..args.batch {
            batch.put(Family::Default, key(below(&mut rng, puts)), values.draw(&mut rng));
        }
        engine.write(batch)?;
    }
    // Part of the price: what was written must be on the disk in the end.
    engine.sync()?;
    let put_us = began.elapsed().as_secs_f64() * 1e6 / puts as f64;
    let began = Instant::now();
    let mut found = 0_u64;
    for _ in 0..puts {
        let key = key(below(&mut rng, puts));
        found += u64::from(engine.get(Family::Default, &key)?.is_some());
    }
    let get_us = began.elapsed().as_secs_f64() * 1e6 / puts as f64;
    // Random keys with replacement: about 63 % of them were put.
    anyhow::ensure!(found >= puts / 2, "only {found} of {puts} reads found a key");
    let disk_mib = engine.stats().disk_bytes >> 20;
    Ok(Row { engine: name.to_owned(), batch: args.batch, put_us, get_us, disk_mib })
}
