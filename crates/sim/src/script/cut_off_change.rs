//! A leader that is cut off begins a change of membership, which is in effect at once, and nobody
//! hears of it. When its entry is cut off by the next leader, the membership before is in effect
//! again (thesis §4.1). Where the change is a joint one, its new half, the leader alone, must not
//! decide without the old one (Raft §6): what it took for committed would be cut off.

use kontiki_raft::Node;
use kontiki_types::{PeerChange, RegionId, StoreId};

use crate::cluster::peer_of;

use super::stage::{Met, Stage, others};

/// One of the others is to lose its vote.
pub(super) fn play(stage: &mut Stage) -> Met {
    demote(stage, |[_, other]| [other])
}

/// Both others are to lose theirs in one step, which is then a joint one.
pub(super) fn joint(stage: &mut Stage) -> Met {
    demote(stage, |both| both)
}

fn demote<const N: usize>(stage: &mut Stage, whom: fn([StoreId; 2]) -> [StoreId; N]) -> Met {
    let old = stage.settle()?;
    let [one, other] = others(old);
    let before = stage.node(old).map(|node| node.membership().clone());
    for peer in [one, other] {
        stage.cut(old, peer);
        stage.cut(peer, old);
    }
    let steps = whom([one, other]).map(|store| PeerChange::Demote(peer_of(RegionId(1), store)));
    stage.change(old, steps);
    stage.reach("the change is in effect", |stage| {
        stage.node(old).map(|node| node.membership().clone()) != before
    })?;
    stage.reach("another leads", |stage| stage.leader().is_some_and(|new| new != old))?;
    let new = stage.leader().ok_or_else(|| "it leads still".to_owned())?;
    stage.reach("its first entry is committed", |stage| {
        stage.node(new).is_some_and(|node| node.commit() == node.last_position().index)
    })?;
    for peer in [one, other] {
        stage.join(old, peer);
        stage.join(peer, old);
    }
    stage.reach("everything is as it was", |stage| {
        let commit = stage.node(new).map(Node::commit);
        let is_back = stage.node(old).map(Node::commit) == commit;
        is_back && stage.node(old).map(|node| node.membership().clone()) == before
    })
}
