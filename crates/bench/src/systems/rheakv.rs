//! RheaKV through its Java harness, which is not part of this project: it starts three stores,
//! preloads a million keys, warms up, and prints one JSON object for each point.
//!
//! The harness and its stores are one process group, which ends with [`Harness::run`] however that
//! ends. Its output is kept in `rheakv/log.txt` below the data directory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;

use crate::process::{Process, check_free};
use crate::report::Row;
use crate::workload::Op;

/// What the harness preloads and draws from.
pub(crate) const KEYS: u64 = 1_000_000;
/// Bytes of its values.
pub(crate) const VALUE_BYTES: usize = 256;
/// Store n listens on this port and n: its default.
const PORT_BASE: u16 = 28_181;
const STORES: u16 = 3;
/// Seconds in which both paths get hot before the first point.
const WARM_SECONDS: u32 = 15;
/// How long start, preload and end may take on top of what is measured.
const OVERHEAD_MAX: Duration = Duration::from_mins(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A built harness.
pub(crate) struct Harness {
    jar: PathBuf,
}

/// The points of a pass; each is measured with puts and then with gets.
pub(crate) struct Pass<'a> {
    pub(crate) clients: &'a [usize],
    /// Unmeasured time before each point.
    pub(crate) settle: Duration,
    /// Measured time of each point.
    pub(crate) seconds: Duration,
}

/// What the harness prints for a point.
#[derive(Deserialize)]
struct Line {
    op: String,
    n: usize,
    ops_per_sec: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    errors: u64,
    /// Gets that found nothing.
    missing: u64,
}

impl Harness {
    /// The harness in this folder, or in its `target`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn find(dir: &Path) -> anyhow::Result<Self> {
        let places = [dir.to_owned(), dir.join("target")];
        let jars = places.iter().map(|place| place.join("rheakv-baseline.jar"));
        let jar = jars.into_iter().find(|jar| jar.is_file());
        let jar = jar.with_context(|| format!("no rheakv-baseline.jar in {}", dir.display()))?;
        // Its stores run in folders of their own.
        Ok(Self { jar: jar.canonicalize()? })
    }

    /// A pass over a fresh cluster.
    ///
    /// # Errors
    /// When a port is taken, Java cannot be started, or a point is missing in the end.
    pub(crate) async fn run(&self, dir: &Path, pass: &Pass<'_>) -> anyhow::Result<Vec<Row>> {
        check_free((0..STORES).map(|n| PORT_BASE + n))?;
        let _ = std::fs::remove_dir_all(dir);
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let log = dir.join("log.txt");
        println!("rheakv: a pass; {} tells how far it is", log.display());
        let mut java = Process::start(&mut self.command(dir, pass), &log)?;
        let points = u32::try_from(pass.clients.len() * 2).context("too many points")?;
        let patience = OVERHEAD_MAX + (pass.settle + pass.seconds) * points;
        let ended = async {
            while !java.has_ended() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        // Whether it ended or not, the rows tell whether it did its work.
        let _ = tokio::time::timeout(patience, ended).await;
        java.stop();
        let rows = rows(&std::fs::read_to_string(&log)?);
        anyhow::ensure!(
            rows.len() == pass.clients.len() * 2,
            "RheaKV gave {} of {points} points; see {}",
            rows.len(),
            log.display()
        );
        // A million keys thrice: room for the next pass.
        let _ = std::fs::remove_dir_all(dir.join("run"));
        Ok(rows)
    }

    fn command(&self, dir: &Path, pass: &Pass<'_>) -> Command {
        let libraries = self.jar.with_file_name("lib").join("*");
        let outstanding: Vec<String> = pass.clients.iter().map(ToString::to_string).collect();
        let mut command = Command::new("java");
        command
            .arg("-Xmx1500m")
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
            .arg(format!("-Dwarm={WARM_SECONDS}"))
            .arg(format!("-Dsettle={}", pass.settle.as_secs_f64()))
            .arg(format!("-Dseconds={}", pass.seconds.as_secs_f64()))
            .arg("-cp")
            .arg(format!("{}:{}", self.jar.display(), libraries.display()))
            .arg("baseline.Throughput")
            .arg(dir.join("run"))
            // Its faster storage with fsynced log, and client batching: its defaults and its best.
            .args(["rocksdb", "true", &outstanding.join(","), "1"]);
        command
    }
}

/// The points among whatever else was printed.
fn rows(output: &str) -> Vec<Row> {
    let points = output.lines().filter(|line| line.starts_with('{'));
    points.filter_map(|line| Some(row(&serde_json::from_str(line).ok()?))).collect()
}

fn row(line: &Line) -> Row {
    let op = if line.op == Op::Put.name() { Op::Put } else { Op::Get };
    Row {
        system: "rheakv".to_owned(),
        op: op.name(),
        clients: line.n,
        ops_per_s: line.ops_per_sec,
        p50_ms: line.p50_ms,
        p99_ms: line.p99_ms,
        p999_ms: line.p999_ms,
        errors: line.errors + line.missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_found_among_other_lines() {
        let output = "preload of 1000000 keys took 30.1 s; leader is store 0\n\
            warm {\"op\":\"put\",\"n\":256,\"ops_per_sec\":9}\n\
            {\"system\":\"rheakv\",\"storage\":\"rocksdb\",\"batching\":true,\"label\":\"\",\
            \"round\":1,\"op\":\"get\",\"n\":64,\"ops_per_sec\":24051,\"p50_ms\":2.100,\
            \"p99_ms\":7.250,\"p999_ms\":12.000,\"max_ms\":19.1,\"errors\":1,\"missing\":2,\
            \"error_kinds\":\"{}\",\"server_cpu_us_per_op\":49.0,\"client_cpu_us_per_op\":6.0,\
            \"cores_busy\":1.90}\nstore 0 after load: RSS 900 MiB, 120 threads\n";
        let rows = rows(output);
        assert_eq!(rows.len(), 1);
        let row = serde_json::to_string(&rows[0]).unwrap();
        let expected = r#"{"system":"rheakv","op":"get","clients":64,"ops_per_s":24051.0,"p50_ms":2.1,"p99_ms":7.25,"p999_ms":12.0,"errors":3}"#;
        assert_eq!(row, expected);
    }
}
