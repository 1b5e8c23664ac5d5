//! Kontiki and RheaKV, a whole pass each in turn.
//!
//! RheaKV has no client but its own, in Java; its harness is one process that starts the stores,
//! preloads, and takes all points. So the two cannot meet at every point: a pass is a fresh
//! cluster, a preload of all keys, and every point once, in the same order. Nothing of the other
//! system runs meanwhile. The order of the passes turns around every round, and the medians are
//! those over the passes.

use std::time::Duration;

use super::contender::Contender;
use super::{Plan, Point, Side};
use crate::report::{Row, median_row};
use crate::systems::Kind;
use crate::systems::rheakv::{Harness, KEYS, Pass, VALUE_BYTES};
use crate::usage::Watch;

/// The medians of every point, each system's beside the other's.
pub(super) async fn run(plan: &Plan<'_>) -> anyhow::Result<Vec<Row>> {
    let args = plan.args;
    anyhow::ensure!(
        args.keys == KEYS && args.value_size == VALUE_BYTES,
        "RheaKV's harness knows only {KEYS} keys and values of {VALUE_BYTES} bytes"
    );
    let harness = args.rheakv.as_deref().map(Harness::find).transpose()?;
    let mut rows = Vec::new();
    for round in 1..=args.rounds {
        let mut order = [Side::Kontiki, Side::Peer];
        if round % 2 == 0 {
            order.reverse();
        }
        for side in order.into_iter().filter(|&side| plan.includes(side)) {
            rows.extend(match (side, &harness) {
                (Side::Peer, Some(harness)) => theirs(harness, plan).await?,
                _ => ours(plan, round).await?,
            });
        }
    }
    Ok(medians(&rows))
}

/// A pass of Kontiki.
async fn ours(plan: &Plan<'_>, round: u64) -> anyhow::Result<Vec<Row>> {
    let mut kontiki = Contender::start(Kind::Kontiki, plan).await?;
    let all = Watch { processes: kontiki.watched(), data: None };
    let mut rows = Vec::new();
    for &clients in &plan.args.clients {
        for &op in &plan.args.ops {
            rows.push(kontiki.measure(plan, Point { op, clients }, round, &all).await?.row);
        }
    }
    Ok(rows)
}

/// A pass of RheaKV. Its harness warms up both paths in the beginning; the time before each point
/// is the same as ours.
async fn theirs(harness: &Harness, plan: &Plan<'_>) -> anyhow::Result<Vec<Row>> {
    let (settle, seconds): (Duration, Duration) = (plan.workload.warmup, plan.workload.seconds);
    let pass = Pass { clients: &plan.args.clients, settle, seconds };
    let mut rows = harness.run(&plan.dir.join("rheakv"), &pass).await?;
    rows.retain(|row| plan.args.ops.iter().any(|op| op.name() == row.op));
    for row in &rows {
        println!(
            "{:<8} {:<4} {:>5} clients: {:>8.0}/s, p50 {:.2} p99 {:.2} ms, {} errors",
            row.system, row.op, row.clients, row.ops_per_s, row.p50_ms, row.p99_ms, row.errors
        );
    }
    Ok(rows)
}

/// One row for each system and point, those of a point side by side, in the order they first came.
fn medians(rows: &[Row]) -> Vec<Row> {
    let mut points: Vec<(&str, usize)> = rows.iter().map(|row| (row.op, row.clients)).collect();
    let mut systems: Vec<&str> = rows.iter().map(|row| row.system.as_str()).collect();
    keep_first(&mut points);
    keep_first(&mut systems);
    let mut medians = Vec::new();
    for (op, clients) in points {
        for system in &systems {
            let same = |row: &&Row| row.system == *system && (row.op, row.clients) == (op, clients);
            let rounds: Vec<Row> = rows.iter().filter(same).cloned().collect();
            medians.push(median_row(&rounds));
        }
    }
    medians
}

fn keep_first<T: PartialEq + Clone>(list: &mut Vec<T>) {
    let mut seen: Vec<T> = Vec::new();
    list.retain(|item| {
        let is_new = !seen.contains(item);
        if is_new {
            seen.push(item.clone());
        }
        is_new
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_stand_side_by_side() {
        let row = |system: &str, op, clients, ops_per_s| Row {
            system: system.to_owned(),
            op,
            clients,
            ops_per_s,
            p50_ms: 1.0,
            p99_ms: 2.0,
            p999_ms: 3.0,
            errors: 1,
        };
        let rows = [
            row("kontiki", "put", 1, 10.0),
            row("kontiki", "get", 1, 40.0),
            row("rheakv", "put", 1, 5.0),
            row("rheakv", "get", 1, 6.0),
            row("rheakv", "put", 1, 7.0),
            row("rheakv", "get", 1, 8.0),
            row("kontiki", "put", 1, 20.0),
            row("kontiki", "get", 1, 60.0),
        ];
        let medians = medians(&rows);
        let seen: Vec<_> = medians
            .iter()
            .map(|row| format!("{} {} {} {}", row.op, row.system, row.ops_per_s, row.errors))
            .collect();
        let expected = ["put kontiki 15 2", "put rheakv 6 2", "get kontiki 50 2", "get rheakv 7 2"];
        assert_eq!(seen, expected);
    }
}
