//! What was used, as tables: one line per point for `--verbose`, one per thread for `--threads`.

use super::{ProcessUsed, Side, ThreadUsed, Used};
use crate::report::{Row, median};

/// Shares of CPU below this are left out of the table of threads.
const THREAD_SHARE_MIN: f64 = 0.003;

/// What one operation cost in one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// CPU, in microseconds, of all servers together.
    server_us: f64,
    load_us: f64,
    /// Cores that servers and load kept busy.
    cores: f64,
    /// Context switches of all servers together.
    server_voluntary: f64,
    server_involuntary: f64,
    load_voluntary: f64,
    load_involuntary: f64,
    /// Reads and writes of all servers together, see [`ProcessUsed`].
    calls: f64,
    disk_bytes: f64,
    /// Of the device; not a number where it does not count them.
    disk_writes: f64,
    flushes: f64,
}

impl Figures {
    pub(crate) fn of(used: &Used) -> Self {
        let sum = |side, figure: fn(&ProcessUsed) -> f64| {
            used.per_op(used.side(side).map(figure).sum::<f64>())
        };
        let device = |figure: fn(&super::Device) -> u64| {
            used.per_op(used.device.as_ref().map_or(f64::NAN, |device| figure(device) as f64))
        };
        Self {
            server_us: sum(Side::Server, |process| process.cpu_s * 1e6),
            load_us: sum(Side::Load, |process| process.cpu_s * 1e6),
            cores: used.cores(),
            server_voluntary: sum(Side::Server, |process| process.switches.voluntary as f64),
            server_involuntary: sum(Side::Server, |process| process.switches.involuntary as f64),
            load_voluntary: sum(Side::Load, |process| process.switches.voluntary as f64),
            load_involuntary: sum(Side::Load, |process| process.switches.involuntary as f64),
            calls: sum(Side::Server, |process| process.calls as f64),
            disk_bytes: sum(Side::Server, |process| process.disk_bytes as f64),
            disk_writes: device(|device| device.writes),
            flushes: device(|device| device.flushes),
        }
    }

    /// The median of each figure.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let mid = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure));
        Self {
            server_us: mid(|f| f.server_us),
            load_us: mid(|f| f.load_us),
            cores: mid(|f| f.cores),
            server_voluntary: mid(|f| f.server_voluntary),
            server_involuntary: mid(|f| f.server_involuntary),
            load_voluntary: mid(|f| f.load_voluntary),
            load_involuntary: mid(|f| f.load_involuntary),
            calls: mid(|f| f.calls),
            disk_bytes: mid(|f| f.disk_bytes),
            disk_writes: mid(|f| f.disk_writes),
            flushes: mid(|f| f.flushes),
        }
    }
}

/// What an operation cost, at every point.
pub(crate) fn print_figures(points: &[(Row, Figures)]) {
    println!("\nper operation: CPU µs, context switches (voluntary + not), calls, disk");
    println!(
        "{:<9} {:>4} {:>8} {:>8} {:>8} {:>6} {:>15} {:>15} {:>7} {:>8} {:>8} {:>8}",
        "system",
        "op",
        "clients",
        "servers",
        "load",
        "cores",
        "servers cs",
        "load cs",
        "calls",
        "disk B",
        "writes",
        "flushes"
    );
    for (row, f) in points {
        println!(
            "{:<9} {:>4} {:>8} {:>8.1} {:>8.1} {:>6.2} {:>7.3}+{:<7.3} {:>7.3}+{:<7.3} {:>7.2} {:>8.0} {:>8.3} {:>8.3}",
            row.system,
            row.op,
            row.clients,
            f.server_us,
            f.load_us,
            f.cores,
            f.server_voluntary,
            f.server_involuntary,
            f.load_voluntary,
            f.load_involuntary,
            f.calls,
            f.disk_bytes,
            f.disk_writes,
            f.flushes
        );
    }
}

/// Every process and every thread name of one run, the dearest first.
pub(crate) fn print_threads(row: &Row, used: &Used) {
    println!(
        "  {:<36} {:>3} {:>9} {:>7} {:>9} {:>9}",
        format!("{} {}, {} clients", row.system, row.op, row.clients),
        "n",
        "CPU µs/op",
        "core %",
        "vol/op",
        "invol/op"
    );
    let line = |name: String, used_by: ThreadUsed| {
        println!(
            "  {:<36} {:>3} {:>9.2} {:>7.1} {:>9.3} {:>9.3}",
            name,
            used_by.count,
            used.per_op(used_by.cpu_s * 1e6),
            used_by.cpu_s / used.seconds * 100.0,
            used.per_op(used_by.switches.voluntary as f64),
            used.per_op(used_by.switches.involuntary as f64)
        );
    };
    for process in &used.processes {
        let count = process.threads.values().map(|thread| thread.count).sum();
        let whole = ThreadUsed { count, cpu_s: process.cpu_s, switches: process.switches };
        line(process.watched.label.clone(), whole);
        let mut threads: Vec<_> = process.threads.iter().collect();
        threads.sort_by(|(_, one), (_, other)| other.cpu_s.total_cmp(&one.cpu_s));
        threads.retain(|(_, thread)| thread.cpu_s / used.seconds >= THREAD_SHARE_MIN);
        for (name, &thread) in threads {
            line(format!("  {name}"), thread);
        }
    }
}
