//! A replica has a tail that nobody else has, as long as what the others have committed meanwhile.
//! An append that says nothing of that tail proves nothing about it, whatever it says of commits.

use kontiki_raft::Node;
use kontiki_types::{Body, Index, Message, Position, RegionId, StoreId};

use crate::cluster::peer_of;

use super::stage::{Met, Stage, others};

/// Entries that only the leader cut off has.
const TAIL: u64 = 8;
/// Entries that the others commit.
const COMMITTED: u64 = 4;

/// Its next leader probes it with an empty append at a position that both have, as some leaders do
/// (copycat#265).
pub(super) fn play(stage: &mut Stage) -> Met {
    let (old, new, common) = part(stage)?;
    probe(stage, old, new, common)
}

/// Its next leader guesses that it has everything.
pub(super) fn guessed(stage: &mut Stage) -> Met {
    let (old, new, _) = part(stage)?;
    let last = stage.node(new).map(Node::last_position).unwrap_or_default();
    probe(stage, old, new, last)
}

fn probe(stage: &mut Stage, old: StoreId, new: StoreId, prev: Position) -> Met {
    let (term, commit) = stage.node(new).map(|n| (n.term(), n.commit())).unwrap_or_default();
    let (from, to) = (peer_of(RegionId(1), new), peer_of(RegionId(1), old));
    let body = Body::Append { session: u64::MAX, prev, entries: Vec::new(), commit, round: 0 };
    stage.say(new, old, Message { from, to, term, body });
    stage.reach("it was heard", |stage| stage.node(old).is_some_and(|node| node.term() == term))?;
    rejoin(stage, old, commit)
}

/// The old leader with its tail, the new one with what is committed, and what both have.
fn part(stage: &mut Stage) -> Met<(StoreId, StoreId, Position)> {
    let old = stage.settle()?;
    let common = stage.node(old).map(Node::last_position).unwrap_or_default();
    for other in others(old) {
        stage.cut(old, other);
        stage.cut(other, old);
    }
    for n in 1..=TAIL {
        stage.propose(old);
        stage.reach("an entry of the old leader is durable", |stage| {
            stage.node(old).is_some_and(|node| node.durable() >= common.index + n)
        })?;
    }
    stage.reach("another leads", |stage| stage.leader().is_some_and(|new| new != old))?;
    let new = stage.leader().ok_or_else(|| "it leads still".to_owned())?;
    for n in 1..=COMMITTED {
        stage.propose(new);
        stage.reach("an entry of the new leader is committed", |stage| {
            stage.node(new).is_some_and(|node| node.commit() >= common.index + n)
        })?;
    }
    Ok((old, new, common))
}

fn rejoin(stage: &mut Stage, old: StoreId, commit: Index) -> Met {
    for other in others(old) {
        stage.join(old, other);
        stage.join(other, old);
    }
    stage.reach("the tail is gone", |stage| {
        stage.node(old).is_some_and(|node| node.commit() >= commit)
    })
}
