//! A replica is removed and added again, without its data and under its old id, which a careless
//! operator may give it; then an acknowledgement of its earlier life arrives. The leader must not
//! take it for one of the new life: it would commit what only it holds.

use std::time::Duration;

use kontiki_raft::Node;
use kontiki_types::{PeerChange, RegionId, StoreId};

use crate::cluster::peer_of;

use super::stage::{Met, Stage, others};

/// How long acknowledgements are on their way: less than an election timeout.
const DELAY: Duration = Duration::from_millis(120);

/// Plays it.
pub(super) fn play(stage: &mut Stage) -> Met {
    let leader = stage.settle()?;
    let [lost, other] = others(leader);
    let removal = stage.node(leader).map(|node| node.last_position().index.next());
    let removal = removal.ok_or_else(|| "the leader has no power".to_owned())?;
    let later = removal.next();
    let peer = peer_of(RegionId(1), lost);

    // All that the one to be removed says now arrives late.
    stage.clog(lost, leader, DELAY);
    stage.change(leader, [PeerChange::Remove(peer)]);
    stage.reach("the removal is durable elsewhere", |stage| {
        stage.node(other).is_some_and(|node| node.durable() >= removal)
    })?;
    // It still gets an entry after its removal, which nobody else gets.
    stage.cut(leader, other);
    stage.propose(leader);
    stage.reach("the one removed holds more than the other", |stage| {
        stage.node(lost).is_some_and(|node| node.durable() >= later)
    })?;
    stage.reach("the removal is committed", |stage| {
        stage.node(leader).is_some_and(|node| node.commit() == removal)
    })?;
    stage.wipe(lost);
    stage.wait(Duration::from_millis(2));
    stage.change(leader, [PeerChange::AddVoter { peer, store: lost }]);
    // Its old acknowledgements arrive.
    stage.wait(DELAY * 2);
    stage.join(leader, other);
    stage.reach("everybody is back and holds everything", |stage| {
        let commits = (1..=3).map(StoreId).map(|store| stage.node(store).map(Node::commit));
        let commits: Vec<_> = commits.collect();
        commits.iter().all(|commit| *commit == commits[0] && *commit > Some(later))
    })
}
