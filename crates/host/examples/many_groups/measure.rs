//! Starts the processes, watches them through `/proc`, kills one, and tells.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;

const STORES: usize = 3;
/// How long all groups may take to have a leader.
const PATIENCE: Duration = Duration::from_mins(10);
/// Groups sleep after three seconds; the idle time begins when they all do.
const FALL_ASLEEP: Duration = Duration::from_secs(8);
/// After the kill, CPU is taken in steps of this.
const STEP: Duration = Duration::from_millis(500);

struct Store {
    process: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drop for Store {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Store {
    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// How many groups have a leader, as this store knows, not counting those on a dead one.
    fn led(&mut self, dead: u64) -> Outcome<u64> {
        writeln!(self.ask, "{dead}")?;
        Ok(self.line()?.parse()?)
    }

    /// Ticks of CPU used so far.
    fn ticks(&self) -> Outcome<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields: Vec<&str> = stat.rsplit_once(')').ok_or("no stat")?.1.split(' ').collect();
        let tick = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<u64>().ok());
        // User and system time are the fields 14 and 15; the name, field 2, is cut off.
        Ok(tick(12).unwrap_or(0) + tick(13).unwrap_or(0))
    }

    fn rss_kib(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

/// The figures as a line of JSON.
pub(crate) fn run(groups: u64, seconds: u64) -> Outcome<String> {
    let dir = tempfile::tempdir()?;
    let began = Instant::now();
    let mut stores = start(dir.path(), groups)?;
    wait_for_leaders(&mut stores, groups, 0)?;
    let start_s = began.elapsed().as_secs_f64();
    println!("{groups} groups have a leader after {start_s:.1} s");
    std::thread::sleep(FALL_ASLEEP);

    let cpu_percent = cpu(&stores, Duration::from_secs(seconds))?;
    let rss: Result<Vec<u64>, _> = stores.iter().map(Store::rss_kib).collect();
    let rss_mb = rss?.iter().sum::<u64>() as f64 / 1024.0;
    println!("idle: {cpu_percent:.2} % of a core, {rss_mb:.0} MiB");

    drop(stores.remove(0));
    let began = Instant::now();
    let (mut peak, mut settled) = (0.0_f64, None);
    let mut quiet = 0;
    while quiet < 4 && began.elapsed() < PATIENCE {
        let now = cpu(&stores, STEP)?;
        peak = peak.max(now);
        if settled.is_none() && all_led(&mut stores, groups, 1)? {
            settled = Some(began.elapsed().as_secs_f64());
        }
        quiet = if settled.is_some() && now < 5.0 { quiet + 1 } else { 0 };
    }
    let settle_s = settled.ok_or("not every group found a leader again")?;
    Ok(format!(
        "{{\"groups\":{groups},\"cpu_percent\":{cpu_percent:.2},\"rss_mb\":{rss_mb:.0},\
         \"start_s\":{start_s:.1},\"kill_peak_cpu_percent\":{peak:.0},\
         \"kill_settle_s\":{settle_s:.1}}}"
    ))
}

fn start(dir: &std::path::Path, groups: u64) -> Outcome<Vec<Store>> {
    let held: Result<Vec<TcpListener>, _> =
        (0..STORES).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    let mut conf = Vec::new();
    for (n, listener) in (1..).zip(&held?) {
        conf.push(format!("{n}@{}", listener.local_addr()?));
    }
    let conf = conf.join(",");
    let mut stores = Vec::new();
    for n in 1..=STORES {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", &n.to_string()])
            .arg(dir.join(n.to_string()))
            .args([&conf, &groups.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let ask = process.stdin.take().ok_or("no input")?;
        let answers = BufReader::new(process.stdout.take().ok_or("no output")?);
        stores.push(Store { process, ask, answers });
    }
    for store in &mut stores {
        store.line()?;
    }
    Ok(stores)
}

fn wait_for_leaders(stores: &mut [Store], groups: u64, dead: u64) -> Outcome<()> {
    let began = Instant::now();
    while !all_led(stores, groups, dead)? {
        if began.elapsed() > PATIENCE {
            return Err("not every group has a leader".into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn all_led(stores: &mut [Store], groups: u64, dead: u64) -> Outcome<bool> {
    for store in stores {
        if store.led(dead)? < groups {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Percent of one core, over this time, of all together. A tick is a hundredth of a second.
fn cpu(stores: &[Store], time: Duration) -> Outcome<f64> {
    let ticks = || -> Outcome<u64> { stores.iter().map(Store::ticks).sum() };
    let (before, began) = (ticks()?, Instant::now());
    std::thread::sleep(time);
    Ok((ticks()? - before) as f64 / began.elapsed().as_secs_f64())
}
