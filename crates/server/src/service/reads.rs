//! One batch of reads: confirmed once, then read where the state is at hand, answered as one.
//!
//! Linearizable reads wait for the host's word and run on the apply worker, right after what they
//! must see was applied; only reads that may take long move to the background thread, so that a
//! scan never holds up writes. Stale reads run at once.

use std::sync::Arc;

use kontiki_engine::Direction;
use kontiki_proto::v1;
use kontiki_proto::v1::answer::Body;
use kontiki_proto::v1::error::Kind;
use kontiki_proto::v1::read::Op;
use kontiki_proto::v1::read_result::Result as Found;
use kontiki_store::{ReadError, RegionReader, Scan};
use kontiki_types::limits::{BATCH_COMMANDS_MAX, MESSAGE_BYTES_MAX};
use kontiki_types::{Epoch, KeyRange, ReadMode, Region, RegionId};
use prost::Message as _;

use crate::answers::Pending;
use crate::node::Node;
use crate::service::refusal;

/// Rows (asked for, or possible) above which a batch of reads moves off the apply worker.
const INLINE_ROWS_MAX: usize = 2048;
/// What a scan counts for in that sum, beside its limit: it touches more than it answers.
const SCAN_ROWS_LEAST: usize = 64;
/// Most bytes of results in one answer, and one result more; the reads that are left are refused as
/// busy and come again, or a message would be longer than a client takes.
const ANSWER_BYTES_MAX: usize = MESSAGE_BYTES_MAX / 4;
/// Most keys of one multi-get.
const MULTI_GET_KEYS_MAX: usize = BATCH_COMMANDS_MAX;

/// Serve the batch; `pending` is answered once it is read, or refused.
pub(crate) fn accept(
    node: &Arc<Node>,
    region: u64,
    epoch: Option<v1::Epoch>,
    batch: v1::Reads,
    pending: Pending,
) {
    if batch.reads.len() > BATCH_COMMANDS_MAX {
        return pending.refuse(refusal::too_large(batch.reads.len(), 0));
    }
    let (region, epoch) = (RegionId(region), epoch.map(Epoch::from).unwrap_or_default());
    let stale = batch.mode() == v1::ReadMode::Stale;
    let work = Work { node: Arc::clone(node), region, epoch, reads: batch.reads };
    if node.host.is_quarantined(region) {
        return pending.refuse(refusal::quarantined());
    }
    if stale {
        return work.run_where_it_fits(pending);
    }
    node.host.read(
        region,
        ReadMode::Index,
        Box::new(move |confirmed| match confirmed {
            Ok(()) => work.run_where_it_fits(pending),
            Err(refused) => pending.refuse(refusal::of_read(&work.node, work.region, refused)),
        }),
    );
}

/// The reads of a batch, ready to run.
struct Work {
    node: Arc<Node>,
    region: RegionId,
    epoch: Epoch,
    reads: Vec<v1::Read>,
}

impl Work {
    fn run_where_it_fits(self, pending: Pending) {
        if self.reads.iter().map(cost_rows).sum::<usize>() <= INLINE_ROWS_MAX {
            self.run(pending);
        } else {
            let background = self.node.background.clone();
            background.spawn(move || self.run(pending));
        }
    }

    fn run(self, pending: Pending) {
        let Some(cell) = self.node.regions.get(self.region) else {
            let region_id = self.region.0;
            return pending.refuse(Kind::RegionNotFound(v1::RegionNotFound { region_id }));
        };
        let reader = RegionReader::new(&cell, self.node.engine.as_ref());
        let mut bytes = 0;
        let results = self.reads.into_iter().map(|read| {
            let found = if bytes < ANSWER_BYTES_MAX {
                one(&reader, self.epoch, read)
                    .unwrap_or_else(|error| Found::Error(v1::Error { kind: Some(kind_of(error)) }))
            } else {
                Found::Error(v1::Error { kind: Some(refusal::answer_full()) })
            };
            let result = v1::ReadResult { result: Some(found) };
            bytes += result.encoded_len();
            result
        });
        pending.answer(Body::Results(v1::ReadResults { results: results.collect() }));
    }
}

fn cost_rows(read: &v1::Read) -> usize {
    match &read.op {
        Some(Op::Get(_)) | None => 1,
        Some(Op::MultiGet(multi)) => multi.keys.len(),
        Some(Op::Scan(scan)) => match scan.limit {
            0 => INLINE_ROWS_MAX + 1,
            limit => SCAN_ROWS_LEAST.max(limit as usize),
        },
    }
}

fn one(reader: &RegionReader<'_>, epoch: Epoch, read: v1::Read) -> Result<Found, ReadError> {
    Ok(match read.op {
        Some(Op::Get(get)) => Found::Value(v1::Value { value: reader.get(epoch, &get.key)? }),
        Some(Op::MultiGet(multi)) => {
            if multi.keys.len() > MULTI_GET_KEYS_MAX {
                let kind = refusal::too_large(multi.keys.len(), 0);
                return Ok(Found::Error(v1::Error { kind: Some(kind) }));
            }
            let values = reader.multi_get(epoch, &multi.keys)?;
            let values = values.into_iter().map(|value| v1::Value { value }).collect();
            Found::Values(v1::Values { values })
        }
        Some(Op::Scan(scan)) => {
            let page = reader.scan(epoch, &request(scan))?;
            let more = page.resume.is_some();
            let rows = page.rows.into_iter().map(|row| v1::Row { key: row.key, value: row.value });
            Found::Rows(v1::Rows { rows: rows.collect(), more })
        }
        None => {
            let message = "a read without an operation".to_owned();
            Found::Error(v1::Error { kind: Some(Kind::Invalid(v1::Invalid { message })) })
        }
    })
}

fn request(scan: v1::Scan) -> Scan {
    Scan {
        range: scan.range.map(KeyRange::from).unwrap_or_default(),
        direction: if scan.reverse { Direction::Backward } else { Direction::Forward },
        rows_max: scan.limit as usize,
        bytes_max: scan.limit_bytes as usize,
        keys_only: scan.keys_only,
    }
}

fn kind_of(error: ReadError) -> Kind {
    let message = error.to_string();
    let key_not_in_region = |current: Vec<Region>| {
        let region = current.into_iter().next().map(v1::Region::from);
        Kind::KeyNotInRegion(v1::KeyNotInRegion { key: bytes::Bytes::new(), region })
    };
    match error {
        ReadError::EpochNotMatch { current } => refusal::epoch_not_match(current),
        ReadError::KeyNotInRegion { current } => key_not_in_region(current),
        ReadError::Invalid => Kind::Invalid(v1::Invalid { message }),
        // Replacing, or the engine failed: another try, here or elsewhere, may do better.
        _ => Kind::Unavailable(v1::Unavailable { message }),
    }
}
