//! Kontiki and etcd at every point in turn, both clusters up all the time.
//!
//! Fairness: the order turns around every round; keys, values and time limits are the same; etcd's
//! members are restarted before every operation's runs, because right after loads of writes its
//! reads are several times slower.

use super::contender::Contender;
use super::{Plan, Point, Side};
use crate::report::{Row, median_row};
use crate::systems::Kind;
use crate::usage::{Figures, Watch, Watched};

/// The medians of every point, each contender's beside the other's.
pub(super) async fn run(plan: &Plan<'_>) -> anyhow::Result<Vec<(Row, Figures)>> {
    let mut contenders = Vec::new();
    for (side, kind) in [(Side::Kontiki, Kind::Kontiki), (Side::Peer, Kind::Etcd)] {
        if plan.includes(side) {
            contenders.push(Contender::start(kind, plan).await?);
        }
    }
    let mut points = Vec::new();
    for &op in &plan.args.ops {
        for contender in &mut contenders {
            contender.refresh().await?;
        }
        for &clients in &plan.args.clients {
            points.extend(measure(&mut contenders, Point { op, clients }, plan).await?);
        }
    }
    Ok(points)
}

/// All rounds of one point, and the medians of each contender.
async fn measure(
    contenders: &mut [Contender],
    point: Point,
    plan: &Plan<'_>,
) -> anyhow::Result<Vec<(Row, Figures)>> {
    let mut measured: Vec<(Vec<Row>, Vec<Figures>)> =
        contenders.iter().map(|_| Default::default()).collect();
    for round in 1..=plan.args.rounds {
        let servers: Vec<Watched> = contenders.iter().flat_map(Contender::watched).collect();
        let all = Watch { processes: servers, data: None };
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 0 {
            order.reverse();
        }
        for at in order {
            let outcome = contenders[at].measure(plan, point, round, &all).await?;
            measured[at].1.push(Figures::of(&outcome.used));
            measured[at].0.push(outcome.row);
        }
    }
    let medians =
        measured.iter().map(|(rows, figures)| (median_row(rows), Figures::median(figures)));
    Ok(medians.collect())
}
