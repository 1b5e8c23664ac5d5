//! From the core's words to messages and back. What cannot be read becomes a trouble that says so;
//! nothing here fails or panics, because it comes from the network.

use kontiki_proto::v1;
use kontiki_types::{Outcome, Region, RegionId, StoreId, Term};

use crate::ReadMode;
use crate::admin::{Route, Routes, Store};
use crate::ask::{Answer, AnswerBody, Body, Columns, Direction, Found, Outgoing, Read, Trouble};

/// A batch to send.
pub(super) fn batch(batch: Outgoing) -> v1::Batch {
    let body = match batch.body {
        Body::Writes { client, lowest, open, commands } => v1::batch::Body::Writes(v1::Writes {
            client_id: client.0,
            lowest: lowest.0,
            open,
            writes: commands
                .into_iter()
                .map(|write| v1::Write::try_from(write).expect("clients make no server's commands"))
                .collect(),
        }),
        Body::Reads { mode, reads } => v1::batch::Body::Reads(v1::Reads {
            mode: match mode {
                ReadMode::Linearizable => v1::ReadMode::Linearizable.into(),
                ReadMode::Stale => v1::ReadMode::Stale.into(),
            },
            reads: reads.into_iter().map(read).collect(),
        }),
    };
    v1::Batch {
        id: batch.id,
        region_id: batch.region.0,
        epoch: Some(batch.epoch.into()),
        timeout_ms: batch.timeout_ms,
        body: Some(body),
    }
}

fn read(read: Read) -> v1::Read {
    let op = match read {
        Read::Get(key) => v1::read::Op::Get(v1::Get { key }),
        Read::Scan(scan) => v1::read::Op::Scan(v1::Scan {
            range: Some(scan.range.into()),
            reverse: scan.direction == Direction::Reverse,
            limit: scan.row_limit,
            limit_bytes: 0,
            keys_only: scan.columns == Columns::Keys,
        }),
    };
    v1::Read { op: Some(op) }
}

/// An answer that arrived.
pub(super) fn answer(answer: v1::Answer) -> Answer {
    use v1::answer::Body as Wire;
    let body = match answer.body {
        Some(Wire::Outcomes(outcomes)) => AnswerBody::Outcomes(
            outcomes.outcomes.into_iter().map(|outcome| Outcome::try_from(outcome).ok()).collect(),
        ),
        Some(Wire::Results(results)) => {
            AnswerBody::Found(results.results.into_iter().map(found).collect())
        }
        Some(Wire::Error(error)) => AnswerBody::Failed(trouble(error)),
        None => AnswerBody::Failed(Trouble::Garbled("an answer says nothing".into())),
    };
    Answer { id: answer.id, body }
}

fn found(result: v1::ReadResult) -> Result<Found, Trouble> {
    use v1::read_result::Result as Wire;
    match result.result {
        Some(Wire::Value(value)) => Ok(Found::Value(value.value)),
        Some(Wire::Rows(rows)) => Ok(Found::Rows {
            rows: rows.rows.into_iter().map(|row| (row.key, row.value)).collect(),
            more: rows.more,
        }),
        Some(Wire::Error(error)) => Err(trouble(error)),
        Some(Wire::Values(_)) => Err(Trouble::Garbled("values that nobody asked for".into())),
        None => Err(Trouble::Garbled("a result says nothing".into())),
    }
}

fn trouble(error: v1::Error) -> Trouble {
    use v1::error::Kind;
    match error.kind {
        Some(Kind::NotLeader(said)) => Trouble::NotLeader {
            leader: said.leader.map(|store| (StoreId(store.id), store.address)),
            term: Term(said.term),
        },
        Some(Kind::EpochNotMatch(said)) => Trouble::EpochNotMatch(regions(said.regions)),
        Some(Kind::RegionNotFound(_)) => Trouble::RegionNotFound,
        Some(Kind::KeyNotInRegion(said)) => {
            Trouble::KeyNotInRegion(said.region.and_then(|region| region.try_into().ok()))
        }
        Some(Kind::Busy(said)) => {
            Trouble::Busy { reason: said.reason, retry_after_ms: said.retry_after_ms }
        }
        Some(Kind::TooLarge(said)) => {
            Trouble::TooLarge { what: said.what, limit: said.limit, actual: said.actual }
        }
        Some(Kind::Invalid(said)) => Trouble::Invalid(said.message),
        Some(Kind::Unknown(said)) => Trouble::Unknown(said.message),
        Some(Kind::SessionUnknown(_)) => Trouble::SessionUnknown,
        Some(Kind::Unavailable(said)) => Trouble::Unavailable(said.message),
        None => Trouble::Garbled("an error of a kind that is not known here".into()),
    }
}

/// Those that can be read; a client can live without the others.
fn regions(regions: Vec<v1::Region>) -> Vec<Region> {
    regions.into_iter().filter_map(|region| region.try_into().ok()).collect()
}

/// The map.
pub(super) fn routes(routes: v1::RoutesResponse) -> Routes {
    let stores = routes.stores.into_iter();
    let regions = routes.regions.into_iter().filter_map(|route| {
        Some(Route {
            region: route.region?.try_into().ok()?,
            leader: (route.leader_store_id != 0).then_some(StoreId(route.leader_store_id)),
            term: Term(route.term),
        })
    });
    Routes {
        cluster: kontiki_types::ClusterId(routes.cluster_id),
        stores: stores
            .map(|store| Store { id: StoreId(store.id), address: store.address })
            .collect(),
        regions: regions.collect(),
    }
}

/// The region of a map.
pub(super) fn route_of(routes: &Routes, region: RegionId) -> Option<&Route> {
    routes.regions.iter().find(|route| route.region.id == region)
}
