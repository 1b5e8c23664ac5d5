//! Rows of a comparison: medians over rounds, a table for people, JSON for programs.

use std::path::Path;

use serde::Serialize;

/// One measured point, or the median of several.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) system: String,
    pub(crate) op: String,
    pub(crate) clients: usize,
    pub(crate) ops_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) errors: u64,
}

/// The median of each figure; errors are summed, so that none is hidden.
///
/// # Panics
/// When there is no round.
pub(crate) fn median(rounds: &[Row]) -> Row {
    let mid = |figure: fn(&Row) -> f64| {
        let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    Row {
        ops_per_s: mid(|row| row.ops_per_s),
        p50_ms: mid(|row| row.p50_ms),
        p99_ms: mid(|row| row.p99_ms),
        p999_ms: mid(|row| row.p999_ms),
        errors: rounds.iter().map(|row| row.errors).sum(),
        ..rounds[0].clone()
    }
}

/// Ours beside theirs, with the ratio.
pub(crate) fn print_table(rows: &[Row], ours: &str) {
    println!(
        "{:<9} {:>4} {:>8} {:>10} {:>8} {:>8} {:>8} {:>7} {:>7}",
        "system", "op", "clients", "ops/s", "p50 ms", "p99 ms", "p99.9", "errors", "ratio"
    );
    for row in rows {
        let peer = rows.iter().find(|other| {
            other.system != row.system && other.op == row.op && other.clients == row.clients
        });
        let ratio = match peer {
            Some(peer) if row.system == ours => format!("{:.2}x", row.ops_per_s / peer.ops_per_s),
            _ => String::new(),
        };
        println!(
            "{:<9} {:>4} {:>8} {:>10.0} {:>8.2} {:>8.2} {:>8.2} {:>7} {:>7}",
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

/// Write rows as a JSON array.
pub(crate) fn write_json<T: Serialize>(rows: &[T], path: &Path) -> anyhow::Result<()> {
    std::fs::write(path, serde_json::to_vec_pretty(rows)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_per_figure_and_errors_add_up() {
        let row = |ops_per_s, p99_ms, errors| Row {
            system: "kontiki".to_owned(),
            op: "put".to_owned(),
            clients: 1,
            ops_per_s,
            p50_ms: 1.0,
            p99_ms,
            p999_ms: 1.0,
            errors,
        };
        let median = median(&[row(1.0, 9.0, 1), row(3.0, 7.0, 0), row(2.0, 8.0, 2)]);
        assert_eq!((median.ops_per_s, median.p99_ms, median.errors), (2.0, 8.0, 3));
    }
}
