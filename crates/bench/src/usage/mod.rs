//! Where the machine's time went during a run: CPU, context switches, calls and disk, per process
//! and per thread, divided by the operations of the run.
//!
//! | file | about |
//! |---|---|
//! | [`proc`] | what the kernel tells of a process and its threads |
//! | [`disk`] | what it tells of the disk under the data |
//! | [`tables`] | both as tables: `--verbose`, `--threads` |
//!
//! The closed loop takes a [`Snapshot`] on both ends of the measured window and keeps what lies
//! between as [`Used`]. A snapshot reads a few small files per thread, about a millisecond in all,
//! and only outside the window. What ended between two snapshots is counted for its process (CPU)
//! and lost for its threads.

mod disk;
mod proc;
mod quiet;
mod tables;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) use proc::rss_mb;
pub(crate) use quiet::settle;
pub(crate) use tables::{Figures, print_figures, print_threads};

use disk::Device;
use proc::ProcessTotals;

/// Which side of the wire a process is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// It serves.
    Server,
    /// It is this program.
    Load,
}

/// A process to watch.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// What tables call it.
    pub(crate) label: String,
    pub(crate) pid: u32,
    pub(crate) side: Side,
}

impl Watched {
    pub(crate) fn server(label: impl Into<String>, pid: u32) -> Self {
        Self { label: label.into(), pid, side: Side::Server }
    }

    /// It has not ended (or waits to be reaped).
    pub(crate) fn runs(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid));
        status.is_ok_and(|status| !status.contains("State:\tZ"))
    }

    /// This program.
    pub(crate) fn this_program() -> Self {
        Self { label: "load".to_owned(), pid: std::process::id(), side: Side::Load }
    }
}

/// What is watched during a run.
#[derive(Clone, Default, Debug)]
pub(crate) struct Watch {
    pub(crate) processes: Vec<Watched>,
    /// A path on the disk that the servers write to; without one its counters are not taken.
    pub(crate) data: Option<PathBuf>,
}

/// All counters at one moment.
pub(crate) struct Snapshot {
    processes: Vec<(Watched, ProcessTotals)>,
    device: Option<Device>,
}

/// What was used between two snapshots.
#[derive(Clone, Debug)]
pub(crate) struct Used {
    /// Operations that succeeded meanwhile.
    ops: u64,
    seconds: f64,
    processes: Vec<ProcessUsed>,
    device: Option<Device>,
}

/// What one process used.
#[derive(Clone, Debug)]
struct ProcessUsed {
    watched: Watched,
    cpu_s: f64,
    switches: Switches,
    /// read(2) and write(2) and their kin; sockets only when used as files.
    calls: u64,
    /// Bytes it caused to be written to the disk.
    disk_bytes: u64,
    /// By thread name, threads of one name together.
    threads: BTreeMap<String, ThreadUsed>,
}

/// What the threads of one name used.
#[derive(Clone, Copy, Default, Debug)]
struct ThreadUsed {
    count: usize,
    cpu_s: f64,
    switches: Switches,
}

/// Context switches.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Switches {
    /// It had to wait for something.
    voluntary: u64,
    /// Somebody else had to run.
    involuntary: u64,
}

impl Switches {
    fn since(self, before: Self) -> Self {
        Self {
            voluntary: self.voluntary.saturating_sub(before.voluntary),
            involuntary: self.involuntary.saturating_sub(before.involuntary),
        }
    }

    fn add(&mut self, more: Self) {
        self.voluntary += more.voluntary;
        self.involuntary += more.involuntary;
    }
}

impl Snapshot {
    /// Reads the counters; a process that has gone is left out.
    pub(crate) fn take(watch: &Watch) -> Self {
        let totals = |one: &Watched| Some((one.clone(), ProcessTotals::read(one.pid)?));
        let processes = watch.processes.iter().filter_map(totals).collect();
        Self { processes, device: watch.data.as_deref().and_then(Device::under) }
    }

    /// The difference.
    pub(crate) fn used_until(&self, after: &Self, ops: u64, seconds: f64) -> Used {
        let mut processes = Vec::with_capacity(after.processes.len());
        for (watched, totals) in &after.processes {
            let before = self.processes.iter().find(|(one, _)| one.pid == watched.pid);
            if let Some((_, before)) = before {
                processes.push(totals.used_since(before, watched));
            }
        }
        let device = match (&self.device, &after.device) {
            (Some(before), Some(after)) => Some(after.since(before)),
            _ => None,
        };
        Used { ops, seconds, processes, device }
    }
}

impl Used {
    /// CPU seconds of the servers and of this program together, per second.
    pub(crate) fn cores(&self) -> f64 {
        self.processes.iter().map(|process| process.cpu_s).sum::<f64>() / self.seconds
    }

    fn side(&self, side: Side) -> impl Iterator<Item = &ProcessUsed> {
        self.processes.iter().filter(move |process| process.watched.side == side)
    }

    /// A number per operation; without operations, not a number.
    fn per_op(&self, number: f64) -> f64 {
        if self.ops == 0 { f64::NAN } else { number / self.ops as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_is_seen_working() {
        let watched = Watch { processes: vec![Watched::this_program()], data: None };
        let before = Snapshot::take(&watched);
        let (sender, receiver) = std::sync::mpsc::sync_channel::<()>(0);
        let work = move || while receiver.try_recv().is_err() {};
        let worker = std::thread::Builder::new().name("busy-worker".to_owned()).spawn(work);
        let began = std::time::Instant::now();
        // The scheduler decides when it has worked enough; without it nothing here would end.
        let used = loop {
            let used = before.used_until(&Snapshot::take(&watched), 10, 1.0);
            let busy = used.processes[0].threads.get("busy-worker");
            if busy.is_some_and(|busy| busy.count == 1 && busy.cpu_s >= 0.03) {
                break used;
            }
            assert!(began.elapsed().as_secs() < 30, "not seen working: {busy:?}");
        };
        sender.send(()).unwrap();
        worker.unwrap().join().unwrap();
        assert!(used.cores() >= 0.03, "{} cores", used.cores());
    }
}
