//! One batch of writes: checked, encoded, proposed as one payload, answered as one.

use std::sync::Arc;

use bytes::Bytes;
use kontiki_codec::{command, outcome};
use kontiki_proto::v1;
use kontiki_proto::v1::answer::Body;
use kontiki_proto::v1::error::Kind;
use kontiki_store::{ProposeError, propose};
use kontiki_types::{Epoch, RegionId, WriteBatch};

use crate::answers::Pending;
use crate::node::Node;
use crate::service::refusal;
use crate::wall_clock::wall_ms;

/// Propose the batch; `pending` is answered once it is applied, or refused.
pub(crate) fn accept(
    node: &Arc<Node>,
    region: u64,
    epoch: Option<v1::Epoch>,
    writes: v1::Writes,
    pending: Pending,
) {
    let region = RegionId(region);
    let epoch = epoch.map(Epoch::from).unwrap_or_default();
    let batch = match writes.into_write_batch(epoch, wall_ms()) {
        Ok(batch) => batch,
        Err(error) => {
            return pending.refuse(Kind::Invalid(v1::Invalid { message: error.to_string() }));
        }
    };
    let cell = node.regions.get(region);
    let descriptor = cell.as_ref().map(|cell| cell.region());
    if let Err(error) = propose::check(descriptor.as_deref(), &batch) {
        return pending.refuse(not_proposed(error, region, &batch));
    }
    let payload = command::to_bytes(&batch);
    let node_in = Arc::clone(node);
    node.host.propose(
        region,
        payload,
        None,
        Box::new(move |result| match result {
            Ok(reply) => pending.answer(outcomes(reply)),
            Err(refused) => pending.refuse(refusal::of_write(&node_in, region, refused)),
        }),
    );
}

fn outcomes(reply: Bytes) -> Body {
    match outcome::from_bytes(reply) {
        Ok(outcomes) => {
            let outcomes = outcomes.into_iter().map(v1::Outcome::from).collect();
            Body::Outcomes(v1::WriteOutcomes { outcomes })
        }
        Err(error) => {
            // Cannot happen: this very process encoded it. The client learns what is known.
            let message = format!("the reply does not decode: {error}");
            let kind = Some(Kind::Unknown(v1::UnknownOutcome { message }));
            Body::Error(v1::Error { kind })
        }
    }
}

fn not_proposed(error: ProposeError, region: RegionId, batch: &WriteBatch) -> Kind {
    let message = error.to_string();
    match error {
        ProposeError::RegionNotFound => {
            Kind::RegionNotFound(v1::RegionNotFound { region_id: region.0 })
        }
        ProposeError::EpochNotMatch { current } => refusal::epoch_not_match(current),
        ProposeError::KeyNotInRegion { current } => {
            let region = current.into_iter().next().map(v1::Region::from);
            Kind::KeyNotInRegion(v1::KeyNotInRegion { key: Bytes::new(), region })
        }
        ProposeError::TooLarge { commands, bytes } => refusal::too_large(commands, bytes),
        ProposeError::Invalid(nth) => {
            let message = format!("{message} (request {})", batch.commands[nth].0);
            Kind::Invalid(v1::Invalid { message })
        }
        _ => Kind::Invalid(v1::Invalid { message }),
    }
}
