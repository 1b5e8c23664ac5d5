//! What a client is told when nothing was done, or when nobody knows: with what it needs next.

use kontiki_multiraft::Refused;
use kontiki_proto::v1;
use kontiki_proto::v1::error::Kind;
use kontiki_types::limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX};
use kontiki_types::{Region, RegionId, StoreId};

use crate::node::Node;

/// When an overloaded store may be asked again.
const RETRY_AFTER_MS: u32 = 20;

/// A write that did not reach the state machine.
pub(crate) fn of_write(node: &Node, region: RegionId, refused: Refused) -> Kind {
    match refused {
        Refused::LeadershipLost => {
            let message = "leadership was lost while the write was under way".to_owned();
            Kind::Unknown(v1::UnknownOutcome { message })
        }
        other => of_read(node, region, other),
    }
}

/// A read that was not served, or anything else that changed nothing.
pub(crate) fn of_read(node: &Node, region: RegionId, refused: Refused) -> Kind {
    match refused {
        Refused::Quarantined => quarantined(),
        Refused::NoGroup => Kind::RegionNotFound(v1::RegionNotFound { region_id: region.0 }),
        Refused::NotLeader { leader: Some((_, store)) } if store != node.identity.store => {
            not_leader(node, region, Some(store))
        }
        Refused::NotLeader { .. } | Refused::Halted => not_leader(node, region, None),
        Refused::Busy => Kind::Busy(v1::Busy {
            reason: "the store has as much under way as it may".to_owned(),
            retry_after_ms: RETRY_AFTER_MS,
        }),
        Refused::Transferring => Kind::Busy(v1::Busy {
            reason: "leadership is being handed over".to_owned(),
            retry_after_ms: RETRY_AFTER_MS,
        }),
        Refused::TermMismatch { .. } | Refused::ReadFailed | Refused::LeadershipLost => {
            not_leader(node, region, None)
        }
        Refused::BadTarget(_) => Kind::Invalid(v1::Invalid {
            message: "the target store has no voter of this region that could lead".to_owned(),
        }),
        // Answers to operators, which take another way.
        Refused::Change(error) => Kind::Invalid(v1::Invalid { message: error.to_string() }),
        Refused::ChangeFailed(failure) => {
            Kind::Unknown(v1::UnknownOutcome { message: failure.to_string() })
        }
        Refused::Reset(error) => Kind::Invalid(v1::Invalid { message: error.to_string() }),
    }
}

/// The replica here takes no part: another store serves the region.
pub(crate) fn quarantined() -> Kind {
    let message = "the replica on this store is quarantined, its log is damaged".to_owned();
    Kind::Unavailable(v1::Unavailable { message })
}

fn not_leader(node: &Node, region: RegionId, leader: Option<StoreId>) -> Kind {
    let leader = leader.and_then(|store| {
        let address = node.stores.get(&store)?.clone();
        Some(v1::Store { id: store.0, address })
    });
    Kind::NotLeader(v1::NotLeader { leader, region_id: region.0, term: node.leaders.term(region) })
}

/// The answer of a batch of reads has no room for this one.
pub(crate) fn answer_full() -> Kind {
    let reason = "the answers before this one fill the message".to_owned();
    Kind::Busy(v1::Busy { reason, retry_after_ms: 1 })
}

/// The region changed since the client routed.
pub(crate) fn epoch_not_match(current: Vec<Region>) -> Kind {
    let regions = current.into_iter().map(v1::Region::from).collect();
    Kind::EpochNotMatch(v1::EpochNotMatch { regions })
}

/// More than one batch may hold.
pub(crate) fn too_large(commands: usize, bytes: usize) -> Kind {
    let (what, limit, actual) = if commands > BATCH_COMMANDS_MAX {
        ("commands of a batch", BATCH_COMMANDS_MAX, commands)
    } else {
        ("bytes of a batch", BATCH_BYTES_MAX, bytes)
    };
    Kind::TooLarge(v1::TooLarge {
        what: what.to_owned(),
        limit: limit as u64,
        actual: actual as u64,
    })
}
