//! Rows of a comparison: medians over rounds, a table for people, JSON for programs.
//!
//! The fields of [`Row`] are a contract with scripts that read the JSON; what `--verbose` adds is
//! printed and never written.

use std::path::Path;

use serde::Serialize;

use crate::closed_loop::Run;
use crate::samples::Samples;

/// One measured point, or the median of several.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) system: String,
    pub(crate) op: &'static str,
    pub(crate) clients: usize,
    pub(crate) ops_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) errors: u64,
}

impl Row {
    /// The row of a run; `samples` are sorted.
    pub(crate) fn new(run: &Run<'_>, samples: &Samples, seconds: f64, errors: u64) -> Self {
        Self {
            system: run.system.to_owned(),
            op: run.op.name(),
            clients: run.clients,
            ops_per_s: round(samples.count() as f64 / seconds, 10.0),
            p50_ms: round(samples.quantile_ms(0.5), 1000.0),
            p99_ms: round(samples.quantile_ms(0.99), 1000.0),
            p999_ms: round(samples.quantile_ms(0.999), 1000.0),
            errors,
        }
    }
}

/// Rounded to one of so many parts of a unit.
pub(crate) fn round(figure: f64, parts: f64) -> f64 {
    (figure * parts).round() / parts
}

/// The median; of an even number, the mean of the middle two.
///
/// # Panics
/// When there is none.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    assert!(!figures.is_empty(), "the median of nothing");
    figures.sort_by(f64::total_cmp);
    let upper = figures.len() / 2;
    if figures.len().is_multiple_of(2) {
        f64::midpoint(figures[upper - 1], figures[upper])
    } else {
        figures[upper]
    }
}

/// The median of each figure; errors are summed, so that none is hidden.
///
/// # Panics
/// When there is no round.
pub(crate) fn median_row(rounds: &[Row]) -> Row {
    let mid = |figure: fn(&Row) -> f64| median(rounds.iter().map(figure));
    Row {
        ops_per_s: mid(|row| row.ops_per_s),
        p50_ms: mid(|row| row.p50_ms),
        p99_ms: mid(|row| row.p99_ms),
        p999_ms: mid(|row| row.p999_ms),
        errors: rounds.iter().map(|row| row.errors).sum(),
        ..rounds[0].clone()
    }
}

/// Ours beside theirs, with the ratio of throughputs, to the fastest of theirs.
pub(crate) fn print_table(rows: &[Row], ours: &str) {
    println!(
        "\n{:<10} {:>7} {:>8} {:>10} {:>9} {:>9} {:>9} {:>7} {:>7}",
        "system", "op", "clients", "ops/s", "p50 ms", "p99 ms", "p99.9 ms", "errors", "ratio"
    );
    for row in rows {
        let peers = rows.iter().filter(|other| {
            other.system != row.system && other.op == row.op && other.clients == row.clients
        });
        let peer = peers.max_by(|a, b| a.ops_per_s.total_cmp(&b.ops_per_s));
        let ratio = match peer {
            Some(peer) if row.system == ours && peer.ops_per_s > 0.0 => {
                format!("{:.2}x", row.ops_per_s / peer.ops_per_s)
            }
            _ => String::new(),
        };
        println!(
            "{:<10} {:>7} {:>8} {:>10.0} {:>9.2} {:>9.2} {:>9.2} {:>7} {:>7}",
            row.system,
            row.op,
            row.clients,
            row.ops_per_s,
            row.p50_ms,
            row.p99_ms,
            row.p999_ms,
            row.errors,
            ratio
        );
    }
}

/// Writes rows as a JSON array.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_json<T: Serialize>(rows: &[T], path: &Path) -> anyhow::Result<()> {
    use anyhow::Context as _;
    std::fs::write(path, serde_json::to_vec_pretty(rows)?)
        .with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ops_per_s: f64, p99_ms: f64, errors: u64) -> Row {
        Row {
            system: "kontiki".to_owned(),
            op: "put",
            clients: 1,
            ops_per_s,
            p50_ms: 1.0,
            p99_ms,
            p999_ms: 1.0,
            errors,
        }
    }

    #[test]
    fn the_median_is_per_figure_and_errors_add_up() {
        let median = median_row(&[row(1.0, 9.0, 1), row(3.0, 7.0, 0), row(2.0, 8.0, 2)]);
        assert!((median.ops_per_s - 2.0).abs() < 1e-9 && (median.p99_ms - 8.0).abs() < 1e-9);
        assert_eq!(median.errors, 3);
    }

    #[test]
    fn two_rounds_meet_in_the_middle() {
        assert!((median([1.0, 4.0].into_iter()) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn json_has_exactly_the_agreed_fields() {
        let json = serde_json::to_string(&row(1.5, 2.0, 0)).unwrap();
        let expected = r#"{"system":"kontiki","op":"put","clients":1,"ops_per_s":1.5,"p50_ms":1.0,"p99_ms":2.0,"p999_ms":1.0,"errors":0}"#;
        assert_eq!(json, expected);
    }
}
