//! What the kernel tells of a process: its CPU time, its calls, and its threads.
//!
//! All of it is text under `/proc`; a file that is missing or reads strangely counts as zero,
//! because a measurement must not fail for want of a number.

use std::collections::BTreeMap;
use std::fs;

use super::{ProcessUsed, Switches, ThreadUsed, Watched};

/// `stat` counts CPU time in these; the kernel's interface fixes it at 100 a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory that a process holds now, in megabytes (2^20 bytes).
pub(crate) fn rss_mb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    field(&status, "VmRSS") / 1024
}

/// Counters of a process since it began.
pub(super) struct ProcessTotals {
    cpu_s: f64,
    calls: u64,
    disk_bytes: u64,
    threads: BTreeMap<u32, ThreadTotals>,
}

struct ThreadTotals {
    name: String,
    cpu_s: f64,
    switches: Switches,
}

impl ProcessTotals {
    /// Reads them; none when there is no such process.
    pub(super) fn read(pid: u32) -> Option<Self> {
        let cpu_s = cpu_of_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A thread may end while it is looked at.
            if let Some(totals) = ThreadTotals::read(&entry.path().display().to_string()) {
                threads.insert(id, totals);
            }
        }
        let calls = field(&io, "syscr") + field(&io, "syscw");
        let disk_bytes = field(&io, "write_bytes");
        Some(Self { cpu_s, calls, disk_bytes, threads })
    }

    /// The difference, threads of one name together.
    pub(super) fn used_since(&self, before: &Self, watched: &Watched) -> ProcessUsed {
        let mut threads: BTreeMap<String, ThreadUsed> = BTreeMap::new();
        let mut switches = Switches::default();
        for (id, now) in &self.threads {
            let then = before.threads.get(id);
            let (cpu_s, counted) = match then {
                Some(then) => (now.cpu_s - then.cpu_s, now.switches.since(then.switches)),
                None => (now.cpu_s, now.switches),
            };
            switches.add(counted);
            let used = threads.entry(now.name.clone()).or_default();
            used.count += 1;
            used.cpu_s += cpu_s;
            used.switches.add(counted);
        }
        ProcessUsed {
            watched: watched.clone(),
            cpu_s: self.cpu_s - before.cpu_s,
            switches,
            calls: self.calls.saturating_sub(before.calls),
            disk_bytes: self.disk_bytes.saturating_sub(before.disk_bytes),
            threads,
        }
    }
}

impl ThreadTotals {
    fn read(task: &str) -> Option<Self> {
        let status = fs::read_to_string(format!("{task}/status")).ok()?;
        let name = status.lines().next()?.strip_prefix("Name:")?.trim().to_owned();
        let switches = Switches {
            voluntary: field(&status, "voluntary_ctxt_switches"),
            involuntary: field(&status, "nonvoluntary_ctxt_switches"),
        };
        // Nanoseconds where the kernel counts them, else ticks.
        let fine = fs::read_to_string(format!("{task}/schedstat")).ok();
        let fine = fine.as_deref().and_then(cpu_of_schedstat);
        let cpu_s = match fine {
            Some(cpu_s) => cpu_s,
            None => cpu_of_stat(&fs::read_to_string(format!("{task}/stat")).ok()?)?,
        };
        Some(Self { name, cpu_s, switches })
    }
}

/// User and system time of a line of `stat`, in seconds.
fn cpu_of_stat(stat: &str) -> Option<f64> {
    // The second field is a name in parentheses that may hold blanks and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// The first number of `schedstat`, in seconds.
fn cpu_of_schedstat(schedstat: &str) -> Option<f64> {
    Some(schedstat.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
}

/// The number behind `name:`; 0 without one.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 8 0";
        assert_eq!(cpu_of_stat(stat), Some(2.0));
        assert_eq!(cpu_of_stat("42 (a"), None);
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status = "nonvoluntary_ctxt_switches:\t7\nvoluntary_ctxt_switches:\t5\nVmRSS: 9 kB";
        assert_eq!(field(status, "voluntary_ctxt_switches"), 5);
        assert_eq!(field(status, "nonvoluntary_ctxt_switches"), 7);
        assert_eq!(field(status, "VmRSS"), 9);
        assert_eq!(field(status, "Vm"), 0);
    }

    #[test]
    fn schedstat_is_in_nanoseconds() {
        assert_eq!(cpu_of_schedstat("2500000000 17 3\n"), Some(2.5));
    }
}
