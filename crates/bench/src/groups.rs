//! `groups`: what group commit is worth: many groups that write at once, against one group that
//! writes the same bytes.
//!
//! The same callers, payloads, keys and processes each time ([`crate::node`]); only the number of
//! groups differs. All replicas lie on one disk, and each process has one log for all its groups,
//! so that a sync serves whichever groups have something to write. The leaders are gathered in the
//! first process, where the one leader of a single group is as well.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::node::{KEYS, Load, Place};
use crate::nodehost::cluster::Cluster;
use crate::nodehost::{WideRow, medians, print_line, row};
use crate::report::write_json;
use crate::workload::Op;

/// Most bytes of rows of one payload in each process, of larger ones there are fewer keys: maps
/// that still grow would be what is measured.
const STATE_BYTES_MAX: u64 = 128 << 20;
/// Seconds of writes before the first run, in which the logs come to use their segments again:
/// while they grow, every byte is written twice.
const FILL_S: f64 = 8.0;

/// Flags of `groups`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Numbers of groups, a run each; the others are compared with the first
    #[arg(long, value_delimiter = ',', default_value = "1,1000",
        value_parser = clap::value_parser!(u64).range(1..))]
    groups: Vec<u64>,
    /// Callers, dealt over the groups
    #[arg(long, value_delimiter = ',', default_value = "1000,4096,16384")]
    clients: Vec<usize>,
    /// Bytes of a proposal: small ones wait for the processor, large ones for the disk
    #[arg(long = "payload", value_delimiter = ',', default_value = "256,4096,16384")]
    payloads: Vec<usize>,
    /// Processes, each with a replica of every group
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    replicas: u64,
    /// Least milliseconds of a sync: as on a slower disk than this one
    #[arg(long, default_value_t = 0)]
    sync_ms: u64,
    /// Measured seconds of each run
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Unmeasured seconds before
    #[arg(long, default_value_t = 2.0)]
    warmup: f64,
    /// Alternating rounds; figures are medians
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// Where the logs lie, emptied first [default: a temporary directory]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Write the rows here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(args.rounds > 0, "--rounds is 0: give at least 1");
    anyhow::ensure!(!args.clients.contains(&0), "--clients has a 0: give at least 1");
    anyhow::ensure!(!args.payloads.contains(&0), "--payload has a 0: give at least 1");
    let temporary = tempfile::Builder::new().prefix("kontiki-groups-").tempdir()?;
    let dir = args.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let mut rows = Vec::new();
    for round in 1..=args.rounds {
        let mut order = args.groups.clone();
        if round % 2 == 0 {
            order.reverse();
        }
        for groups in order {
            let nodes = usize::try_from(args.replicas)?;
            let mut cluster =
                Cluster::start(&dir.join("groups"), nodes, groups, args.sync_ms).await?;
            cluster.place(Place::Gather).await?;
            let load = |payload, callers| Load {
                op: Op::Put,
                callers,
                payload,
                // The same keys each time, dealt over the groups as callers are.
                keys: KEYS.min(STATE_BYTES_MAX / payload as u64).div_ceil(groups),
                warmup_s: args.warmup,
                seconds: args.seconds,
                round,
            };
            // As many callers as there will be: more of them need more of the log at once.
            let most = args.clients.iter().max();
            if let Some((&payload, &callers)) = args.payloads.first().zip(most) {
                cluster.load(&Load { seconds: FILL_S, ..load(payload, callers) }).await?;
            }
            for (&payload, &callers) in runs(args) {
                let load = load(payload, callers);
                let loaded = cluster.load(&load).await?;
                let row = row("kontiki", &load, &loaded);
                let memory = cluster.memory().await?;
                let wide = WideRow { row, payload, groups, memory };
                print_line(&wide, loaded.error.as_deref());
                rows.push(wide);
            }
        }
    }
    let rows = medians(&rows);
    for (&payload, &callers) in runs(args) {
        let is_it = |wide: &WideRow| (wide.payload, wide.row.clients) == (payload, callers);
        compare(&args.groups, &rows, is_it, &format!("{payload} bytes, {callers} callers"));
    }
    for &payload in &args.payloads {
        let is_it = |wide: &WideRow| wide.payload == payload;
        compare(&args.groups, &rows, is_it, &format!("{payload} bytes, at their most"));
    }
    if let Some(path) = &args.json {
        write_json(&rows, path)?;
    }
    Ok(())
}

/// Print the best of these rows for each number of groups, and its share of that for the first.
fn compare(groups: &[u64], rows: &[WideRow], is_it: impl Fn(&WideRow) -> bool, what: &str) {
    let most = |count| {
        let its = rows.iter().filter(|wide| wide.groups == count && is_it(wide));
        its.map(|wide| wide.row.ops_per_s).fold(0.0, f64::max)
    };
    let (first, rest) = groups.split_first().expect("there is a default");
    let one = most(*first);
    for count in rest {
        let (many, share) = (most(*count), 100.0 * most(*count) / one);
        println!("{what}: {count} groups {many:.0}/s, {first} groups {one:.0}/s: {share:.0} %");
    }
}

/// Payloads and callers, in the order in which a cluster gets them.
fn runs(args: &Args) -> impl Iterator<Item = (&usize, &usize)> {
    args.payloads.iter().flat_map(|payload| args.clients.iter().map(move |n| (payload, n)))
}
