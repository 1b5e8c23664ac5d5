//! What thousands of idle groups cost: three processes, so many groups in each, nothing to do.
//!
//! `cargo run --release -p kontiki-host --example many_groups -- --groups 10000 --seconds 60 --json
//! FILE` starts three stores (this program again), waits until every group has a leader and sleeps,
//! measures CPU and memory over the idle time, kills one store, and measures how high the CPU goes
//! and how long it takes until every group has a leader again. All figures are sums over the
//! processes.

#![expect(clippy::print_stdout, reason = "an example that prints figures")]

mod measure;
mod store;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [serve, store, dir, conf, groups] = arguments.as_slice()
        && serve == "serve"
    {
        return store::serve(store.parse()?, dir, conf, groups.parse()?);
    }
    let (mut groups, mut seconds, mut json) = (1000, 10, None);
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--groups" => groups = value.parse()?,
            "--seconds" => seconds = value.parse()?,
            "--json" => json = Some(value),
            _ => return Err(format!("{argument}? --groups N, --seconds S, --json FILE").into()),
        }
    }
    let line = measure::run(groups, seconds)?;
    println!("{line}");
    if let Some(file) = json {
        std::fs::write(file, line + "\n")?;
    }
    Ok(())
}
