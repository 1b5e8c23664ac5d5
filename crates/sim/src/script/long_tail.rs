//! A leader that was cut off has more entries that nobody else has than the others have committed
//! meanwhile. What it needs is in no log any more, so it gets a snapshot, which stands in the
//! middle of its own, contradicting log: nothing of that may stay (hashicorp#697).

use kontiki_raft::Node;

use crate::options::Options;

use super::stage::{Met, Stage, others};

/// Entries that only the leader cut off has.
const TAIL: u64 = 30;
/// Entries that the others commit.
const COMMITTED: u64 = 6;

/// Logs are cut as soon as the engine is durable.
pub(super) fn narrow(options: &mut Options) {
    options.store.retain_bytes = 1;
    options.store.retain_bytes_max = 1;
    options.store.sync_engine_every_bytes = 100;
}

/// Plays it.
pub(super) fn play(stage: &mut Stage) -> Met {
    let old = stage.settle()?;
    let last = stage.node(old).map(|node| node.last_position().index).unwrap_or_default();
    for other in others(old) {
        stage.cut(old, other);
        stage.cut(other, old);
    }
    for n in 1..=TAIL {
        stage.propose(old);
        stage.reach("an entry of the old leader is durable", |stage| {
            stage.node(old).is_some_and(|node| node.durable() >= last + n)
        })?;
    }
    stage.reach("another leads", |stage| stage.leader().is_some_and(|new| new != old))?;
    for n in 1..=COMMITTED {
        let new = stage.leader().unwrap_or(old);
        stage.propose(new);
        stage.reach("an entry of the new leader is committed", |stage| {
            stage.node(new).is_some_and(|node| node.commit() >= last + n)
        })?;
    }
    stage.reach("the new leader lacks what the old one needs", |stage| {
        let new = stage.leader().and_then(|new| stage.node(new));
        new.is_some_and(|node| node.first_index() > last.next())
    })?;
    for other in others(old) {
        stage.join(old, other);
        stage.join(other, old);
    }
    stage.reach("the old leader begins after a snapshot", |stage| {
        stage.node(old).is_some_and(|node| node.first_index() > last.next())
    })?;
    stage.reach("all are committed alike", |stage| {
        let commits = (1..=3).map(kontiki_types::StoreId).map(|s| stage.node(s).map(Node::commit));
        let commits: Vec<_> = commits.collect();
        commits.windows(2).all(|pair| pair[0] == pair[1])
    })
}
